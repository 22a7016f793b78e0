"""Laws of the command line: a mistake costs a second and a sentence that helps, never a traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from checkpoint_cases import SOURCE, flip
from run_cases import Output, arguments, call, run_command, state

from r2d2.build import sizes
from r2d2.cli import arguments as cli
from r2d2.config.presets import PRESETS
from r2d2.runtime import training

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(output: Output, *parts: str, code: int = 2) -> None:
    """Exit code, all of the parts in the message, no traceback, and the message is short."""
    assert output.code == code, output
    for part in parts:
        assert part in output.err, output.err
    assert "Traceback" not in output.err
    assert len(output.err) < 1200


# --- train --------------------------------------------------------------------------------------------------


def test_without_a_command_the_usage_is_shown(capsys: Capture) -> None:
    output = call(capsys)
    assert output.code == 2
    assert all(word in output.out + output.err for word in ("train", "resume", "evaluate", *PRESETS))


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["trian"], ["'trian'", "did you mean train?", "evaluate"]),
        (["train", "r2d2-smal"], ["'r2d2-smal'", "did you mean r2d2-small?", "apex"]),
        (["train", "zzz"], ["'zzz'", "r2d2-small"]),
        (["train", "dqn", "--replay.alhpa", "1"], ["--replay.alhpa"]),
        (["train", "dqn", "--run.steps", "many"], ["--run.steps"]),
        (["train", "dqn", "--replay.codec", "zip"], ["--replay.codec", "zstd"]),
        (["train", "dqn", "--env", "ALE/Pogn-v5"], ["ALE/Pogn-v5", "ALE/Pong-v5"]),
        (["train", "dqn", "--env", "CartPol-v1"], ["CartPol-v1", "CartPole-v1"]),
        (["train", "dqn", "--env", "Pendulum-v1"], ["Pendulum-v1", "vectors", "use preset sac, td3 or ddpg"]),
        (["train", "r2d2", "--replay.period", "90"], ["period", "unroll=80", "90"]),
        (["train", "r2d2", "--replay.steps", "100"], ["steps", "100"]),
        (["train", "r2d2", "--run.device", "cuda:77"], ["run.device", "cuda:77", "cpu"]),
        (["train", "r2d2", "--env.options", "dleay", "3", "--env", "Recall-v0"], ["dleay", "Recall-v0"]),
        (["train", "r2d2", "--env.options", "max_farmes", "3", "--env", "ALE/Pong-v5"], ["max_frames"]),
        (["resume"], ["The run's folder. (required)"]),
        (["resume", "no/such/run"], ["no/such/run", "config.json"]),
        (["resume", ".", "--step", "3"], ["--step"]),
        (["evaluate", "no/such/run"], ["no/such/run", "config.json"]),
        (["evaluate", ".", "--episodes", "0"], ["--episodes", "from 1 to", "0"]),
        (["evaluate", ".", "--episodes", "99999999"], ["--episodes", "from 1 to", "99999999"]),
        (["evaluate", ".", "--seed", "-1"], ["--seed", "from 0 to", "-1"]),
        (["evaluate", ".", "--memory", "3", "0"], ["--memory", "from 1 to", "0"]),
        (["replay", "export", ".", "out", "--min-return", "nan"], ["--min-return", "from -1e+30", "nan"]),
    ],
)
def test_a_mistake_is_named_and_mended_in_one_message(
    args: list[str], parts: list[str], capsys: Capture, tmp_path: Path
) -> None:
    """...and leaves nothing behind: the next try finds the folder as it was."""
    if args[0] == "train" and "--env" not in args:
        args = [*args, "--env", "CartPole-v1"]
    if args[:1] == ["train"] and "--replay.steps" not in args:
        args = [*args, "--replay.steps", "3000"]
    tail = ["--track", "none", "--run-dir", "here"] if args[0] == "train" else []
    refused(call(capsys, *args, *tail), *parts)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("env.num_envs", 0), ("network.stack", 0), ("network.core-width", 0), ("learner.batch", 0),
        ("learner.target-period", 0), ("learner.learning-rate", "nan"), ("learner.discount", 1.5),
        ("replay.eta", 2), ("replay.min-steps", 0), ("actor.actor-update-period", 0), ("actor.epsilon-steps", 0),
        ("run.seed", -1), ("run.seed", 2**70), ("run.steps", 0), ("run.threads", -1), ("run.log-period", 0),
        ("run.evaluate-episodes", 0), ("replay.replay-ratio", 0), ("replay.unroll", 0), ("replay.n-step", 0),
    ],
)  # fmt: skip
def test_a_number_out_of_range_is_refused_before_anything_runs(
    name: str, value: Any, capsys: Capture, tmp_path: Path
) -> None:
    """Most of these would stop a run in the middle, with a traceback, or go on without sense."""
    output = call(capsys, "train", "dqn", *arguments(), f"--{name}={value}", "--run-dir", "here")
    refused(output, name.split(".")[-1].replace("-", "_"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "flag",
    [
        "--replay.ratio=nan", "--replay.ratio=inf", "--replay.period=0", "--network.forget-bias=nan",
        "--run.stop-return=nan", "--actor.epsilon-power=inf", "--learner.learning-rate=inf",
        "--cluster.slack=nan", "--replay.soft-surplus=inf", "--learner.max-grad-norm=nan",
    ],
)  # fmt: skip
def test_a_number_that_is_none_is_refused_before_anything_is_opened(
    flag: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No environment, no torch, no folder."""
    monkeypatch.setattr(training, "start", lambda *_, **__: pytest.fail("a run was begun"))
    output = call(capsys, "train", "dqn", "--env", "CartPole-v1", flag, "--run-dir", "here")
    refused(output, "must be from", flag.split("=")[1])
    assert not list(tmp_path.iterdir())


