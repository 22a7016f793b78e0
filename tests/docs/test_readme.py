"""The README is true: its code runs, its presets and files exist."""

from __future__ import annotations

import re
from pathlib import Path

from r2d2.config.presets import PRESETS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_the_example_of_the_library_runs() -> None:
    """The replay without our agent, as a user would paste it."""
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    replay, batch = names["replay"], names["batch"]
    assert batch.columns["observation"].shape == (32, 17, 4)  # type: ignore[attr-defined]
    assert replay.steps_written > 2500  # type: ignore[attr-defined]
    assert len(set(replay.priorities())) > 32, "priorities were sent back"  # type: ignore[attr-defined]


def test_every_preset_is_described() -> None:
    for name in PRESETS:
        assert f"`{name}`" in README


def test_every_file_and_target_that_is_named_exists() -> None:
    for name in re.findall(r"`((?:r2d2|envs|experiments|tests)/[\w/.]*)`", README):
        assert (ROOT / name).exists(), name
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([\w-]+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile, target
