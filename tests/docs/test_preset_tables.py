"""The law of docs/presets.md: for every number of a preset it has the paper's, ours, and why they differ."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from r2d2.config import Config, to_dict
from r2d2.config.presets import PRESETS

PAGE = (Path(__file__).parents[2] / "docs" / "presets.md").read_text()
OURS = {"r2d2-small", "memory", "rsac", "rtd3", "rdpg"}  # no paper has them
WORDS = {"yes": True, "no": False}


def sections() -> dict[str, str]:
    """The text of each preset."""
    parts = re.split(r"^## `(.+)`$", PAGE, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def rows(name: str) -> dict[str, tuple[str, str, str]]:
    """Number -> (paper, here, why)."""
    found = re.findall(r"^\| `(.+?)` \| (.*?) \| (.*?) \| ?(.*?) ?\|$", sections()[name], flags=re.M)
    assert len({number for number, *_ in found}) == len(found)
    return {number: (paper, here, why) for number, paper, here, why in found}


def value(cell: str) -> Any:
    """What a cell says: a number, yes or no, or a word."""
    if cell in WORDS:
        return WORDS[cell]
    try:
        return float(cell.replace(",", ""))
    except ValueError:
        return cell


def flat(config: Config) -> dict[str, Any]:
    return {
        f"{section}.{field}": value
        for section, fields in to_dict(config).items()
        for field, value in fields.items()
    }


def base(name: str) -> Config:
    """What the section begins with."""
    named = re.match(r"\s*Like `(.+?)`, with the changes ", sections()[name])
    return PRESETS[named[1]] if named else Config()


def test_every_preset_of_a_paper_has_a_section() -> None:
    assert set(sections()) == set(PRESETS) - OURS


@pytest.mark.parametrize("name", sections())
def test_the_numbers_are_the_presets(name: str) -> None:
    values = flat(PRESETS[name])
    for number, (_, here, _) in rows(name).items():
        assert value(here) == values[number], number


@pytest.mark.parametrize("name", sections())
def test_no_number_that_a_preset_sets_is_left_out(name: str) -> None:
    before, after = flat(base(name)), flat(PRESETS[name])
    assert {number for number in after if after[number] != before[number]} <= set(rows(name))


@pytest.mark.parametrize("name", sections())
def test_what_is_not_the_papers_has_a_reason(name: str) -> None:
    for number, (paper, here, why) in rows(name).items():
        given = value(paper)
        assert given == value(here) or why or given == "not given", number
