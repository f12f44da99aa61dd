"""Sources have a language: as set, by a field of their documents, or detected; the tokenizer may be balanced by it."""

from __future__ import annotations

import json

import pytest

from tasks.sources.language_checks import check_script, detected_language
from tasks.sources.language_codes import checked_code, code_of
from tasks.sources.preparation import shares_of_bytes
from tasks.sources.readers import read_documents
from tasks.sources.resolving import resolve_sources
from tasks.sources.settings import SourceSettings, SourcesSettings

ROWS = [("est", "tere"), ("deu", "hallo"), ("est", "head aega"), ("swh", "habari")]


@pytest.fixture
def mixed(tmp_path):
    path = tmp_path / "mixed.jsonl"
    path.write_text("".join(json.dumps({"lang": lang, "text": text}) + "\n" for lang, text in ROWS))
    return path


def resolved(path, **given):
    given = {"name": "talk", "reader": "jsonl", "path": str(path), "language_field": "lang", **given}
    return resolve_sources(SourcesSettings(listed=(SourceSettings(**given),)))


@pytest.mark.parametrize(
    ("told", "code"),
    [("et", "et"), ("est", "et"), ("ekk", "et"), ("EN", "en"), ("zh-Hans", "zh"), ("cmn_hant", "zh"), ("por_BR", "pt"),
     ("ber", "ber"), ("x-made", "x-made"), ("007", None), ("klingon", None)],
)  # fmt: skip
def test_codes_of_one_language_are_one(told, code):
    assert code_of(told) == code


def test_an_unknown_code_is_refused():
    with pytest.raises(ValueError, match="here: 'tz' is no language code"):
        checked_code("tz", "here")
    with pytest.raises(ValueError, match="language: 'estonian' is no language code"):
        SourceSettings(name="a", reader="python-code", language="estonian")


def test_a_field_makes_a_source_of_each_language(mixed):
    found = {source.name: (source.language, list(read_documents(source))) for source in resolved(mixed)}
    assert found == {
        "talk-de": ("de", ["hallo"]),
        "talk-et": ("et", ["tere", "head aega"]),
        "talk-sw": ("sw", ["habari"]),
    }
    assert [source.name for source in resolved(mixed, languages=("sw", "et"))] == ["talk-et", "talk-sw"]


def test_csv_and_parquet_have_such_fields_too(tmp_path, mixed):
    import pandas as pd

    table = pd.DataFrame(ROWS, columns=["lang", "text"])
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "a.parquet")
    for reader in ("csv", "parquet"):
        source = SourceSettings(
            name="a", reader=reader, path=str(tmp_path / f"a.{reader}"), language="et", language_field="lang"
        )
        assert list(read_documents(source)) == ["tere", "head aega"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"languages": ("et", "th")},
            r"languages: no document says th in field 'lang'; it says deu, est, swh",
        ),
        ({"language_field": "tongue"}, "field 'tongue' is None, no language"),
        (
            {"language": "et", "languages": ("et",)},
            "languages: goes with language_field, and without language",
        ),
        ({"reader": "text"}, "reader 'text' has no fields"),
    ],
)
def test_what_is_wrong_with_languages_is_named(mixed, given, said):
    with pytest.raises(ValueError, match=said):
        resolved(mixed, **given)


def test_a_field_with_what_is_no_language_is_refused(tmp_path):
    path = tmp_path / "odd.jsonl"
    path.write_text('{"text": "t", "lang": "klingon"}\n')
    with pytest.raises(
        ValueError, match="source 'talk': language_field 'lang': 'klingon' is no language code"
    ):
        resolved(path)


def test_detection_names_the_extra_that_it_needs(mixed, monkeypatch):
    monkeypatch.setattr("tasks.sources.language_checks.find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=r"lingua, which is not there; allowed: pip install 'mixstitch\[languages\]'"
    ):
        resolved(mixed, language_field=None, language="detect")


def test_long_texts_tell_their_language():
    pytest.importorskip("lingua")
    said = {
        "de": "Der Ausschuss hat gestern beschlossen, dass die neue Brücke gebaut wird, und die Bürger freuen sich.",
        "et": "Komitee otsustas eile, et uus sild ehitatakse, ja linna elanikud on selle üle väga rõõmsad.",
        "zh": "委员会昨天决定修建新的大桥，市民们都非常高兴。",
    }
    for code, text in said.items():
        assert detected_language([text * 5, text * 5, ""], "here") == code


def test_haitian_creole_is_not_hindi():
    """The example of the XGLM card that names the wrong language."""
    texts = ["M te vle konsève enèji.", "Flam bouji a te etenn."]
    check_script(texts, "ht", "here")
    with pytest.raises(ValueError, match="here: said to be in 'hi', but 100% of its letters are LATIN"):
        check_script(texts, "hi", "here")
    check_script(["我想节约能源。"], "zh", "here")
    check_script(["1234 !?"], "zh", "here")  # no letter says anything


def test_the_tokenizer_reads_as_much_of_every_language():
    """et has 300 in two sources, de 900: 300 of each, those of et by size; at most 150 are 150 of each."""
    sizes, groups = {"a": 100, "b": 200, "c": 900}, {"a": "et", "b": "et", "c": "de"}
    assert shares_of_bytes(sizes, groups, 1000) == {"a": 100, "b": 200, "c": 300}
    assert shares_of_bytes(sizes, groups, 150) == {"a": 50, "b": 100, "c": 150}
    assert shares_of_bytes(sizes, {name: name for name in sizes}, 1000) == {"a": 100, "b": 100, "c": 100}


def test_a_balance_over_languages_needs_them(mixed):
    source = SourceSettings(name="code", reader="python-code", max_bytes=1000)
    with pytest.raises(ValueError, match="tokenizer_balance='languages': code: no language"):
        resolve_sources(SourcesSettings(listed=(source,), tokenizer_balance="languages"))


def test_what_the_tokenizer_makes_of_a_language_is_said_before_anything_is_trained():
    """et: 60 bytes in 20 tokens over two sources; th: 10 in 10."""
    from tasks.sources.task import bytes_per_token

    sources = {
        "a": {"language": "et", "bytes": 40, "tokens": 10},
        "b": {"language": "et", "bytes": 20, "tokens": 10},
        "c": {"language": "th", "bytes": 10, "tokens": 10},
        "d": {"language": None, "bytes": 10, "tokens": 10},
    }
    assert bytes_per_token(sources) == {"th": 1.0, "et": 3.0}


def test_made_languages_are_the_same_every_time_and_differ_from_each_other():
    """Half of a language's words are its family's but for a sound; of another family it has next to none."""
    from itertools import islice

    from tasks.sources.made_languages import made_language_documents

    def words(language: str) -> set[str]:
        return set(
            " ".join(islice(made_language_documents(language, 0), 200)).lower().replace(".", "").split()
        )

    first = list(islice(made_language_documents("x-north-ana", 0), 3))
    assert first == list(islice(made_language_documents("x-north-ana", 0), 3))
    ana, dun, bel = (words(language) for language in ("x-north-ana", "x-north-dun", "x-south-bel"))
    assert len(ana & dun) > 3 * len(ana & bel)
    assert len(ana & dun) < len(ana) / 2


def test_a_made_language_has_a_name_that_no_other_has():
    with pytest.raises(ValueError, match="reader 'made-language' makes one called x-FAMILY-NAME"):
        SourceSettings(name="a", reader="made-language", language="et", max_bytes=1000)
    with pytest.raises(ValueError, match="needs max_documents or max_bytes"):
        SourceSettings(name="a", reader="made-language", language="x-north-ana")
