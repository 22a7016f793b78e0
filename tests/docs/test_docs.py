"""The code in docs/ runs as it stands, and the files that they name exist."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))


def episode(steps: int) -> dict[str, np.ndarray]:
    """What a person's play of CartPole may look like, [steps + 1, ...]."""
    rows = steps + 1
    ends = np.arange(rows) == steps - 1
    return {
        "observation": np.arange(rows * 4, dtype=np.float32).reshape(rows, 4),
        "previous_action": np.arange(rows, dtype=np.int32) % 3,
        "previous_reward": np.ones(rows, np.float32),
        "action": np.arange(rows, dtype=np.int32) % 2,
        "reward": np.ones(rows, np.float32),
        "terminated": ends,
        "truncated": np.zeros(rows, np.bool_),
    }


def test_the_code_about_datasets_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing comes last in the text and first here: the rest reads what it wrote."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "datasets.md").read_text(), re.DOTALL)
    read, files, write = blocks
    monkeypatch.chdir(tmp_path)
    exec(write, {"episodes": [episode(5), episode(9)]})
    Path("mine").rename("OUT")
    names: dict[str, object] = {}
    exec(read, names)
    assert names["episode"]["observation"].shape == (10, 4)  # type: ignore[index]
    exec(files, names)
    assert names["frames"].shape == (6, 4)  # type: ignore[attr-defined]
    assert names["actions"].shape == (5,)  # type: ignore[attr-defined]


def test_the_example_of_the_library_runs() -> None:
    """The replay without our agent, as a user would paste it."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    replay, batch = names["replay"], names["batch"]
    assert batch.columns["observation"].shape == (32, 17, 4)  # type: ignore[attr-defined]
    assert replay.steps_written > 2500  # type: ignore[attr-defined]
    assert len(set(replay.priorities())) > 32, "priorities were sent back"  # type: ignore[attr-defined]


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.stem)
def test_every_file_that_is_named_exists(doc: Path) -> None:
    for name in re.findall(r"`((?:r2d2|envs|experiments|tests|docs)/[\w/.]*)`", doc.read_text()):
        assert (ROOT / name).exists(), name
