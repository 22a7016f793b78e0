"""Laws of the checks: every number has finite bounds beside it, and what no run can have is refused by name."""

from __future__ import annotations

import dataclasses
import math
import typing
from typing import Any

import pytest
from run_cases import tiny

from r2d2.config import Config, check_config
from r2d2.config.bounds import Bounds, bounds_of
from r2d2.config.presets import PRESETS

SECTIONS = {section.name: type(getattr(Config(), section.name)) for section in dataclasses.fields(Config)}


def number_fields() -> list[str]:
    """Every field that holds an int or a float, whether it may also be None or not."""
    return [
        f"{section}.{name}"
        for section, cls in SECTIONS.items()
        for name, kind in typing.get_type_hints(cls).items()
        if {kind, *typing.get_args(kind)} & {int, float} and typing.get_origin(kind) not in (tuple, dict)
    ]


def with_value(name: str, value: Any) -> Config:
    section, _, field = name.partition(".")
    return dataclasses.replace(
        Config(), **{section: dataclasses.replace(getattr(Config(), section), **{field: value})}
    )


def bounds(name: str) -> Bounds:
    section, _, field = name.partition(".")
    return bounds_of(SECTIONS[section])[field]


def test_the_numbers_are_found() -> None:
    assert {"replay.replay_ratio", "run.stop_return", "cluster.slack", "env.num_envs"} <= set(number_fields())
    assert len(number_fields()) > 60


@pytest.mark.parametrize("name", number_fields())
def test_every_number_has_finite_bounds_and_nothing_else_passes(name: str) -> None:
    """Both ends are allowed; beyond them, NaN and infinity are refused with the field and its bounds."""
    low, high = bounds(name).low, bounds(name).high
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert low <= high
    integral = isinstance(getattr(getattr(Config(), name.split(".")[0]), name.split(".")[1]), int)
    beyond: list[float] = [low - 1 - abs(low), 2 * high + 1]
    for value in beyond if integral else [*beyond, math.nan, math.inf, -math.inf]:
        with pytest.raises(ValueError, match=rf"^{name} must be from .* to .*, got "):
            check_config(with_value(name, int(value) if integral else float(value)))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_passes(preset: str) -> None:
    check_config(PRESETS[preset])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replay__period": 9}, r"replay\.period must be in \[1, unroll=8\] so that no action .* got 9"),
        ({"replay__steps": 14}, r"replay\.steps must be at least the 15 rows of one item .* got 14"),
        ({"replay__long_term": 1.0}, r"replay\.long_term must be below 1"),
        (
            {"replay__alpha_steps": 1000, "replay__selector": "uniform"},
            r"replay\.alpha_steps=1000 needs .* got uniform: leave it 0",
        ),
        (
            {"learner__graphs": True, "learner__learning_rate_end": 0.5},
            r"learning_rate_end must be 1 with learner\.graphs",
        ),
        (
            {"learner__target_clip": True, "learner__discount": 1.0},
            r"target_clip needs a learner\.discount below 1",
        ),
        ({"learner__method": "sac"}, r"rescaling must be false with learner\.method sac"),
        (
            {"learner__method": "td3", "learner__rescaling": False},
            r"exploration must be noise or linear .* got ladder",
        ),
        (
            {"learner__method": "sac", "learner__rescaling": False, "learner__target": "retrace"},
            r"target must be n-step .* with learner\.method sac",
        ),
    ],
)
def test_fields_that_contradict_each_other_are_refused(changes: dict[str, Any], message: str) -> None:
    check_config(tiny())
    with pytest.raises(ValueError, match=message):
        check_config(tiny(**changes))


def test_a_value_of_the_wrong_type_is_refused_in_a_config_made_in_python() -> None:
    """A dataclass takes anything; the command line and `from_dict` do not see what Python makes."""
    with pytest.raises(ValueError, match=r"replay\.codec must be one of raw, lz4, zstd, got 'zip'"):
        check_config(with_value("replay.codec", "zip"))
    with pytest.raises(ValueError, match=r"learner\.batch must be .*int.*, got '64'"):
        check_config(with_value("learner.batch", "64"))