def test_a_network_larger_than_the_memory_is_refused_before_it_is_allocated(
    capsys: Capture, tmp_path: Path
) -> None:
    output = call(capsys, "train", "dqn", *arguments(), "--network.hidden", 99_999_999, "--run-dir", "here")
    refused(output, "the network needs", "bytes", "are available", "--network.hidden")
    assert not list(tmp_path.iterdir())


def test_a_replay_larger_than_the_memory_is_refused_before_it_is_allocated(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both numbers, in bytes, and what to change."""

    def build(*_: Any) -> None:
        raise AssertionError("something was allocated")

    monkeypatch.setattr(training, "LocalRun", build)
    monkeypatch.setattr(sizes, "available_bytes", lambda: 20_000_000_000)
    args = ["--env", "ALE/Pong-v5", "--env.num-envs", "2", "--replay.codec", "raw", "--track", "none"]
    output = call(capsys, "train", "r2d2", *args)
    refused(output, "28,744,000,000 bytes", "20,000,000,000 bytes", "observation", "--replay.steps")
    monkeypatch.setattr(sizes, "available_bytes", lambda: 40_000_000_000)
    with pytest.raises(AssertionError, match="allocated"):
        call(capsys, "train", "r2d2", *args)


def test_a_dry_run_says_the_bytes_and_leaves_nothing(capsys: Capture, tmp_path: Path) -> None:
    """By column, per step and at capacity, and what would fit; no folder is made."""
    output = call(capsys, "train", *arguments(), "--replay.steps", 1000, "--dry-run")
    assert output.code == 0
    assert re.search(r"observation +16\.00 bytes/step", output.out)  # CartPole: four float32
    assert re.search(r"up to [0-9,]+ steps .*asked for: 1,000", output.out)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_left_alone(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("do not lose me")
    output = call(capsys, "train", "dqn", *arguments(), "--run-dir", "full")
    refused(output, "full is not empty", "r2d2 resume full", "--run-dir")
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_short_forms_mean_the_long_ones(capsys: Capture, tmp_path: Path) -> None:
    """`--env=ID` as well as `--env ID`; the config in the run folder says what was understood."""
    long = arguments()
    args = ["--env=Recall-v0", "--seed", 3, "--steps=41", "--track", "none", "--run-dir", "here"]
    output = call(capsys, "train", "dqn", *long, *args)
    assert output.code == 0, output.err
    saved = json.loads((tmp_path / "here" / "config.json").read_text())
    config = saved["config"]
    assert saved["preset"] == "dqn"
    assert (config["env"]["id"], config["run"]["seed"], config["run"]["steps"]) == ("Recall-v0", 3, 41)
    assert config["network"]["core"] == "none"  # of the preset
    assert "r2d2 evaluate here" in output.out


def test_options_of_a_task_keep_whole_numbers_whole(capsys: Capture, tmp_path: Path) -> None:
    """As the field's own help shows them: `--env.options delay 20`."""
    args = [*arguments(run__steps=30), "--env", "Recall-v0", "--env.options", "delay", 3, "noise", 0.5]
    output = call(capsys, "train", "dqn", *args, "--run-dir", "here")
    assert output.code == 0, output.err
    options = json.loads((tmp_path / "here" / "config.json").read_text())["config"]["env"]["options"]
    assert options == {"delay": 3, "noise": 0.5}
    assert isinstance(options["delay"], int)


def test_the_default_folder_names_task_preset_and_seed(capsys: Capture, tmp_path: Path) -> None:
    assert call(capsys, "train", "dqn", *arguments(run__steps=20), "--seed", 4).code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"CartPole-v1-dqn-s4-\d{8}-\d{6}", folder.name)


