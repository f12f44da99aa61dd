"""Models by the words of a command: what they are called, and which are refused before anything is read."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tasks.evaluation.named_models import given_models


def folder(path: Path, *files: str) -> Path:
    path.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", *files):
        (path / name).write_text("{}")
    return path


def test_names_are_those_of_folders_and_files_or_given(tmp_path):
    seed = folder(tmp_path / "seed-1a2b" / "model", "tokenizer.json")
    packed = tmp_path / "Small.Q4_1.gguf"
    packed.write_bytes(b"GGUF")
    found = given_models([str(seed), str(packed), f"mine={seed}"])
    assert [(model.name, model.place) for model in found] == [
        ("seed-1a2b", str(seed)), ("Small.Q4_1", str(packed)), ("mine", str(seed))
    ]  # fmt: skip


def test_a_folder_without_tokenizer_takes_the_one_that_is_named(tmp_path):
    bare = folder(tmp_path / "bare")
    own = folder(tmp_path / "own", "tokenizer.json")
    found = given_models([str(bare), str(own)], own)
    assert [model.tokenizer for model in found] == [str(own), str(own)]
    with pytest.raises(ValueError, match="its folder holds no tokenizer; name the one it was trained with"):
        given_models([str(bare)])
    with pytest.raises(ValueError, match=r"--tokenizer .*: is not there"):
        given_models([str(bare)], tmp_path / "none")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("{0}/none", "is not there; allowed: a folder, a .gguf file"),
        ("{0}/none.gguf", "is not there"),
        ("none.gguf", "is not there"),
        ("{0}/notes.txt", "is a file; allowed"),
        ("{0}/empty", r"no config\.json in that folder"),
        ("{0}/unsafe", r"no \*\.safetensors in that folder"),
        ("a b={0}/own", "'a b' is no name of letters"),
        ("own=", "names no place"),
    ],
)
def test_wrong_places_are_refused(tmp_path, word, told):
    folder(tmp_path / "own", "tokenizer.json")
    (tmp_path / "empty").mkdir()
    folder(tmp_path / "unsafe")
    (tmp_path / "unsafe" / "model.safetensors").rename(tmp_path / "unsafe" / "pytorch_model.bin")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ValueError, match=told):
        given_models([word.format(tmp_path)])


def test_two_models_of_one_name_are_refused(tmp_path):
    own = str(folder(tmp_path / "own", "tokenizer.json"))
    with pytest.raises(ValueError, match="'own' stands twice; give each a name of its own"):
        given_models([own, own])


def test_a_hub_name_without_the_hub_is_refused_at_once(monkeypatch):
    def unknown(*_: object) -> None:
        raise socket.gaierror("unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setattr("tasks.evaluation.named_models.getproxies", dict)
    with pytest.raises(ValueError, match=r"or the name of a Hub model .the Hub cannot be reached"):
        given_models(["no-such-org/no-such-model"])
