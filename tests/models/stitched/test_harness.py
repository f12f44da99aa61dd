"""lm-evaluation-harness runs a stitched model like any other causal LM."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from models import StitchedForCausalLM

lm_eval_instance = pytest.importorskip("lm_eval.api.instance")
huggingface = pytest.importorskip("lm_eval.models.huggingface")


def letter_tokenizer():
    letters = {letter: index for index, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    tokenizer = Tokenizer(models.WordLevel({**letters, "<eos>": 26}, unk_token="<eos>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<eos>")


def test_loglikelihood_is_the_sum_of_log_probabilities(tiny_llama, random_stitches):
    model = StitchedForCausalLM.from_models(tiny_llama(0), {"a": tiny_llama(1)}, 2)
    random_stitches(model)
    tokenizer = letter_tokenizer()
    wrapped = huggingface.HFLM(pretrained=model, tokenizer=tokenizer, batch_size=2)
    assert wrapped.max_length == 64
    pairs = [("hub", "ab"), ("expert", "xyz")]
    requests = [
        lm_eval_instance.Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=index)
        for index, pair in enumerate(pairs)
    ]
    results = wrapped.loglikelihood(requests, disable_tqdm=True)
    for (context, continuation), (log_likelihood, _) in zip(pairs, results, strict=True):
        ids = torch.tensor([tokenizer(context + continuation)["input_ids"]])
        assert ids.shape[1] == len(context) + len(continuation)
        with torch.no_grad():
            log_probability = torch.log_softmax(model(ids).logits, dim=-1)[0]
        expected = sum(
            log_probability[position - 1, ids[0, position]] for position in range(len(context), ids.shape[1])
        )
        assert log_likelihood == pytest.approx(expected.item(), abs=1e-4)


@pytest.mark.slow
def test_command_line_of_the_model_card(tiny_llama, random_stitches, tmp_path):
    model = random_stitches(StitchedForCausalLM.from_models(tiny_llama(0), {"a": tiny_llama(1)}, 2))
    model.save_pretrained(tmp_path / "stitched")
    letter_tokenizer().save_pretrained(tmp_path / "stitched")
    (tmp_path / "items.jsonl").write_text('{"q": "the", "choices": ["cat", "dog"], "gold": 0}\n')
    (tmp_path / "letters.yaml").write_text(f"""
task: letters
dataset_path: json
dataset_kwargs: {{data_files: {{test: {tmp_path / "items.jsonl"}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{q}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{gold}}}}"
metric_list: [{{metric: acc}}]
""")
    card = (tmp_path / "stitched" / "README.md").read_text()
    command = (
        card.split("```bash\n")[1].split("```")[0].replace("path/to/this/folder", str(tmp_path / "stitched"))
    )
    command = command.replace("python ", f"{sys.executable} ", 1).replace("NAME", "letters").strip()
    done = subprocess.run(
        f"{command} --include_path {tmp_path} --device cpu",
        shell=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "|letters|" in done.stdout
