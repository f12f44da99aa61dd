"""Whether a home and the site beside it can be worked with: tried, not asked."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from storage.artifacts import ArtifactStore
from storage.home import Home
from storage.objects import Objects
from storage.provenance import environment
from storage.shared_store import SharedStore
from storage.site import Site
from storage.stages import Stage

PROBE = bytes(range(256)) * 4096
MOST_SKEW = 60.0
FEWEST_BYTES = 5e9


@dataclass(frozen=True)
class Check:
    """What was tried, whether it went well, and what was found; where it did not, what to do."""

    name: str
    is_well: bool
    told: str


def check_home(home: Home) -> Iterator[Check]:
    """The home's disk, and what results are made with here."""
    free = shutil.disk_usage(home.root).free
    told = f"{free / 1e9:.1f} GB free at {home.root}"
    if free < FEWEST_BYTES:
        told += (
            f"; at least {FEWEST_BYTES / 1e9:.0f} GB are wanted: free some, or name another by MIXSTITCH_HOME"
        )
    yield Check("disk", free >= FEWEST_BYTES, told)
    own = environment()
    yield Check("packages", True, ", ".join(f"{name} {version}" for name, version in own["packages"].items()))


def check_site(site: Site) -> Iterator[Check]:
    """The store of the site, in a folder of its own there that is removed again."""
    try:
        site.check_endpoint()
        whole = site.objects()
        objects = site.model_copy(update={"store": f"{site.store}/doctor-{uuid.uuid4().hex[:8]}"}).objects()
        for name, tried in (
            ("store", _round_trip),
            ("first come", _first_come),
            ("clock", _clock),
            ("two homes", _two_homes),
        ):
            yield Check(name, *tried(objects))
        yield Check("versions", *_versions(whole))
        for name in objects.names(""):
            objects.remove(name)
    except ValueError as error:
        yield Check("store", False, str(error))


def _round_trip(objects: Objects) -> tuple[bool, str]:
    with TemporaryDirectory() as folder:
        sent, back = Path(folder) / "sent", Path(folder) / "back"
        sent.write_bytes(PROBE)
        began = time.monotonic()
        objects.put("probe", sent)
        is_there = objects.get("probe", back)
        took = time.monotonic() - began
        if not is_there or back.read_bytes() != PROBE:
            return (
                False,
                f"{objects.place}: what was written did not come back as it was; it cannot hold results",
            )
    return True, f"{objects.place}: {len(PROBE) / 2**20:.0f} MiB there and back in {took:.2f} s"


def _first_come(objects: Objects) -> tuple[bool, str]:
    if [objects.create("first", b"1"), objects.create("first", b"2")] == [True, False]:
        return True, "of two results of one key the first one stays"
    return False, (
        "a second result of one key took the place of the first: the server does not know If-None-Match; results stay "
        "whole, but two machines may go on from different ones: take a newer server"
    )


def _clock(objects: Objects) -> tuple[bool, str]:
    with TemporaryDirectory() as folder:
        (Path(folder) / "now").write_bytes(b"")
        objects.put("now", Path(folder) / "now")
    skew = objects.modified("now") - time.time()
    told = f"{skew:+.1f} s beside the store's"
    return abs(skew) <= MOST_SKEW, told + (
        "" if abs(skew) <= MOST_SKEW else "; requests are refused: set it by NTP"
    )


def _two_homes(objects: Objects) -> tuple[bool, str]:
    """Two stages made in one home and found from another that is empty."""
    with TemporaryDirectory() as folder:
        made = [_toy(Path(folder) / name, objects) for name in ("one", "two")]
    hits = [[stage.hit for stage in stages] for stages in made]
    digests = [[stage.digest for stage in stages] for stages in made]
    if hits == [[False, False], [True, True]] and digests[0] == digests[1]:
        return True, "two stages made in one home were found from an empty one"
    return False, f"what one home made was not found from another (found: {hits[1]}): see the lines above"


def _toy(root: Path, objects: Objects) -> list:
    home = Home(root)
    for folder in (home.artifacts, home.work, home.locks):
        folder.mkdir(parents=True)
    store = ArtifactStore(home)
    store.shared = SharedStore(objects)

    def build(folder: Path) -> dict:
        (folder / "file").write_bytes(PROBE)
        return {}

    first = store.produce(Stage("doctor-first", 1, {}, {}, build))
    return [first, store.produce(Stage("doctor-second", 1, {}, {"first": first.digest}, build))]


def _versions(objects: Objects) -> tuple[bool, str]:
    """This machine's packages beside those of the newest result there."""
    own, newest, damaged = environment()["packages"], None, []
    for name, manifest in SharedStore(objects).manifests():
        if manifest is None:
            damaged.append(name)
        elif newest is None or manifest["provenance"]["created"] > newest["created"]:
            newest = manifest["provenance"]
    if damaged:
        return (
            False,
            f"{len(damaged)} manifests cannot be read, {damaged[0]} first: what they tell of is made again",
        )
    if newest is None:
        return True, "no result is there yet"
    theirs = newest.get("packages", {})
    others = [
        f"{name} {own[name]} here, {theirs[name]} there"
        for name in own
        if theirs.get(name, own[name]) != own[name]
    ]
    if others:
        return (
            False,
            f"the newest result was made with others: {', '.join(others)}; install deploy/constraints.txt",
        )
    return True, "as those of the newest result"
