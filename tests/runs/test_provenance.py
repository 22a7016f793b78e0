"""Laws of `r2d2.runs.provenance`: plain data, and never another project's commit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import r2d2
from r2d2.runs import provenance as provenance_module
from r2d2.runs.provenance import provenance


def test_provenance_is_plain_data_about_this_process() -> None:
    about = json.loads(json.dumps(provenance()))
    assert about["versions"]["numpy"] == np.__version__
    assert about["versions"]["python"] == sys.version.split()[0]
    assert about["command"] == sys.argv
    assert about["cpus"] == os.cpu_count()


def test_the_commit_is_that_of_the_source_and_a_change_makes_it_dirty(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=n", "-c", "user.email=e", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init")
    (tmp_path / "package").mkdir()
    (tmp_path / "file").write_text("1")
    git("add", ".")
    git("commit", "-m", "m")
    assert provenance_module._git(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "file").write_text("2")
    assert provenance_module._git(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": True}
    assert provenance_module._git(tmp_path / "package") is None  # another project's checkout


def test_the_source_is_the_folder_that_holds_the_package() -> None:
    """Or no run would know its commit."""
    assert Path(r2d2.__file__).resolve().parent == provenance_module.SOURCE / "r2d2"
