"""`mixstitch stitch`: models that exist become one that other tools load, or one message says why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

import models
from flows.commands.app import app

SMALL = ("-o", "training.sequence_length=32", "-o", "training.batch_size=4")


def stitch(own_models: Path, out: Path, *arguments: str, hub: str = "seed", code: str = "code") -> str:
    members = ("--hub", str(own_models / hub), "--expert", f"code={own_models / code}")
    math = ("--expert", f"math={own_models / 'math'}")
    asked = ["stitch", *members, *math, "--out", str(out), *arguments]
    done = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_stitches_train_on_the_text_and_the_folder_loads(own_models, own_text, tmp_path):
    out = tmp_path / "made" / "stitched"
    asked = ("--text", str(own_text), "--tokens", "1280", "--num-stitches", "1", *SMALL, "--json")
    told = json.loads(stitch(own_models, out, *asked))
    assert told["tokens"] == 1280
    assert told["trained_tokens"] == {"numbers": 640, "words": 640}
    model = AutoModelForCausalLM.from_pretrained(out)
    assert isinstance(model, models.StitchedForCausalLM)
    ids = AutoTokenizer.from_pretrained(out)("a text of number", return_tensors="pt")["input_ids"]
    assert model.generate(ids, max_new_tokens=2).shape[1] == ids.shape[1] + 2
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "| words | 640 |" in card and f"`{own_models / 'seed'}`" in card and "cli_evaluate" in card
    assert (out / "generation_config.json").is_file()
    assert [path.name for path in out.parent.iterdir()] == ["stitched"]


def test_a_soup_is_the_mean_and_needs_neither_text_nor_our_code(own_models, tmp_path):
    stitch(own_models, tmp_path / "soup", "--method", "soup")
    loaded = [
        AutoModelForCausalLM.from_pretrained(folder).state_dict()["model.layers.0.mlp.up_proj.weight"]
        for folder in (tmp_path / "soup", *(own_models / name for name in ("seed", "code", "math")))
    ]
    torch.testing.assert_close(loaded[0], sum(loaded[1:]) / 3)
    card = (tmp_path / "soup" / "README.md").read_text(encoding="utf-8")
    assert "lm_eval --model hf" in card and "import models" not in card


@pytest.mark.parametrize(
    ("arguments", "members", "message"),
    [
        ((), {}, r"--text: not given; the method stitched trains"),
        (("--text", "TEXT"), {"hub": "nowhere"}, r"model 'hub': .*nowhere: no such folder"),
        (("--text", "TEXT"), {"code": "wide"}, r"expert 'code': .*_size is .* but the hub's is"),
        (("--text", "TEXT"), {"code": "broken"}, r"broken'?: weight .*up_proj.* NaN or infinite"),
        (("--text", "TEXT", "--num-stitches", "3"), {}, r"the models have 2 layers; allowed: 1 to 2"),
        (("--text", "TEXT", "--tokens", "100"), {}, r"--tokens 100; allowed: at least the 128 of one step"),
        (("--text", "nowhere"), {}, r"--text=nowhere: no such folder"),
        (("--text", "EMPTY"), {}, r"--text=.*: holds none of"),
        (("--text", "BLANK"), {}, r"source 'blank': empty: no document with text"),
        (("--method", "soup", "--text", "TEXT"), {}, r"--text: has no effect with --method soup"),
        (("--method", "stew"), {}, r"--method stew: no such method; allowed: stitched, "),
        (("--method", "ties", "-o", "density=2"), {}, r"--method ties: density: "),
        (("--method", "soup", "--tokenizer", "EMPTY"), {}, r"tokenizer .* could not be loaded"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_message_and_leaves_nothing(
    own_models, own_text, tmp_path, arguments, members, message
):
    places = {"TEXT": own_text, "EMPTY": tmp_path / "empty", "BLANK": tmp_path / "blank"}
    for name in ("EMPTY", "BLANK"):
        places[name].mkdir()
    (places["BLANK"] / "blank.txt").write_text("  \n")
    given = [str(places.get(argument, argument)) for argument in arguments]
    with pytest.raises(ValueError, match=message) as refused:
        stitch(own_models, tmp_path / "out", *given, *SMALL, **members)
    assert "\n" not in str(refused.value)
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "blank"}


def test_what_is_there_is_not_written_over(own_models, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"--out .*: is there already; allowed: a new or an empty folder"):
        stitch(own_models, tmp_path, "--method", "soup")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