def test_without_a_preset_one_is_picked_and_the_reason_given(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    output = call(capsys, "train", *arguments(run__steps=20), "--run-dir", "a")
    assert output.code == 0, output.err
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Some GPU")
    assert cli.pick_preset() == ("r2d2", "there is a CUDA device (Some GPU)")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cli.pick_preset()[0] == "r2d2-small"
    assert "because" in output.out


# --- help ---------------------------------------------------------------------------------------------------


def test_help_comes_fast_and_without_torch() -> None:
    """`--help` and `train dqn --help` with all fields, in a process that never imports torch."""
    script = """if 1:
        import sys
        from r2d2.cli.main import main
        assert main(["--help"]) == 0
        try:
            main(["train", "dqn", "--help"])
        except SystemExit as stop:
            assert stop.code == 0
        assert main(["train", "dqm"]) == 2
        assert "torch" not in sys.modules, "torch was imported"
    """
    start = time.monotonic()
    environ = os.environ | {"COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=SOURCE, env=environ
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start < 4 or os.getloadavg()[0] > 1.5
    text = " ".join(done.stdout.replace("│", " ").split())
    assert "usage: r2d2 COMMAND" in text
    assert "Steps between the starts of items; at most unroll. (default: 1)" in text  # DQN's own value
    assert "--run.stop-return" in text


@pytest.mark.parametrize("command", ["resume", "evaluate"])
def test_the_help_of_each_command_shows_its_options(command: str, capsys: Capture) -> None:
    output = call(capsys, command, "--help")
    assert output.code == 0
    assert "--checkpoint" in output.out
    assert "The run's folder." in output.out


# --- resume -------------------------------------------------------------------------------------------------


@pytest.fixture
def run_dir(tmp_path: Path, capsys: Capture) -> Path:
    """A finished run with two checkpoints."""
    assert call(capsys, "train", "dqn", *arguments(run__steps=300), "--run-dir", "run").code == 0
    return tmp_path / "run"


def test_a_finished_run_says_so_and_steps_extend_it(run_dir: Path, capsys: Capture) -> None:
    before = state(run_dir)
    output = call(capsys, "resume", run_dir)
    assert output.code == 0
    assert "--steps" in output.out
    assert state(run_dir)["counters"] == before["counters"]
    output = call(capsys, "resume", run_dir, "--steps", 350)
    assert output.code == 0, output.err
    assert 340 < state(run_dir)["actor"]["steps"] <= 350
    assert json.loads((run_dir / "config.json").read_text())["config"]["run"]["steps"] == 350


def test_a_damaged_checkpoint_names_the_file_and_the_previous_one_works(
    run_dir: Path, capsys: Capture
) -> None:
    flip(run_dir / "checkpoints" / "ckpt-00000002" / "arrays.bin")
    metrics = (run_dir / "metrics.jsonl").read_bytes()
    output = call(capsys, "resume", run_dir, "--steps", 350)
    refused(output, "ckpt-00000002/arrays.bin", "damaged", code=1)
    advice = re.search(r"r2d2 (resume \S+ --checkpoint \S+)", output.err)
    assert advice is not None
    assert "ckpt-00000001" in advice[1]
    assert (run_dir / "metrics.jsonl").read_bytes() == metrics
    assert call(capsys, "evaluate", run_dir).code == 0  # the weights are whole
    output = call(capsys, *advice[1].split(), "--steps", 350)
    assert output.code == 0, output.err
    assert 340 < state(run_dir)["actor"]["steps"] <= 350


def test_an_older_checkpoint_goes_on_from_there(run_dir: Path, capsys: Capture) -> None:
    """The lines after it are logged again, the same: it is the same run."""
    metrics = [line.split(", ")[0] for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    after = state(run_dir)["parameter_hash"]
    older = run_dir / "checkpoints" / "ckpt-00000001"
    output = call(capsys, "resume", run_dir, "--checkpoint", older)
    assert output.code == 0, output.err
    assert "ckpt-00000001" in output.out
    assert state(run_dir)["parameter_hash"] == after
    assert [line.split(", ")[0] for line in (run_dir / "metrics.jsonl").read_text().splitlines()] == metrics
    refused(call(capsys, "resume", run_dir, "--steps", 999, "--checkpoint", older / "nope"), "nope", code=1)


def test_checkpoints_that_are_gone_are_missed(run_dir: Path, capsys: Capture) -> None:
    """Or a run would begin again in silence, and overwrite what it had logged."""
    (run_dir / "checkpoints").rename(run_dir / "gone")
    for command in ("resume", "evaluate"):
        refused(call(capsys, command, run_dir), f"{run_dir / 'checkpoints'} is missing: put it back")
    (run_dir / "gone").rename(run_dir / "checkpoints")


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('"alpha"', '"alhpa"', ["replay.alhpa", "replay.alpha"]),
        ('"batch": 4', '"batch": "4"', ["learner.batch", "'4'"]),
        ('"batch": 4', '"batch": 0', ["learner.batch", "from 1 to"]),
        ('"hidden": 16', '"hidden": 17', ["network.hidden", "16", "17"]),
        ('"codec": "lz4"', '"codec": "zip"', ["replay.codec", "zstd"]),
        ("{", "", ["config.json", "damaged"]),
    ],
)
def test_a_config_that_was_edited_wrongly_is_refused_with_the_field(
    old: str, new: str, parts: list[str], run_dir: Path, capsys: Capture
) -> None:
    file = run_dir / "config.json"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    refused(call(capsys, "resume", run_dir, "--steps", 350), *parts)
    if "from 1 to" not in parts:  # of no matter to an evaluation
        refused(call(capsys, "evaluate", run_dir), *parts)


def test_an_unknown_way_to_track_is_refused(run_dir: Path, capsys: Capture) -> None:
    refused(call(capsys, "resume", run_dir, "--steps", 350, "--track", "wandbb"), "wandb-offline", "'wandbb'")


def test_a_full_disk_names_the_bytes_and_the_previous_checkpoint_goes_on(
    run_dir: Path, tmp_path: Path, capsys: Capture
) -> None:
    """In a process whose files may not grow: exit code 1, one message, nothing lost."""
    before = state(run_dir)
    output = run_command(tmp_path, "resume", run_dir, "--steps", 400, file_limit=20_000)
    refused(output, "could not be written", "older checkpoints are untouched", code=1)
    assert re.search(r"needs [\d,]+ bytes, [\d,]+ are free", output.err)
    assert state(run_dir)["parameter_hash"] == before["parameter_hash"]
    assert call(capsys, "resume", run_dir).code == 0
    assert 390 < state(run_dir)["actor"]["steps"] <= 400


def test_too_little_space_is_noticed_before_it_is_used(
    run_dir: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    usage = shutil.disk_usage(run_dir)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=12_345))
    output = call(capsys, "resume", run_dir, "--steps", 400)
    refused(output, "12,345 are free", "make room", code=1)
    assert not list((run_dir / "checkpoints").glob("*.tmp"))


def test_a_traceback_can_be_asked_for(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("R2D2_TRACEBACK", "1")
    with pytest.raises(ValueError, match="unknown preset"):
        call(capsys, "train", "zzz")


def test_ctrl_c_before_training_is_no_traceback(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "start", interrupt)
    refused(call(capsys, "train", "dqn", *arguments()), "interrupted", code=130)
