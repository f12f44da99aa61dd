"""The cube asks what it says it asks: demonstrations in the language named, of items that are tested nowhere."""

from __future__ import annotations

import pytest

from tasks.languages.cube import Cell, make_cube
from tests.tasks.languages.conftest import made_rows, write_rows


def test_items_and_their_translations_are_on_one_side(settings):
    cube = make_cube(settings())
    tested = {item.key for own in cube.tested.values() for item in own}
    shown = {key for pool in cube.pools.values() for key in pool}
    assert len(tested) == len(shown) == 6
    assert not tested & shown
    assert {len(own) for own in cube.tested.values()} == {6}


def test_demonstrations_are_in_the_language_named_and_the_same_draw_in_each(settings):
    cube = make_cube(settings())
    own = [Cell("own", code, "sw", 2, 1) for code in ("en", "sw")]
    english, swahili = (cube.demonstrated(cell) for cell in own)
    assert [item.key for item in english] == [item.key for item in swahili]
    assert {item.language for item in english} == {"en"}
    assert cube.block(own[0]).count("rain") == 2 and "mvua" not in cube.block(own[0])
    assert cube.block(own[1]).count("mvua") == 2 and "rain" not in cube.block(own[1])


def test_a_template_words_demonstrations_and_items_and_own_words_each_in_its_language(settings):
    cube = make_cube(settings())
    item = next(item for item in cube.tested["sw"] if item.variant == "effect")
    assert all(" so " in text for text in cube.asked(Cell("en", "en", "sw", 2, 0), item))
    assert all(" hivyo " in text for text in cube.asked(Cell("own", "en", "sw", 2, 0), item))
    demonstrations = cube.block(Cell("own", "en", "sw", 2, 0))
    assert "hivyo" not in demonstrations and "kwa sababu" not in demonstrations


def test_sets_differ_and_fewer_shots_are_the_first_of_more(settings):
    cube = make_cube(settings(shots=(1, 2)))
    sets = [tuple(i.key for i in cube.demonstrated(Cell("en", "en", "et", 2, number))) for number in range(3)]
    assert len(set(sets)) == 3
    assert (
        cube.demonstrated(Cell("en", "en", "et", 1, 0)) == cube.demonstrated(Cell("en", "en", "et", 2, 0))[:1]
    )


def test_demonstrations_show_the_right_choice(settings):
    assert "dry" not in make_cube(settings()).block(Cell("en", "en", "et", 2, 0))


def test_the_cube_has_each_cell_once_and_tells_its_size(settings):
    """k = 0: 2 templates x 3 languages. k = 2: 2 templates x 3 sets x (en for 3 + own for et and sw)."""
    cube = make_cube(settings())
    assert len(cube.cells) == len(set(cube.cells)) == 6 + 2 * 3 * 5
    size = cube.size()
    assert size["cells"] == 6 + 2 * 5
    assert size["blocks"] == 2 + 2 * 3 * 3  # no block at all counts as one for each template
    assert size["texts"] == 36 * 6 * 2
    assert size["bytes"] == sum(
        len((cube.block(cell) + text).encode())
        for cell in cube.cells
        for item in cube.tested[cell.test]
        for text in cube.asked(cell, item)
    )


def test_demonstrations_of_a_file_of_their_own_leave_all_items_to_test(settings, tmp_path):
    rows = [row | {"id": f"val-{row['id']}", "premise": f"{row['premise']} val"} for row in made_rows()]
    path = write_rows(tmp_path / "val.jsonl", rows)
    cube = make_cube(settings(demonstration_files=({"path": str(path)},)))
    assert {len(own) for own in cube.tested.values()} == {12}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"test_languages": ("et", "th")}, "test_languages: th: not in"),
        ({"demonstration_languages": ("th",)}, "demonstration_languages: th: neither in"),
        ({"template_languages": ("th",)}, "no template in th; there is one in en, et, sw"),
        ({"shots": (0, 7)}, "6 demonstrations in 'en' are fewer than 7 shots"),
        ({"shots": (6,)}, "would differ in nothing but order"),
        ({"most_texts": 100}, "the cube has 16 cells and 432 texts; allowed: at most most_texts=100"),
        ({"test_languages": ("klingon",)}, "'klingon' is no language code"),
        ({"high_resource": "sw"}, "high_resource: no demonstrations are in 'sw'; allowed: one of"),
        ({"files": "nowhere.jsonl"}, "languages.files=nowhere.jsonl: no such file"),
    ],
)
def test_bad_input_is_named(settings, given, said):
    with pytest.raises(ValueError, match=said):
        make_cube(settings(**given))


def test_a_second_file_of_demonstrations_does_not_replace_the_first(settings, tmp_path):
    rows = [row | {"id": f"val-{row['id']}", "premise": f"{row['premise']} val"} for row in made_rows()]
    path = write_rows(tmp_path / "val.jsonl", rows)
    with pytest.raises(
        ValueError, match=r"demonstration_files\[1\]: \d+ items in '\w+' have ids of an earlier file"
    ):
        make_cube(settings(demonstration_files=({"path": str(path)}, {"path": str(path)})))


def test_tested_items_among_demonstrations_are_counted_and_refused(settings, benchmark_file):
    with pytest.raises(ValueError, match="12 of 12 tested items in 'en' are among its demonstrations"):
        make_cube(settings(demonstration_files=({"path": str(benchmark_file)},)))


def test_items_that_are_another_languages_are_refused(settings, tmp_path):
    """sw is English word for word: the cube would compare English with itself."""
    english = made_rows(("en",))
    rows = [*english, *({**row, "lang": "sw", "id": row["id"].replace("-en-", "-sw-")} for row in english)]
    with pytest.raises(ValueError, match="12 of 12 items in 'sw' are word for word those in 'en'"):
        make_cube(settings(files=str(write_rows(tmp_path / "same.jsonl", rows))))
    hindi = [{**row, "lang": "hi", "id": row["id"].replace("-en-", "-hi-")} for row in english]
    with pytest.raises(
        ValueError, match="items in 'hi': said to be in 'hi', but 100% of its letters are LATIN"
    ):
        make_cube(
            settings(files=str(write_rows(tmp_path / "hi.jsonl", hindi)), demonstration_languages=("own",))
        )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('en: {cause: "{premise} because {choice}"}', "en: no template 'effect'"),
        ('en: {cause: "because {choice}", effect: "{premise} {choice}"}', r"is without \{premise\}"),
        (
            'en: {cause: "{premise} {choice} {answer}", effect: "{premise} {choice}"}',
            r"says \{answer\}; allowed",
        ),
        ('en: {cause: "{premise", effect: "{premise} {choice}"}', "en: cause"),
        ('xx: {cause: "{premise} {choice}", effect: "{premise} {choice}"}', "'xx' is no language code"),
        (
            'th: {cause: "{premise} sest {choice}", effect: "{premise} nii {choice}"}',
            "th: said to be in",
        ),
    ],
)
def test_bad_templates_are_named(settings, tmp_path, text, said):
    (tmp_path / "bad.yaml").write_text("written_by: machine\n" + text)
    with pytest.raises(ValueError, match=said):
        make_cube(settings(templates=tmp_path / "bad.yaml", template_languages=("own",), shots=(0,)))


def test_templates_say_who_wrote_them(settings, tmp_path):
    (tmp_path / "bad.yaml").write_text('en: {cause: "{premise} {choice}", effect: "{premise} {choice}"}')
    with pytest.raises(ValueError, match="written_by is None; allowed: human, machine"):
        make_cube(settings(templates=tmp_path / "bad.yaml"))
