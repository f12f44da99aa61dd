"""Tables of where the results come from: what they were made with, their keys, and their settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from storage.artifact import Artifact
from storage.artifacts import MANIFEST
from tasks.report.corpus_tables import seconds_of
from tasks.report.formatting import day, duration

ASKED = (("commit", "code commit"), ("python", "Python"), ("system", "system"), ("cores", "CPU cores"))
TRAINED = (("device", "device of training"), ("seed", "seed"))


def environment_rows(artifacts: Sequence[Artifact]) -> list[tuple[str, str]]:
    """(what, value); more than one value where stages were made at different times or places."""
    rows = [(words, _distinct(a.provenance.get(key) for a in artifacts)) for key, words in (*ASKED, *TRAINED)]
    packages: dict[str, list[str]] = {}
    for artifact in artifacts:
        for name, version in artifact.provenance.get("packages", {}).items():
            packages.setdefault(name, []).append(version)
    rows += [(name, _distinct(versions)) for name, versions in packages.items()]
    created = [a.provenance["created"] for a in artifacts if "created" in a.provenance]
    if created:
        rows.insert(0, ("made", " to ".join(dict.fromkeys((day(min(created)), day(max(created)))))))
    return rows


def _distinct(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None)) or "not recorded"


def key_rows(artifacts: Sequence[Artifact]) -> list[dict]:
    """One row an artifact: its key, the digest of its files, when and in how long it was made."""
    return [
        {
            "label": artifact.label,
            "key": artifact.key[:16],
            "digest": artifact.digest[:16],
            "made": day(artifact.provenance["created"]) if "created" in artifact.provenance else "–",
            "seconds": duration(seconds_of(artifact)),
            "settings": _settings(artifact),
        }
        for artifact in artifacts
    ]


def _settings(artifact: Artifact) -> str:
    path = artifact.path / MANIFEST
    if not path.is_file():
        return ""
    return json.dumps(json.loads(path.read_text(encoding="utf-8"))["settings"], indent=1, ensure_ascii=False)
