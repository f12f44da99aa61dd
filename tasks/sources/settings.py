"""Settings of the sources stage."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from storage.trusted import PERHAPS_PLACE, PLACE
from tasks.sources.language_checks import DETECT
from tasks.sources.language_codes import checked_code
from tasks.tables.file_names import NAME_PATTERN
from tasks.tables.token_counts import TokenCount

MAX_SOURCE_NAME = 60
Reader = Literal[
    "jsonl",
    "parquet",
    "csv",
    "text",
    "huggingface",
    "python-code",
    "python-docs",
    "arithmetic",
    "noise",
    "made-language",
]
GENERATED = ("arithmetic", "noise", "made-language")
NEEDS = {"jsonl": "path", "parquet": "path", "csv": "path", "text": "path", "huggingface": "dataset"}


class StatedSize(BaseModel):
    """How large a source is whose text stays where it is: one of three ways to say so."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokens: TokenCount | None = Field(None, gt=0, description="Tokens; 1e12 and 1.2T are understood.")
    bytes: TokenCount | None = Field(
        None,
        gt=0,
        description="Bytes of text; 4e12 and 4T are understood. Tokens are told from the sample's.",
    )
    token_files: str | None = Field(
        None,
        description="Folder, file or glob of token files, which are counted and not read: .npy and .bin, or .idx of "
        "Megatron.",
        json_schema_extra=PLACE,
    )
    dtype: Literal["uint8", "uint16", "uint32", "int32", "int64"] | None = Field(
        None,
        description="Of a token in files that do not say it themselves: .bin, and .npy without a header.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> "StatedSize":
        given = [name for name in ("tokens", "bytes", "token_files") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"size: says {given or 'nothing'}; allowed: one of tokens, bytes, token_files")
        if self.dtype is not None and self.token_files is None:
            raise ValueError("size.dtype: has no effect without size.token_files")
        return self


class SourceSettings(BaseModel):
    """One source: a name and one reader."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=NAME_PATTERN,
        max_length=MAX_SOURCE_NAME,
        description="Name; identifies the source everywhere.",
    )
    reader: Reader = Field(description="How its documents are read.")
    path: str | None = Field(
        None,
        description="File or glob, for jsonl, csv, text (also .gz, .zst) and parquet.",
        json_schema_extra=PLACE,
    )
    text_field: str = Field("text", description="Field or column that holds a document's text.")
    dataset: str | None = Field(
        None,
        description="Hugging Face dataset, for reader huggingface (streamed).",
        json_schema_extra=PERHAPS_PLACE,
    )
    subset: str | None = Field(None, description="Configuration of the dataset.")
    split: str = Field("train", description="Split of the dataset.")
    revision: str | None = Field(
        None,
        description="Commit, branch or tag of the dataset; without it, or of a branch, the newest is read.",
    )
    max_documents: int | None = Field(None, gt=0, description="Stop reading after so many documents.")
    max_bytes: int | None = Field(None, gt=0, description="Stop reading after so many bytes of text.")
    random_seed: int = Field(
        0, ge=0, description="Seed of the generated sources (arithmetic, noise, made-language)."
    )
    language: str | None = Field(
        None,
        description="Language of its text: an ISO 639 code, x-NAME for one that has none, or `detect` (by lingua, of "
        "the extra `languages`). With language_field, only documents in that language are read.",
    )
    language_field: str | None = Field(
        None,
        description="Field or column that holds a document's language. Without `language`, there is a source for each "
        "language in it, named NAME-CODE.",
    )
    languages: tuple[str, ...] = Field(
        (), description="With language_field: the languages wanted, as codes; empty: all that are in it."
    )
    size: StatedSize | None = Field(
        None,
        description="How large the source is, where what is read of it is a sample: utilities, mixtures and plans then "
        "work from sample and size, and nothing can train on it here.",
    )

    @field_validator("language")
    @classmethod
    def _language_is_known(cls, language: str | None) -> str | None:
        return language if language in (None, DETECT) else checked_code(language, "language")

    @field_validator("languages")
    @classmethod
    def _languages_are_known(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(checked_code(language, "languages") for language in languages))

    @model_validator(mode="after")
    def _languages_have_a_field(self) -> "SourceSettings":
        where = f"source {self.name!r}: "
        if self.languages and (self.language_field is None or self.language is not None):
            raise ValueError(f"{where}languages: goes with language_field, and without language")
        if self.language_field is not None and self.reader not in ("jsonl", "parquet", "csv", "huggingface"):
            raise ValueError(
                f"{where}language_field: reader {self.reader!r} has no fields; allowed: language"
            )
        if self.language_field is not None and self.language == DETECT:
            raise ValueError(f"{where}language={DETECT!r} with language_field; allowed: one of them")
        if self.language_field is not None and self.language is None and self.reader == "huggingface":
            raise ValueError(
                f"{where}language_field: which languages a dataset holds is not known before it is read; allowed: a "
                "source a language, with language and language_field"
            )
        if self.language_field is not None and self.language is None and self.size is not None:
            raise ValueError(f"{where}size: of several languages together; allowed: a source a language")
        return self

    @model_validator(mode="after")
    def _reader_has_what_it_reads(self) -> "SourceSettings":
        needed = NEEDS.get(self.reader)
        if needed and getattr(self, needed) is None:
            raise ValueError(f"source {self.name!r}: reader {self.reader!r} needs {needed!r}")
        if self.reader == "made-language" and not (self.language or "").startswith("x-"):
            raise ValueError(
                f"source {self.name!r}: language={self.language!r}; reader 'made-language' makes one called "
                "x-FAMILY-NAME"
            )
        if self.reader in GENERATED and not (self.max_documents or self.max_bytes):
            raise ValueError(f"source {self.name!r}: a generated source needs max_documents or max_bytes")
        return self


class TokenizerSettings(BaseModel):
    """The tokenizer that everything is counted and trained with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pretrained: str | None = Field(
        None,
        description="Folder, GGUF file, package:NAME/FILE or Hugging Face name of a tokenizer; without it one is "
        "trained.",
        json_schema_extra=PERHAPS_PLACE,
    )
    vocab_size: int = Field(
        2048, ge=320, le=262_144, description="Vocabulary of a trained byte-level BPE tokenizer."
    )


def builtin_sources() -> tuple[SourceSettings, ...]:
    """The sources that exist on every machine, at the size of the pocket experiment."""
    size = 3_000_000
    return (
        SourceSettings(name="python-code", reader="python-code", max_bytes=size),
        SourceSettings(name="python-docs", reader="python-docs", max_bytes=size),
        SourceSettings(name="arithmetic", reader="arithmetic", max_bytes=size),
        SourceSettings(name="noise", reader="noise", max_bytes=size),
    )


class FuzzyDuplicates(BaseModel):
    """How alike two documents are of which one goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(
        0.8,
        ge=0.5,
        le=1,
        description="Jaccard similarity of their sets of n-grams from which on two documents are near duplicates.",
    )
    ngram: int = Field(5, ge=1, le=50, description="Words of an n-gram.")
    permutations: int = Field(
        128,
        ge=16,
        le=1024,
        description="MinHashes a document; the similarity is estimated as their equal share.",
    )


class SourcesSettings(BaseModel):
    """What text there is and how it is prepared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listed: tuple[SourceSettings, ...] = Field(
        default_factory=builtin_sources, description="The sources, each with a name and a reader."
    )
    folder: Path | None = Field(
        None,
        description="Folder of .jsonl, .jsonl.gz or .jsonl.zst files, each a source named for its file; where "
        "sources are listed, too, beside those. Without tasks of your own, a cloze task is made from each.",
    )
    heldout_share: float = Field(
        0.05, gt=0, lt=0.5, description="Share of documents kept out of training, chosen by document hash."
    )
    max_heldout_documents: int = Field(
        400, gt=0, description="Held-out documents kept a source for tasks and bits per byte (lowest hashes)."
    )
    sample_documents: int = Field(
        256, gt=0, description="Training documents sampled a source for the utility estimate."
    )
    sample_characters: int = Field(
        8_000, ge=200, description="Sampled and held-out documents are cut to so many characters."
    )
    tokenizer: TokenizerSettings = Field(default_factory=TokenizerSettings, description="The tokenizer.")
    tokenizer_sample_bytes: int = Field(
        1_000_000,
        ge=10_000,
        description="Bytes drawn from each source, or language, to train the tokenizer (equal shares).",
    )
    tokenizer_balance: Literal["sources", "languages"] = Field(
        "sources",
        description="What has equal bytes in the text that the tokenizer is trained on: every source, or every "
        "language (all sources must say theirs); sources of one language share its bytes by size.",
    )
    decontamination_words: int = Field(
        13,
        ge=4,
        le=50,
        description="A training document with so many words in a row of an item is removed (two characters of "
        "Chinese or Japanese, four of Thai, Lao, Burmese or Khmer count as a word).",
    )

    fuzzy_duplicates: FuzzyDuplicates | None = Field(
        None,
        description="Near duplicates go, too: of documents so alike the one with the lowest hash stays (MinHash, by "
        "datasketch, of the extra `fuzzy`). Empty: only identical documents go.",
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Processes that read and prepare the files; empty: one a core. Little text takes one in any case. "
        "It changes no result.",
    )

    @field_validator("listed")
    @classmethod
    def _names_are_unique(cls, listed: tuple[SourceSettings, ...]) -> tuple[SourceSettings, ...]:
        names = [source.name for source in listed]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"duplicate source names {repeated}: every source needs a name of its own")
        return listed

    @model_validator(mode="after")
    def _something_to_read(self) -> "SourcesSettings":
        if not self.listed and self.folder is None:
            raise ValueError("no sources: list some under sources.listed, or name a folder in sources.folder")
        return self
