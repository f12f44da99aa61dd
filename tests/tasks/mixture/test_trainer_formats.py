"""A mixture as trainers read it: parsed as their documents say, with shares worked by hand."""

from __future__ import annotations

import pytest
import yaml

from tasks.mixture.methods.proportional import proportional
from tasks.mixture.trainer_formats import written_for

PATHS = {"web": ["s3://bucket/web"], "code": ["/data/code"], "tiny": ["/data/tiny"]}


@pytest.fixture
def mixture():
    """800 tokens of web, 200 of code, and none of tiny, which is too small for a whole token."""
    found = proportional({"web": 80_000, "code": 20_000, "tiny": 1}, 1_000)
    assert dict(found.tokens) == {"web": 800, "code": 200, "tiny": 0}
    return found


def test_olmo_core_reads_a_source_mixture_list(mixture):
    sources = yaml.safe_load(written_for("olmo-core", mixture, PATHS | {"web": ["/a/*.npy", "/b/*.npy"]}))[
        "sources"
    ]
    assert sorted(sources, key=lambda source: -source["target_ratio"]) == [
        {
            "source_name": "web",
            "target_ratio": 0.8,
            "paths": ["/a/*.npy", "/b/*.npy"],
            "max_repetition_ratio": 1.0,
        },
        {"source_name": "code", "target_ratio": 0.2, "paths": ["/data/code"], "max_repetition_ratio": 1.0},
    ]


def test_olmo_core_may_repeat_what_the_mixture_repeats():
    found = proportional({"web": 400}, 1_000, 4)  # 2.5 epochs
    (source,) = yaml.safe_load(written_for("olmo-core", found, {"web": ["/a"]}))["sources"]
    assert source["max_repetition_ratio"] == 3.0


def test_megatron_and_nemo_read_weights_and_prefixes_in_turns(mixture):
    words = written_for("megatron", mixture, PATHS).split()
    weights, prefixes = [float(weight) for weight in words[::2]], words[1::2]
    assert (weights, prefixes) == ([0.2, 0.8], ["/data/code", "s3://bucket/web"])
    told = yaml.safe_load(written_for("nemo", mixture, PATHS))
    assert told["model"]["data"]["data_prefix"] == [0.2, "/data/code", 0.8, "s3://bucket/web"]


def test_mosaic_reads_streams(mixture):
    assert yaml.safe_load(written_for("mosaic", mixture, PATHS))["streams"] == {
        "web": {"remote": "s3://bucket/web", "proportion": 0.8},
        "code": {"local": "/data/code", "proportion": 0.2},
    }


def test_torchtitan_reads_a_dataloader_of_python(mixture):
    class Kept:
        def __init__(self, **fields):
            self.__dict__ |= fields

        Config = classmethod(lambda cls, **fields: cls(**fields))

    text = written_for("torchtitan", mixture, PATHS | {"web": ["c4"]})
    imported, _, assigned = text.partition("\n\n")
    assert imported == (
        "from torchtitan.hf_datasets.text_datasets import HFDataSource, InterleavedHuggingFaceTextDataLoader"
    )
    names: dict = {"HFDataSource": Kept, "InterleavedHuggingFaceTextDataLoader": Kept}
    exec(assigned, names)
    told = {source.dataset: (source.weight, source.infinite) for source in names["dataloader"].sources}
    assert told == {"c4": (0.8, True), "/data/code": (0.2, True)}


@pytest.mark.parametrize(
    ("trainer", "paths", "message"),
    [
        (
            "axolotl",
            PATHS,
            r"--export axolotl: no such format; allowed: olmo-core, megatron, nemo, mosaic, torchtitan",
        ),
        ("nemo", {"web": ["/a"]}, r"--paths: none for code; allowed: NAME=PATTERN"),
        ("nemo", PATHS | {"cod": ["/a"]}, r"--paths: no sources \['cod'\]; allowed: code, tiny, web"),
        ("mosaic", PATHS | {"code": ["/a", "/b"]}, r"mosaic reads one place a source"),
        ("megatron", PATHS | {"code": ["/a*"]}, r"megatron reads one place a source"),
        ("megatron", PATHS | {"code": ["/a b"]}, r"megatron splits at blanks"),
    ],
)
def test_what_a_trainer_could_not_read_is_refused(mixture, trainer, paths, message):
    with pytest.raises(ValueError, match=message):
        written_for(trainer, mixture, paths)
