"""The soak test in its smallest size, and that it would notice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from soak import Kill, Progress, check_flat, soak


def test_a_run_killed_at_random_moments_ends_as_one_that_was_left_alone(tmp_path: Path) -> None:
    """The thousand kills of `make soak`, two dozen of them; then the soak itself is found finished."""
    said: list[str] = []
    progress = soak(24, tmp_path, say=said.append)
    assert len(progress.kills) == 24
    assert any(kill.saving for kill in progress.kills)
    assert said[-1].startswith("soak: 24 kills")
    again = soak(24, tmp_path, say=said.append)
    assert dataclasses.replace(again, seconds=0) == dataclasses.replace(progress, seconds=0)
    with pytest.raises(SystemExit, match="a soak with 24 kills, not 25: use another --out"):
        soak(25, tmp_path)


@pytest.mark.parametrize("name", ["memory", "files", "disk"])
def test_growth_is_noticed(name: str) -> None:
    kills = [Kill(False, 400_000_000, 10, 240_000)] * 8
    check_flat(Progress(8, kills))
    leaking = [
        dataclasses.replace(kill, **{name: getattr(kill, name) * (1 + i)}) for i, kill in enumerate(kills)
    ]
    with pytest.raises(AssertionError, match=f"{name} grew from .* to .* over 8 kills"):
        check_flat(Progress(8, leaking))
