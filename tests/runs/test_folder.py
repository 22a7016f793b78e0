"""Laws of a new run's folder: it is nobody else's, and nothing is left where nothing was begun."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from run_cases import tiny

from r2d2.runs.folder import RunError, new_folder


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.strftime", lambda _: "20261130-120000")

    def begin(number: int) -> Path:
        with new_folder(tiny(), "dqn") as folder:
            (folder / "config.json").write_text(str(number))
        return folder

    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(begin, range(16)))
    assert len(set(folders)) == 16
    assert [int((folder / "config.json").read_text()) for folder in folders] == list(range(16))
    name = "CartPole-v1-dqn-s0-20261130-120000"
    assert {folder.name for folder in folders} == {name, *(f"{name}-{i}" for i in range(2, 17))}


def test_the_name_of_a_task_of_ones_own_is_a_file_name() -> None:
    with new_folder(tiny(env__id="../my tasks/maze.py:make maze"), "dqn") as folder:
        assert folder.parent == Path("runs")
        assert folder.name.startswith("make_maze-dqn-s0-")


@pytest.mark.parametrize("asked", [None, Path("a/b/c")])
def test_a_run_that_did_not_begin_leaves_nothing(asked: Path | None, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with suppress(ZeroDivisionError), new_folder(tiny(), "dqn", asked) as folder:
        (folder / "lock").touch()
        raise ZeroDivisionError
    assert [file.name for file in tmp_path.iterdir()] == ["a"], "what was there before stays"
    assert not list((tmp_path / "a").iterdir())


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(RunError, match=r"full is not empty .*thesis\.txt.*r2d2 resume full.*--run-dir"):
        new_folder(tiny(), "dqn", Path("full")).__enter__()
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file cannot be written .*--run-dir names another one"):
        new_folder(tiny(), "dqn", Path("file")).__enter__()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(RunError, match=r"the run folder here cannot be written"):
        new_folder(tiny(), "dqn", Path("here")).__enter__()
