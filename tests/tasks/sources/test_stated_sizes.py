"""Text that stays where it is: a source told by a sample and a size, and token files counted by their headers."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from flows.experiment import checked, stop_after
from flows.settings import Experiment
from storage.planned import PlannedRun
from storage.unrecorded import UnrecordedRun
from tasks.benchmarks.settings import BenchmarkSettings
from tasks.sources.settings import SourceSettings, SourcesSettings, StatedSize, TokenizerSettings
from tasks.sources.stated_sizes import check_samples_suffice, token_file, whole_of
from tasks.sources.task import prepare_sources
from tasks.sources.token_files import count_tokens

SIZE = "size.token_files"


def megatron_index(lengths: list[int]) -> bytes:
    head = struct.pack("<9sQBQQ", b"MMIDIDX\x00\x00", 1, 8, len(lengths), len(lengths) + 1)
    return (
        head + struct.pack(f"<{len(lengths)}i", *lengths) + bytes(8 * len(lengths) + 8 * (len(lengths) + 1))
    )


def test_a_folder_of_token_files_is_counted_by_what_each_format_says(tmp_path):
    (tmp_path / "deep").mkdir()
    np.save(tmp_path / "deep" / "numpy.npy", np.zeros(7, dtype="<u4"))
    np.zeros(11, dtype="<u2").tofile(tmp_path / "plain.npy")  # without a header, as OLMo-core writes it
    np.zeros(13, dtype="<u2").tofile(tmp_path / "nanogpt.bin")
    (tmp_path / "megatron.idx").write_bytes(megatron_index([5, 6, 2**31 - 1, 2**31 - 1]))
    (tmp_path / "megatron.bin").write_bytes(b"\x00")  # told by its index, and by that alone
    (tmp_path / "notes.txt").write_text("of no account")
    assert count_tokens(str(tmp_path), "uint16", SIZE) == 7 + 11 + 13 + 11 + 2 * (2**31 - 1)
    assert count_tokens(str(tmp_path / "*.idx"), None, SIZE) == 11 + 2 * (2**31 - 1)


@pytest.mark.parametrize(
    ("name", "held", "dtype", "message"),
    [
        ("a.bin", bytes(8), None, "does not say what a token is; allowed: with size.dtype"),
        ("a.bin", bytes(7), "uint16", "its 7 bytes are no whole number of uint16"),
        ("a.npy", b"\x93NUMPY\x09\x00", None, "no NumPy file that can be read"),
        ("a.idx", b"MMIDIDX\x00\x00", None, "no index of Megatron's"),
        ("a.idx", megatron_index([1, 2, 3])[:40], None, "says 3 sequences and is too short"),
        ("a.txt", b"", None, r"holds none of \*\.npy, \*\.bin, \*\.idx"),
    ],
    ids=["no dtype", "half a token", "no header", "no index", "cut index", "no token file"],
)
def test_token_files_that_do_not_tell_are_refused(tmp_path, name, held, dtype, message):
    (tmp_path / name).write_bytes(held)
    with pytest.raises(ValueError, match=f"{SIZE}.*{message}"):
        count_tokens(str(tmp_path), dtype, SIZE)


@pytest.mark.parametrize("place", ["~nobody-of-this-name/tokens", "no-such-folder/*.bin"])
def test_a_place_that_is_not_there_is_said(place):
    with pytest.raises(ValueError, match=f"{SIZE}=.*(cannot be looked up|holds none of)"):
        count_tokens(place, "uint16", SIZE)


def test_a_numpy_file_that_is_cut_or_holds_no_tokens_is_refused(tmp_path):
    np.save(tmp_path / "cut.npy", np.zeros(100, dtype="<u2"))
    whole = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-10])
    with pytest.raises(ValueError, match="says 100 tokens and holds 190 bytes"):
        count_tokens(str(tmp_path), None, SIZE)
    np.save(tmp_path / "cut.npy", np.zeros((3, 4)))
    with pytest.raises(ValueError, match="one row of whole numbers"):
        count_tokens(str(tmp_path), None, SIZE)


@pytest.mark.parametrize("size", [{}, {"tokens": 5, "bytes": 5}, {"tokens": 5, "dtype": "uint16"}])
def test_a_size_is_said_in_one_way(size):
    with pytest.raises(ValueError, match=r"allowed: one of tokens, bytes, token_files|dtype: has no effect"):
        StatedSize(**size)


def test_sample_and_size_tell_the_whole():
    def source(**size):
        return SourceSettings(name="web", reader="jsonl", path="x", size=StatedSize(**size))

    # 10 documents of 400 bytes at 4 bytes a token: 100 tokens a document
    by_tokens = whole_of(source(tokens="1.2T"), 10, 4_000, 4.0)
    assert (by_tokens.documents, by_tokens.bytes, by_tokens.tokens) == (12 * 10**9, 48 * 10**11, 12 * 10**11)
    by_bytes = whole_of(source(bytes=4_000_000), 10, 4_000, 4.0)
    assert (by_bytes.documents, by_bytes.bytes, by_bytes.tokens) == (10_000, 4_000_000, 1_000_000)


@pytest.fixture
def two_sources():
    def listed(size):
        here = SourceSettings(name="here", reader="noise", max_bytes=60_000)
        far = SourceSettings(name="far", reader="arithmetic", max_bytes=20_000, size=StatedSize(**size))
        small = TokenizerSettings(vocab_size=400)
        return SourcesSettings(listed=(here, far), tokenizer=small, tokenizer_sample_bytes=10_000)

    return listed


def test_a_source_with_a_size_is_counted_as_stated_and_not_tokenised(home, two_sources):
    evaluation = BenchmarkSettings(made=(), made_from_each=20)
    corpus = prepare_sources(UnrecordedRun(home), two_sources({"tokens": "3G"}), evaluation, 0)
    assert corpus.facts["sources"]["far"]["tokens"] == 3 * 10**9
    read = corpus.facts["read_as_samples"]["far"]
    assert read["bytes"] <= 20_000 + 200
    assert token_file(corpus, "here").is_file()
    assert not (corpus.path / "tokens" / "far.bin").exists()
    with pytest.raises(ValueError, match="'far' states its size"):
        token_file(corpus, "far")
    (told,) = corpus.facts["answer"]
    assert f"far {read['documents']} documents" in told
    planned = prepare_sources(PlannedRun(home), two_sources({"tokens": "3G"}), evaluation, 0)
    assert planned.key == corpus.key


def test_a_sample_larger_than_the_size_is_refused(home, two_sources):
    evaluation = BenchmarkSettings(made=(), made_from_each=20)
    with pytest.raises(ValueError, match="'far': its size says 900 tokens"):
        prepare_sources(UnrecordedRun(home), two_sources({"tokens": 900}), evaluation, 0)


def test_only_a_run_that_stops_before_training_takes_a_sample(home, two_sources):
    experiment = Experiment(
        sources=two_sources({"bytes": "3G"}),
        evaluation={"made": [], "made_from_each": 20},
        budget={"tokens": 100_000_000},
        utility={"method": "ngram"},
    )
    planned = checked(experiment, home)
    stop_after("mixture", planned)
    assert [one.stage.name for one in planned.stages] == ["sources", "utility", "experts", "mixture"]
    check_samples_suffice(planned.stages)
    for until in ("seed", "report"):
        planned = checked(experiment, home)
        stop_after(until, planned)
        with pytest.raises(ValueError, match=r"sources far state their size.* stage seed would train on it"):
            check_samples_suffice(planned.stages)
    ablated = experiment.model_copy(
        update={"utility": experiment.utility.model_copy(update={"method": "ablation"})}
    )
    with pytest.raises(ValueError, match=r"stage proxy/.* would train on it"):
        check_samples_suffice(checked(ablated, home).stages)
