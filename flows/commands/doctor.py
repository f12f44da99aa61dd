"""The command `mixstitch doctor`: whether this machine and the site that it shares results with can be worked with."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.console import print_json
from flows.environment import open_home

SiteFile = Annotated[
    Path | None,
    typer.Option("--site", help="YAML file that says where results are shared with other machines."),
]


def doctor(
    site: SiteFile = None, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Try what a run needs of this machine and of a site; one line each, exit status 1 where something is wrong."""
    from flows.engines.checking import check_servers, check_workers
    from storage.site import named_site
    from storage.site_check import Check, check_home, check_site

    named = named_site(site)
    home, gpus = open_home(), Check("GPUs", True, _gpus())
    checks = chain(check_home(home), [gpus])
    if named is not None:
        checks = chain(checks, check_site(named), check_servers(named), check_workers(named))
    found = []
    for check in checks:
        found.append(check)
        if not json:
            print(f"{'well ' if check.is_well else 'WRONG'}  {check.name:10}  {check.told}", flush=True)
    if json:
        print_json([vars(check) for check in found])
    if not all(check.is_well for check in found):
        raise typer.Exit(1)


def _gpus() -> str:
    import torch

    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return ", ".join(names) or "none; training runs on the CPU"
