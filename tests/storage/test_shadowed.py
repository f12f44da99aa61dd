"""A user's own folder of a name of ours is noticed where Python would read it in place of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from storage.shadowed import check_not_shadowed

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["models", "tasks"])
def test_a_package_in_front_of_ours_is_said_on_import(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    code = f"import sys; sys.path.append({str(ROOT)!r}); import flows"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert f"ImportError: {tmp_path / name} stands in front of the package '{name}'" in ended.stderr


def test_a_plain_folder_that_python_takes_for_a_package_is_said(tmp_path, monkeypatch):
    """As one of weights, where the project is installed by a path: Python then asks the folder first."""
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "models", raising=False)
    with pytest.raises(ImportError, match=f"{tmp_path / 'models'} stands in front of the package 'models'"):
        check_not_shadowed()


def test_nothing_is_said_of_other_folders(tmp_path):
    (tmp_path / "weights").mkdir()
    code = f"import sys; sys.path.append({str(ROOT)!r}); import flows, tasks"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
