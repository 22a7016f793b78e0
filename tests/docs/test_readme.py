"""The README is true: its presets, commands, files and links exist."""

from __future__ import annotations

import re
from pathlib import Path

from r2d2.cli.commands import COMMANDS
from r2d2.config.presets import PRESETS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_it_is_short() -> None:
    assert len(README.splitlines()) < 150


def test_every_preset_is_described() -> None:
    for name in PRESETS:
        assert f"`{name}`" in README


def test_every_file_and_target_that_is_named_exists() -> None:
    for name in re.findall(r"`((?:r2d2|envs|experiments|tests)/[\w/.]*)`", README):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", README):
        assert (ROOT / name).exists(), name
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([\w-]+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile, target


def test_every_command_that_is_named_exists() -> None:
    named = set(re.findall(r"^r2d2 (\w+)", README, re.MULTILINE))
    assert named == set(COMMANDS.modules)
