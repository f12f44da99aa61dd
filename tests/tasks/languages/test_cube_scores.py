"""Scores of a cube are those of whole texts, and intervals are those of items and sets of demonstrations together."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import t

from tasks.evaluation.model_reading import Reading
from tasks.languages.cube import Cell, make_cube
from tasks.languages.cube_results import interval, mean_over, results, tables_of
from tasks.languages.cube_scoring import Answered, score_cube


def whole_nats(model, tokenizer, text: str) -> float:
    """Sum of the log-probabilities of all tokens of a text after the token that begins documents."""
    ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(text)["input_ids"]]])
    with torch.no_grad():
        nats = model(input_ids=ids).logits[0, :-1].double().log_softmax(-1)
    return float(nats.gather(1, ids[0, 1:, None]).sum())


def test_margins_are_those_of_whole_texts(settings, tiny_model, byte_tokenizer):
    cube = make_cube(settings())
    answers, speed = score_cube(tiny_model, byte_tokenizer, cube, Reading(check=10))
    assert len(answers) == sum(len(cube.tested[cell.test]) for cell in cube.cells)
    assert speed.checked == 10 and speed.most_nats < 2e-4 and speed.plain_items_per_second > 0
    items = {(item.language, item.key): item for own in cube.tested.values() for item in own}
    for one in answers[:: len(answers) // 12]:
        item = items[one.cell.test, one.key]
        texts = [cube.block(one.cell) + text for text in cube.asked(one.cell, item)]
        nats = [whole_nats(tiny_model, byte_tokenizer, text) for text in texts]
        assert one.margin == pytest.approx(nats[item.answer] - nats[1 - item.answer], abs=1e-3)


def test_text_that_the_model_cannot_read_whole_is_refused(settings, tiny_model, byte_tokenizer):
    with pytest.raises(ValueError, match=r"with 2 shots a text has [0-9]+ tokens, and the model reads 32"):
        score_cube(tiny_model, byte_tokenizer, make_cube(settings()), max_length=32)


def test_items_and_sets_both_count_in_the_error():
    """Two sets x two items: rows (0, 1) and (1, 2). MS of items 1, of sets 1, of the rest 0: var = (1 + 1) / 4."""
    mean, error, freedom = mean_over(np.array([[0.0, 1.0], [1.0, 2.0]]))
    assert mean == 1 and error == pytest.approx(math.sqrt(0.5))
    assert freedom == pytest.approx(2**2 / (1 + 1))


def test_of_one_set_the_error_is_that_of_items():
    """0, 0, 1, 1: variance 1/3 over 4 items; no spread over sets is known, and none is told."""
    found = interval(np.array([[0.0, 0.0, 1.0, 1.0]]))
    assert found["spread"] is None
    assert mean_over(np.array([[0.0, 0.0, 1.0, 1.0]]))[1:] == pytest.approx((math.sqrt(1 / 12), 3))


def test_the_error_covers_new_items_and_new_sets():
    """Drawn from the model itself, intervals hold the truth about as often as they say."""
    rng, held, runs = np.random.default_rng(0), 0, 400
    for _ in range(runs):
        noise = rng.normal(size=(5, 20))
        values = noise + rng.normal(size=20) + 0.5 * rng.normal(size=(5, 1))
        mean, error, freedom = mean_over(values)
        held += abs(mean) < t.ppf(0.975, freedom) * error
    assert 0.92 < held / runs < 0.98


def test_a_difference_of_shares_is_at_most_one():
    """Two sets that disagree, on few items, leave nearly everything open, and no more than everything."""
    found = interval(np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]))
    assert -1 <= found["low"] < -0.5 and 0.5 < found["high"] <= 1


def test_no_difference_in_any_item_is_no_certainty():
    found = interval(np.zeros((3, 30)))
    assert (found["low"], found["high"]) == (-0.1, 0.1)
    assert interval(np.ones((1, 30)), is_share=True)["low"] == pytest.approx(0.886, abs=0.001)


def answered(way: tuple, rights: list[list[int]]) -> list[Answered]:
    return [
        Answered(Cell(*way, number), f"item-{place}", 1.0 if right else -1.0, 2)
        for number, own in enumerate(rights)
        for place, right in enumerate(own)
    ]


def test_gains_are_paired_by_item_and_set(settings):
    """English demonstrations are right where own ones are, and on one item more in each of two sets."""
    cube = make_cube(settings())
    answers = answered(("en", "et", "et", 2), [[1, 0, 0, 1], [1, 1, 0, 1]])
    answers += answered(("en", "en", "et", 2), [[1, 1, 0, 1], [1, 1, 1, 1]])
    found = results(cube, answers)
    (gain,) = found["gains"]
    assert (gain["test"], gain["mean"]) == ("et", 0.25)
    difference = np.array([[0, 1, 0, 0], [0, 0, 1, 0]], float)
    assert (gain["low"], gain["high"]) == (interval(difference)["low"], interval(difference)["high"])
    assert [gap["demonstrations"] for gap in found["gaps"]] == ["en"]
    cells = {(cell["demonstrations"], cell["test"]): cell for cell in found["cells"]}
    assert cells["et", "et"]["mean"] == 0.625 and cells["en", "et"]["mean"] == 0.875
    assert cells["et", "et"]["spread"] == pytest.approx(np.std([0.5, 0.75], ddof=1))


def test_over_languages_translations_of_an_item_are_one_item(settings):
    """et and sw agree on every item: the pooled interval is that of one language, not narrower."""
    answers = []
    for test in ("et", "sw"):
        answers += answered(("en", test, test, 2), [[1, 0, 0, 1, 0, 1]] * 2)
        answers += answered(("en", "en", test, 2), [[1, 1, 0, 1, 0, 0]] * 2)
    gains = {gain["test"]: gain for gain in results(make_cube(settings()), answers)["gains"]}
    assert gains[None]["languages"] == 2
    assert (gains[None]["low"], gains[None]["high"]) == (gains["et"]["low"], gains["et"]["high"])


def test_the_best_cell_is_scored_on_items_that_did_not_choose_it(settings):
    """Of cells that guess, the best of nine is flattered on what chose it, and not on the other half."""
    rng = np.random.default_rng(0)
    scores = []
    for _ in range(60):
        answers = [
            answer
            for number in range(9)
            for answer in answered(("en", f"x-{number}", "et", 2), rng.integers(0, 2, (1, 40)).tolist())
        ]
        (best,) = results(make_cube_once(settings), answers)["best"]
        assert best["items"] == 20 and best["of"] == 9
        scores.append(best["mean"])
    assert np.mean(scores) == pytest.approx(0.5, abs=0.04)


def make_cube_once(settings, kept=[]):  # noqa: B006
    kept or kept.append(make_cube(settings()))
    return kept[0]


def test_ties_are_no_right_answers():
    (table,) = tables_of([Answered(Cell("en", None, "et", 0, 0), "a", 0.0, 2)]).values()
    assert table.right.tolist() == [[0.0]]
