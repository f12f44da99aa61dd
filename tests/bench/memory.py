"""Peak memory of the stage `sources` on 2 GB of text beside that on 200 MB, above an idle import."""

from __future__ import annotations

import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SMALL, LARGE = 200, 2_000  # MB of text
WORDS = 8_000


def measure() -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        idle = _peak(folder, 0)
        repeats = [_peak(folder, SMALL) - idle for _ in range(3)]
        small, large = statistics.median(repeats), _peak(folder, LARGE) - idle
    return [
        f"peak memory of sources above an idle import ({idle:.0f} MB): {small:.0f} MB on {SMALL} MB of text "
        f"({min(repeats):.0f} to {max(repeats):.0f} over 3 runs), {large:.0f} MB on {LARGE} MB: "
        f"ratio {large / small:.3f} (claim: at most 1.1)"
    ]


def _peak(folder: str, megabytes: int) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.memory", folder, str(megabytes)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


def write_text(path: Path, megabytes: float, random_seed: int = 0) -> None:
    """Documents of a few kB of made-up words, none twice."""
    draw = random.Random(random_seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(WORDS)]
    written = 0
    with path.open("w", encoding="utf-8") as stream:
        while written < megabytes * 1_000_000:
            text = " ".join(draw.choices(words, k=600))
            stream.write(json.dumps({"text": text}) + "\n")
            written += len(text)


def _main(folder: Path, megabytes: int) -> None:
    import transformers  # noqa: F401  part of the idle import

    from tasks.sources.preparation import prepare
    from tasks.sources.settings import SourceSettings, SourcesSettings, TokenizerSettings

    if megabytes:
        path = folder / f"{megabytes}.jsonl"
        write_text(path, megabytes)
        source = SourceSettings(name="text", reader="jsonl", path=str(path))
        settings = SourcesSettings(
            listed=(source,),
            workers=1,
            tokenizer_sample_bytes=1_000_000,
            tokenizer=TokenizerSettings(vocab_size=2048),
        )
        prepare([source], settings, lambda heldout: [], {}, 0.3, folder / str(megabytes), lambda text: None)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), int(sys.argv[2]))
