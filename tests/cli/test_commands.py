"""Laws of the commands: one table makes help and dispatch, and words are read in one way only."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from checkpoint_cases import SOURCE
from run_cases import call

import r2d2
from r2d2.build import sizes
from r2d2.cli.command import Command, Group
from r2d2.cli.commands import COMMANDS, EXIT_CODES
from r2d2.cli.main import dropping_unread_output, is_message
from r2d2.cli.replay.group import COMMANDS as REPLAY_COMMANDS
from r2d2.cli.train import COMMAND as TRAIN
from r2d2.config import Config
from r2d2.runtime import training

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("group", [COMMANDS, REPLAY_COMMANDS], ids=lambda group: group.name)
def test_help_is_made_from_the_table_and_fits_80_columns(group: Group, capsys: Capture) -> None:
    usage = call(capsys, *group.name.split()[1:], "--help").out
    for name in group.modules:
        command = group.load(name)
        assert isinstance(command, Command)
        assert f"  {name} {command.arguments}\n      {command.summary}\n" in usage
    assert max(len(line) for line in usage.splitlines()) <= 80


def test_the_version_and_the_exit_codes_are_told(capsys: Capture) -> None:
    output = call(capsys, "--version")
    assert (output.code, output.out) == (0, f"r2d2 {r2d2.__version__}\n")
    text = call(capsys, "--help").out
    assert all(f"{code:<4}{meaning}" in text for code, meaning in EXIT_CODES.items())


# --- the preset among the words -----------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, Config]]:
    """Runs that `train` would have started, as preset and config."""
    calls: list[tuple[str, Config]] = []

    def start(config: Config, run_dir: Path, *, preset: str) -> int:
        calls.append((preset, config))
        return 0

    monkeypatch.setattr(training, "start", start)
    monkeypatch.setattr(sizes, "report", lambda config, *_: calls.append(("dry", config)) or 0)
    monkeypatch.chdir(tmp_path)
    return calls


@pytest.mark.parametrize(
    ("words", "preset", "tags"),
    [
        ("dqn+n3 --env CartPole-v1", "dqn+n3", ()),
        ("--env CartPole-v1 dqn+n3", "dqn+n3", ()),  # the last word belongs to no option
        ("--run.tags fast dqn", "r2d2", ("fast", "dqn")),  # both are tags
        ("dqn --run.tags fast memory", "dqn", ("fast", "memory")),
        ("--run.tags fast dqn --env X memory", "memory", ("fast", "dqn")),
        ("--env CartPole-v1 --run-dir dqn", "r2d2", ()),  # a folder
        ("--dry-run memory", "dry", ()),
    ],
)
def test_a_word_is_the_preset_if_no_option_takes_it(
    words: str, preset: str, tags: tuple[str, ...], capsys: Capture, started: list[tuple[str, Config]]
) -> None:
    output = call(capsys, "train", *words.split())
    assert output.code == 0, output.err
    ((name, config),) = started
    assert name.startswith(preset)
    assert config.run.tags == tags
    if preset == "r2d2":
        assert "preset r2d2" in output.out, "which agent is trained is never a secret"
    if preset == "dry":
        assert config.network.core_width == 64, "preset memory"


@pytest.mark.parametrize(
    "words", ["dqn fast", "--env CartPole-v1 dqn memory", "dqn --replay.steps 3000 4000"]
)
def test_a_word_too_many_is_an_error(words: str, capsys: Capture, started: list[tuple[str, Config]]) -> None:
    output = call(capsys, "train", *words.split())
    assert output.code == 2
    assert words.split()[-1] in output.err
    assert not started


def test_the_help_of_train_begins_with_what_people_set(capsys: Capture) -> None:
    """PRESET first, then ten options with the preset's own values, then all of them."""
    text = call(capsys, "train", "memory", "--help").out
    assert text.startswith("usage: r2d2 train [PRESET] [OPTIONS]\n")
    head, _, rest = text.partition("All options")
    shown = [line.split()[0] for line in head.splitlines() if line.startswith("  --")]
    assert len(shown) == 10
    assert "[Recall-v0]" in head
    assert "--replay.period" not in head
    assert "--replay.period" in rest
    for option in shown:
        assert cli_takes(option), option


def cli_takes(option: str) -> bool:
    value = {"--env.options": ["delay", "20"], "--env.num-envs": ["8"], "--steps": ["9"], "--seed": ["1"],
             "--dry-run": [], "--runtime": ["local"], "--track": ["none"]}  # fmt: skip
    words = ["dqn", "--no-such-option", option, *value.get(option, ["x"])]
    try:
        TRAIN.run([word for word in words if word != "--no-such-option"] + ["--replay.period", "0"])
    except ValueError as error:
        return "replay.period" in str(error)
    except SystemExit:
        return False
    return False


# --- errors and streams -------------------------------------------------------------------------------------


def caught(function: Any) -> Exception:
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_only_errors_that_we_wrote_are_shown_short(tmp_path: Path) -> None:
    """A ValueError of numpy within our code, or of an environment, is a fault whose traceback is wanted."""
    import numpy as np

    from r2d2.replay import Sequencer
    from r2d2.replay.draw import importance_weights

    assert is_message(caught(lambda: Sequencer(1, burn_in=0, unroll=4, n_step=1, period=9)))
    assert not is_message(caught(lambda: int("x")))  # a user's own code
    assert not is_message(caught(lambda: np.zeros((2, 2)) + np.zeros(3)))
    assert not is_message(caught(lambda: importance_weights("x")))  # type: ignore[arg-type, call-arg]


def test_a_reader_that_goes_away_is_no_error() -> None:
    """`r2d2 ... | head -1`, and a reader that is gone before anything is written."""
    for words in ("--help", "train --help", "replay --help", "--version", "train zzz", "resume --help"):
        done = subprocess.run(
            f"set -o pipefail; {sys.executable} -m r2d2 {words} 2>&1 | (sleep 0.2; true)",
            shell=True, executable="/bin/bash", capture_output=True, text=True, cwd=SOURCE, timeout=60,
        )  # fmt: skip
        assert done.returncode == (2 if words == "train zzz" else 0), words
        assert done.stderr == "", words


def test_a_warning_does_not_run_into_the_live_line() -> None:
    """What a library writes to stderr begins a line of its own on the screen."""

    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    for screen, expected in ((Screen(), "10 steps\nwarning\n"), (io.StringIO(), "10 steps")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdout", screen)
            patch.setattr(sys, "stderr", screen if screen.isatty() else io.StringIO())
            with dropping_unread_output():
                sys.stdout.write("10 steps")
                print("\nwarning" if screen.isatty() else "warning", file=sys.stderr)
        assert screen.getvalue() == expected


def test_no_color_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by what others print: a command's help comes in colors on a screen."""
    for value, expected in (("1", "\r\x1b[2Kusage\n"), ("", "\r\x1b[2K\x1b[37;2musage\x1b[0m\n")):
        screen = io.StringIO()
        monkeypatch.setenv("NO_COLOR", value)
        monkeypatch.setattr(sys, "stdout", screen)
        with dropping_unread_output():
            print("\r\x1b[2K\x1b[37;2musage\x1b[0m")
        assert screen.getvalue() == expected
