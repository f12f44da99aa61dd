"""Answers are kept as they were given, across processes and kills; damage is set aside and said."""

from __future__ import annotations

import logging

import pytest

from storage.cleaning import find_garbage, remove
from storage.home import Home
from storage.kept_scores import AnswerStore, question_of
from tests.storage.recorded import make_run

A, B, C = (question_of([1, 2], [target], "float32 cpu") for target in (3, 4, 5))
MODEL, WAY = "f" * 64, {"version": 1}


@pytest.fixture
def home(tmp_path, monkeypatch) -> Home:
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path / "home"))
    return Home.from_environment()


def kept(
    home: Home, *answers: tuple[str, tuple[float, bool]], model: str = MODEL, way: dict = WAY
) -> AnswerStore:
    store = AnswerStore(home, model, way)
    store.keep(answers)
    store.close()
    return store


def test_an_answer_is_found_bit_by_bit_in_a_later_process_and_by_this_model_and_way_alone(home):
    kept(home, (A, (-1.2345678901234567e-5, True)), (B, (-3.5, False)))
    kept(home, (C, (-7.25, False)))  # a further file
    later = AnswerStore(home, MODEL, WAY)
    assert [later.find(question) for question in (A, B, C)] == [
        (-1.2345678901234567e-5, True), (-3.5, False), (-7.25, False)
    ]  # fmt: skip
    assert AnswerStore(home, "e" * 64, WAY).find(A) is None
    assert AnswerStore(home, MODEL, {"version": 2}).find(A) is None


def test_questions_differ_by_tokens_by_where_the_targets_begin_and_by_numbers(home):
    asked = [
        question_of([1, 2, 3], [4], "float32 cpu"), question_of([1, 2, 3], [3, 4], "float32 cpu"),
        question_of([1, 23], [4], "float32 cpu"), question_of([12, 3], [4], "float32 cpu"),
        question_of([1, 2, 3], [4], "bfloat16 cpu"), question_of([1, 2, 3], [4], "float32 cuda"),
    ]  # fmt: skip
    assert len(set(asked)) == len(asked)


def test_what_a_kill_cut_off_is_left_out_and_the_rest_goes_on(home, caplog):
    store = kept(home, (A, (-1.0, True)), (B, (-2.0, True)))
    (path,) = store.folder.glob("*.txt")
    path.write_bytes(path.read_bytes()[:-5])
    later = AnswerStore(home, MODEL, WAY)
    assert later.find(A) == (-1.0, True) and later.find(B) is None
    assert not caplog.records


@pytest.mark.parametrize(
    "damage", [lambda text: text.replace(b"-1.0", b"-9.0"), lambda text: b"\x00\n" + text]
)
def test_a_damaged_file_is_set_aside_and_said_and_its_answers_asked_again(home, caplog, damage):
    store = kept(home, (A, (-1.0, True)), (B, (-2.0, True)))
    kept(home, (C, (-3.0, True)))
    path = next(path for path in store.folder.glob("*.txt") if A.encode() in path.read_bytes())
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        later = AnswerStore(home, MODEL, WAY)
    assert later.find(A) is None and later.find(C) == (-3.0, True)
    assert "is damaged (line 1): set aside as" in caplog.text
    assert "its answers are asked for again" in caplog.text
    assert not path.exists()


def test_cleaning_takes_the_answers_of_models_that_no_kept_run_uses(home):
    run = make_run(home)
    (used,) = {artifact.digest for artifact in results(home, run)}
    kept(home, (A, (-1.0, True)), model=used)
    kept(home, (A, (-1.0, True)))
    garbage = find_garbage(home, keep=1)
    assert [(item.path.name, item.why) for item in garbage] == [
        (MODEL[:16], "answers of a model that no kept run uses")
    ]
    assert remove(home, garbage) > 0
    assert AnswerStore(home, MODEL, WAY).find(A) is None
    assert AnswerStore(home, used, WAY).find(A) == (-1.0, True)


def results(home, run):
    from storage.run_records import find_record
    from storage.runs import results_of

    return results_of(home, find_record(home, run.run_id))
