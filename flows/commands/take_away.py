"""The command `mixstitch export`: a run's model as a folder that other tools load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.console import print_json


def export(
    run: Annotated[str, typer.Argument(help="A run's id, the beginning of one, or `latest`.")],
    model: Annotated[
        str, typer.Argument(help="A model as `show` names it, such as seed or stitched, or NAME@STEP.")
    ],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write the model to, new or empty.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a run's model with its tokenizer, settings of generation and card, so that it loads anywhere."""
    from flows.ending import unwound_by_signals
    from flows.environment import open_home
    from storage.artifacts import ArtifactStore
    from storage.new_folders import check_free, new_folder
    from storage.run_records import find_record
    from storage.runs import results_of
    from tasks.report.exporting import export_model, find_model

    out = out.expanduser()
    check_free(out, "DIR")
    home = open_home()
    artifacts = list(results_of(home, find_record(home, run)))
    found, place = find_model(artifacts, model)
    if ArtifactStore(home).find(found.stage, found.name, found.key) is None:
        raise ValueError(f"MODEL={model}: {found.path} is damaged; run the recipe again")
    with unwound_by_signals(), new_folder(out, "DIR") as (folder, _):
        export_model(artifacts, found, place, folder, model)
    if json:
        print_json({"model": model, "out": str(out)})
    else:
        print(f"{model}: {out}")
