"""Laws of `r2d2 replay`: a replay leaves a run as files, and another run begins with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_cases import flip
from run_cases import Output, arguments, call, differences, lines, state

from r2d2.cli import main as cli
from r2d2.dataset.dataset import open_dataset
from r2d2.runs import folder as run_folder
from r2d2.runtime.local import LocalRun
from r2d2.tracking.tracker import Tracker

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run, which no test changes."""
    folder = tmp_path_factory.mktemp("source") / "run"
    assert cli.main(["train", "r2d2", *arguments(run__steps=300), "--run-dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def data(run: Path) -> Path:
    """Its whole replay."""
    assert cli.main(["replay", "export", str(run), str(run.parent / "data")]) == 0
    return run.parent / "data"


def refused(output: Output, *parts: str, code: int = 2) -> None:
    assert output.code == code, output
    assert all(part in output.err for part in parts), output.err
    assert "Traceback" not in output.err


def test_info_tells_what_was_exported(run: Path, data: Path, capsys: Capture) -> None:
    output = call(capsys, "replay", "info", data, "--verify")
    assert output.code == 0
    source = open_dataset(data)
    returns = source.index["episode_return"][source.whole]
    for part in (
        "CartPole-v1, 2 actions",
        "observation: float32 [4]",
        f"{source.head['steps']:,} in ",
        f"{returns.min():g} to {returns.max():g}, mean {returns.mean():.6g}",
        f"{run.name} ckpt-00000002",
        "every file is as it was written",
    ):
        assert part in output.out
    assert source.head["source"]["config"]["env"]["id"] == "CartPole-v1"
    assert source.head["source"]["env_steps"] == state(run)["actor"]["steps"]


def test_a_run_begins_with_it_and_trains(data: Path, tmp_path: Path, capsys: Capture) -> None:
    """With the source's config, changed by an option; the same import is the same run, bit for bit; learning
    begins at once and the replay ratio counts the new run's own steps."""
    for name in "ab":
        options = ("--replay.burn-in", 2, "--replay.steps", 2000, "--run.log-period", 20)
        output = call(capsys, "replay", "import", data, tmp_path / name, *options, "--run.steps", 120)
        assert output.code == 0, output
        assert f"resume {tmp_path / name}" in output.out
    begun = state(tmp_path / "a")
    assert not differences(begun, state(tmp_path / "b"))
    steps = open_dataset(data).head["steps"]
    assert begun["replay"]["steps_written"] == steps
    assert begun["actor"]["steps"] == 0
    assert begun["limiter"] == {"inserted": 40, "trained": 0}, "min_steps is reached, and nothing is due"
    core = np.stack([np.frombuffer(blob, np.float32) for blob in begun["replay"]["items"]["core"].data])
    assert 0.1 < (np.abs(core).max(1) > 0).mean() < 1, "most states are not zero, those of beginnings are"
    origin = json.loads((tmp_path / "a" / "provenance.json").read_text())[0]["dataset"]
    assert origin["checksum"] == open_dataset(data).checksum
    for name in "ab":
        assert call(capsys, "resume", tmp_path / name).code == 0
    assert not differences(state(tmp_path / "a"), state(tmp_path / "b"))
    first, *_, last = (line for line in lines(tmp_path / "a") if "replay/ratio" in line)
    assert first["env_steps"] < 40, "min_steps would not have been reached by the run's own steps"
    assert first["updates"] > 0
    assert last["replay/ratio"] == pytest.approx(2.0, rel=0.3)


def test_priorities_come_from_the_recorded_values(data: Path, tmp_path: Path, capsys: Capture) -> None:
    """...unless they are on another scale: then all items begin alike, and it is said."""
    spread = {}
    for rescaling in ("rescaling", "no-rescaling"):
        folder = tmp_path / rescaling
        output = call(capsys, "replay", "import", data, folder, f"--learner.{rescaling}")
        assert output.code == 0, output
        run = LocalRun(run_folder.read_config(folder)[0], folder, Tracker(folder))
        run.load(run_folder.checkpoint_of(folder, None))
        spread[rescaling] = np.ptp(run.replay.priorities())
        assert ("same priority" in output.err) == (rescaling == "no-rescaling")
    assert spread["rescaling"] > 0.01
    assert spread["no-rescaling"] == 0


def test_states_may_be_zero(data: Path, tmp_path: Path, capsys: Capture) -> None:
    assert call(capsys, "replay", "import", data, tmp_path / "a", "--core-state", "zero").code == 0
    assert not any(
        np.frombuffer(c, np.float32).any() for c in state(tmp_path / "a")["replay"]["items"]["core"].data
    )


def test_what_has_no_room_is_said(data: Path, tmp_path: Path, capsys: Capture) -> None:
    output = call(capsys, "replay", "import", data, tmp_path / "a", "--replay.steps", 50)
    assert output.code == 0
    assert "--replay.steps" in output.err


@pytest.mark.parametrize("remover", ["fifo", "reservoir"])
def test_a_reservoir_is_offered_the_old_episodes_too(
    remover: str, data: Path, tmp_path: Path, capsys: Capture
) -> None:
    """Of a dataset that is larger than the replay; oldest first would give the old ones up anyway."""
    options = ("--replay.steps", 30, "--replay.burn-in", 0, "--replay.remover", remover)
    assert call(capsys, "replay", "import", data, tmp_path / "a", *options).code == 0
    written, steps = state(tmp_path / "a")["replay"]["steps_written"], open_dataset(data).head["steps"]
    assert written == steps if remover == "reservoir" else written < steps


def test_a_preset_may_be_changed_as_for_train(data: Path, tmp_path: Path, capsys: Capture) -> None:
    output = call(capsys, "replay", "import", data, tmp_path / "a", "memory+gru", "--env", "CartPole-v1",
                  "--env.num_envs", 2)  # fmt: skip
    assert output.code == 0, output
    assert run_folder.read_config(tmp_path / "a")[0].network.core == "gru"


def test_whole_episodes_go_out_and_in(tmp_path: Path, capsys: Capture) -> None:
    """Their items are as long as the environment says, not as the config's burn-in and unroll."""
    whole = arguments(
        env__id="Recall-v0", env__options={"delay": 9}, network__stack=1, replay__initial_state="episode",
        run__steps=300,
    )  # fmt: skip
    assert call(capsys, "train", "r2d2", *whole, "--run-dir", tmp_path / "run").code == 0
    assert call(capsys, "replay", "export", tmp_path / "run", tmp_path / "data").code == 0
    output = call(capsys, "replay", "import", tmp_path / "data", tmp_path / "again", "r2d2", *whole)
    assert output.code == 0, output.err
    output = call(capsys, "resume", tmp_path / "again")
    assert output.code == 0, output.err
    assert lines(tmp_path / "again")[-1]["updates"] > 10


def test_demonstrations_and_the_newest_steps(run: Path, data: Path, tmp_path: Path, capsys: Capture) -> None:
    whole = open_dataset(data)
    bar = float(np.median(whole.index["episode_return"]))
    good = whole.whole & (whole.index["episode_return"] >= bar)
    assert call(capsys, "replay", "export", run, tmp_path / "good", "--min-return", bar).code == 0
    assert open_dataset(tmp_path / "good").index["steps"].tolist() == whole.index["steps"][good].tolist()
    first = run / "checkpoints" / "ckpt-00000001"
    args = ("--steps", 33, "--checkpoint", first)
    assert call(capsys, "replay", "export", run, tmp_path / "new", *args).code == 0
    assert open_dataset(tmp_path / "new").head["steps"] == 33
    assert open_dataset(tmp_path / "new").head["source"]["checkpoint"] == first.name


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["exprot"], ["'exprot'", "did you mean export?"]),
        (["export", "no/such/run", "OUT"], ["no/such/run", "config.json"]),
        (["export", "RUN", "DATA"], ["exists", "another folder"]),
        (["export", "RUN", "OUT", "--steps", "0"], ["--steps", "from 1 to", "0"]),
        (["export", "RUN", "OUT", "--min-return", "1e9"], ["1e+09", "--min-return"]),
        (["import", "DATA"], ["RUN_DIR", "(required)"]),
        (["import", "DATA", "RUN"], ["not empty", "another folder"]),
        (["import", "DATA", "OUT", "zzz"], ["'zzz'", "r2d2-small"]),
        (["import", "DATA", "OUT", "--env", "Acrobot-v1"], ["env.id", "Acrobot-v1", "--env.id CartPole-v1"]),
        (["import", "DATA", "OUT", "--replay.period", "90"], ["period", "unroll=8", "90"]),
        (["import", "DATA", "OUT", "--core-state", "some"], ["--core-state", "zero"]),
    ],
)
def test_a_mistake_is_named_and_leaves_nothing(
    args: list[str], parts: list[str], run: Path, data: Path, tmp_path: Path, capsys: Capture
) -> None:
    places: dict[str, Any] = {"RUN": run, "DATA": data, "OUT": tmp_path / "out"}
    refused(call(capsys, "replay", *(places.get(arg, arg) for arg in args)), *parts)
    assert not list(tmp_path.iterdir())


def test_another_protocol_must_be_asked_for(data: Path, tmp_path: Path, capsys: Capture) -> None:
    args = ("replay", "import", data, tmp_path / "a", "--env.life-loss", "roll")
    refused(call(capsys, *args), "env.life_loss", "--other-protocol")
    assert call(capsys, *args, "--other-protocol").code == 0


def test_a_damaged_dataset_begins_no_run(run: Path, tmp_path: Path, capsys: Capture) -> None:
    assert call(capsys, "replay", "export", run, tmp_path / "data").code == 0
    flip(tmp_path / "data" / "chunk-00000.npz")
    for command in (("info", tmp_path / "data", "--verify"), ("import", tmp_path / "data", tmp_path / "a")):
        refused(call(capsys, "replay", *command), "chunk-00000.npz is damaged", code=1)
    assert not (tmp_path / "a").exists()
    refused(call(capsys, "replay", "info", tmp_path), "holds no dataset", code=1)


def test_help_lists_the_commands(capsys: Capture) -> None:
    assert call(capsys, "replay").code == 2
    assert call(capsys, "replay", "--help").code == 0
    assert "--min-return" in call(capsys, "replay", "export", "--help").out
    assert "--other-protocol" in call(capsys, "replay", "import", "--help").out
