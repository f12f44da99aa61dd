"""The notebook of the first hour runs from top to bottom, here with the smallest recipe in place of pocket."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "first_hour.ipynb"
POCKET, TINY = 'load_recipe("pocket", size)', f'load_recipe("{ROOT / "tests" / "tiny.yaml"}")'


@pytest.fixture(scope="module")
def executed(tmp_path_factory, furnish):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    recipes = [cell for cell in notebook.cells if POCKET in cell.source]
    assert len(recipes) == 1
    recipes[0].source = recipes[0].source.replace(POCKET, TINY)
    folder = tmp_path_factory.mktemp("notebook")
    variables = {"MIXSTITCH_HOME": str(furnish(folder / "home").root), "PYTHONPATH": str(ROOT)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
        client.execute(env=os.environ | variables)
    return {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def output_of(executed, source: str) -> list:
    (outputs,) = [outputs for cell, outputs in executed.items() if source in cell]
    return outputs


def test_the_run_takes_one_line_and_gives_its_answer(executed):
    streams = [o for o in output_of(executed, "run_experiment(recipe)") if o.output_type == "stream"]
    text = "".join(o.text for o in streams)
    assert {o.name for o in streams} == {"stderr"}
    assert text.count("\n") == 1  # each stage is written over the one before
    assert "report" in text.rsplit("\r", 1)[-1]
    (result,) = [o for o in output_of(executed, "run_experiment(recipe)") if o.output_type != "stream"]
    assert "completed; tables" in result.data["text/plain"]
    assert "<p>" in result.data["text/html"]


def test_tables_are_dataframes_and_figures_are_drawn(executed):
    for source in ('["mixtures"]', "utility.pivot", "shown.pivot", 'plan["stages"]'):
        (table,) = output_of(executed, source)[-1:]
        assert "<table" in table.data["text/html"]
    (picture,) = output_of(executed, 'figures["losses"]')
    assert "image/png" in picture.data
    (page,) = output_of(executed, "outcome.report")[-1:]
    assert "report.html" in page.data["text/plain"]


def test_what_is_kept_in_the_repository_holds_no_outputs():
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)
