"""`--env.options`: any argument of a constructor, in two forms."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from r2d2.cli.arguments import options_help, parse, parse_options
from r2d2.config import EnvConfig


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("delay 20 noise 0.5", {"delay": 20, "noise": 0.5}),
        ("map_name=8x8 is_slippery=false", {"map_name": "8x8", "is_slippery": False}),
        ("a=true b=True c=null d=None", {"a": True, "b": True, "c": None, "d": None}),
        ("low=-1 high -1e3", {"low": -1, "high": -1000.0}),
        ("'sizes=[1, 2]' 'a={\"b\": [null, {}]}'", {"sizes": [1, 2], "a": {"b": [None, {}]}}),
        (
            "'digits=\"20\"' empty= text=a=b path c=d",
            {"digits": "20", "empty": "", "text": "a=b", "path": "c=d"},
        ),
        ("'odd=[1,' nan=NaN inf=Infinity", {"odd": "[1,", "nan": "NaN", "inf": "Infinity"}),
        ("", {}),
    ],
)
def test_values_are_json_or_words(words: str, options: dict[str, Any]) -> None:
    read = parse(EnvConfig, ["--options", *shlex.split(words), "--num-envs", "3"], prog="r2d2").options
    assert read == options
    assert [type(value) for value in read.values()] == [type(value) for value in options.values()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["delay"], "delay has no value"),
        (["20", "delay"], "'20' is not NAME=VALUE"),
        (["=3"], "not NAME=VALUE"),
        (["a=1", "a", "2"], "a is given twice"),
        (["delay", "20", "dqn"], "dqn has no value"),
    ],
)
def test_what_cannot_be_read_is_named(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_options(words)


def test_a_word_that_cannot_be_read_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(EnvConfig, ["--options", "delay"], prog="r2d2")
    assert "delay has no value" in capsys.readouterr().err


def test_given_options_replace_those_of_the_preset_which_help_shows() -> None:
    default = EnvConfig(options={"delay": 3, "word": "x"})
    assert parse(EnvConfig, ["--options", "noise=1"], prog="r2d2", default=default).options == {"noise": 1}
    assert parse(EnvConfig, [], prog="r2d2", default=default).options == default.options
    shown = options_help(EnvConfig, default, "r2d2")
    assert "NAME=VALUE" in shown
    assert "delay=3" in shown
