"""Prints the measured claims: `make bench`, or `python -m tests.bench training_engine overhead` for some."""

from __future__ import annotations

import importlib
import sys

import flows  # noqa: F401 sets what libraries read when they are imported

MIXTURE = (
    "mixture_solver",
    "mixture_value",
    "merged_proxies",
    "utility_agreement",
    "judges",
    "laws",
    "mixture_duel",
)
STITCH = ("stitch_speed", "stitch_sweep", "stitch_duel", "real_stitch")
PREFERENCE = ("preference_speed", "preference_goal")
GENERAL = (
    "training_engine",
    "overhead",
    "kept_gains",
    "memory",
    "stability",
    "recovery",
    "evaluation_speed",
    "sequential_stopping",
    "sampling_speed",
)
FAMILIES = ("moe_efficiency",)
HOURS = ("cached_runs", "many_stages")
CORPORA = ("near_copies_found",)
BENCHES = (*GENERAL, *FAMILIES, *MIXTURE, *STITCH, *PREFERENCE, *HOURS, *CORPORA)


def main() -> None:
    from storage.provenance import environment

    wanted = sys.argv[1:] or GENERAL
    unknown = sorted(set(wanted) - set(BENCHES))
    if unknown:
        raise SystemExit(f"no bench {unknown}; allowed: {', '.join(BENCHES)}")
    made_with = environment()
    print(f"commit {made_with['commit']}, {made_with['system']}, {made_with['cores']} cores", flush=True)
    for name in wanted:
        for line in importlib.import_module(f"tests.bench.{name}").measure():
            print(line, flush=True)


if __name__ == "__main__":
    main()
