"""Laws of going on: a killed and resumed run equals one that was never interrupted, bit for bit."""

from __future__ import annotations

import contextlib
import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_cases import PONG, arguments, differences, dotted, lines, new_run, run_command, state, tiny

from r2d2.checkpoint import checkpoint
from r2d2.checkpoint.blobs import Blobs

SAVE = 1  # number of the checkpoint from which runs go on

CASES: dict[str, dict[str, Any]] = {
    "cartpole": {"run__evaluate_period": 100},
    "recall": {
        "env__id": "Recall-v0", "env__options": {"delay": 5}, "network__core": "gru",
        "replay__selector": "uniform", "actor__exploration": "linear", "actor__epsilon_steps": 300,
        "network__head": "c51", "learner__optimizer": "adamw",
    },
    "whole episodes": {
        "env__id": "Recall-v0", "env__options": {"delay": 5}, "network__core": "lru", "network__stack": 1,
        "replay__initial_state": "episode", "learner__batch": 2, "learner__batch_steps": 28,
        "learner__learning_rate_end": 0.0, "learner__target_averaging": 0.1, "network__head": "hl-gauss",
    },
    "mixture": {
        "replay__selector": "rank", "replay__newest": 1, "replay__long_term": 0.25, "replay__remover": "soft",
        "replay__beta_steps": 400, "replay__alpha_steps": 400, "learner__batch": 8, "learner__target": "peng",
        "learner__munchausen": 0.9, "replay__first_priority": "highest", "replay__replay_ratio": 6.0,
    },
    "refreshed": {
        "replay__initial_state": "refreshed", "replay__replay_ratio": 12.0, "run__probe_items": 9,
        "replay__alpha_steps": 400, "replay__alpha_end": 0.2, "learner__target": "retrace",
        "learner__rescaling": False, "learner__value_rms": 0.05,
    },
    "hindsight": {
        "env__id": "BlindBitFlipping-v0", "env__options": {"bits": 6}, "replay__hindsight": "random",
        "replay__long_term": 0.25, "learner__batch": 8,
    },
    "meme": {
        "learner__normalize_td_errors": True, "replay__first_priority": "highest", "learner__trust_region": 0.3,
        "learner__bootstrap": "online", "learner__target": "watkins",
    },
    "pong": {key.replace(".", "__"): value for key, value in PONG.items()},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(case: str, tmp_path: Path) -> None:
    """kill -9 after the checkpoint, resume in a new process: networks, target, optimizer, replay with its
    blobs and priorities, random states, counters and metrics are those of the run that was left alone."""
    config = tiny(**CASES[case])
    whole = new_run(config, tmp_path / "whole")
    whole.train()
    resumed, train = tmp_path / "resumed", arguments(**CASES[case])
    dead = run_command(tmp_path, "train", "r2d2", *train, "--run-dir", resumed, kill_after=260)
    assert dead.code == -9
    half = state(resumed)
    assert half["counters"]["saves"] == SAVE
    assert half["learner"]["updates"] > 3
    assert half["meter"]["adds"] > 0  # a log line is half collected: it must survive too
    if case == "pong":
        assert len(half["replay"]["storage"]["compressed"]["observation"]["full"].data) > 5
    alive = run_command(tmp_path, "resume", resumed)
    assert alive.code == 0, alive.err
    assert lines(resumed) == lines(tmp_path / "whole")
    assert differences(state(resumed), state(tmp_path / "whole")) == []
    assert state(resumed)["learner"]["updates"] > half["learner"]["updates"] + 3
    if case == "refreshed":
        measured = [line["env_steps"] for line in lines(resumed) if "replay/delta_q_first" in line]
        assert min(measured) < half["actor"]["steps"] < max(measured)


PARTS = [
    "rng", "actor/rng", "actor/steps", "actor_network", "learner/network", "learner/target",
    "learner/optimizer", "learner/updates", "limiter/inserted", "limiter/trained", "meter", "recent",
    "counters/saves", "counters/vector_steps", "counters/next_log", "counters/next_save",
    "replay/storage", "replay/selector/values", "replay/selector/max_priority",
    "replay/items", "replay/items/core", "replay/steps_written", "ages", "probe",
]  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of which both checkpoints are there."""
    folder: Path = tmp_path_factory.mktemp("saved")
    new_run(tiny(), folder).train()
    return folder


def ends_differ(
    saved: Path, folder: Path, tree: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Where the run would have ended differently if its first checkpoint had been `tree`."""
    shutil.copytree(saved, folder)
    run = new_run(tiny(), folder)
    path = folder / "checkpoints" / f"ckpt-{SAVE:08d}"
    monkeypatch.setattr(checkpoint, "load", lambda _: tree)
    run.load(path)
    monkeypatch.undo()
    run.train()
    return differences(state(folder), state(saved)) + [
        f"{a} is not {b}" for a, b in zip(lines(folder), lines(saved), strict=False) if a != b
    ]


def test_nothing_but_the_state_is_needed(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = checkpoint.load(saved / "checkpoints" / f"ckpt-{SAVE:08d}")
    assert ends_differ(saved, tmp_path / "a", tree, monkeypatch) == []


@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_the_state_is_needed(
    part: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one part as in a new run, the resumed run is another one: the comparison above would see it."""
    tree = checkpoint.load(saved / "checkpoints" / f"ckpt-{SAVE:08d}")
    *above, name = part.split("/")
    place, new = tree, copy.deepcopy(new_run(tiny(), tmp_path / "new").state_dict())
    for key in above:
        place, new = place[key], new[key]
    assert differences(place[name], new[name]), f"{part} is still as in a new run: the test proves nothing"
    place[name] = new[name]
    with contextlib.suppress(
        ValueError, RuntimeError, KeyError, IndexError
    ):  # parts that contradict each other
        assert ends_differ(saved, tmp_path / "a", tree, monkeypatch)


def test_a_checkpoint_holds_every_random_state(saved: Path) -> None:
    """Two generators decide a run, for acting and for sampling, and they never share a number."""
    tree = state(saved)
    acting, sampling = tree["actor"]["rng"]["state"], tree["rng"]["state"]
    assert acting["inc"] != sampling["inc"]


def test_frames_in_a_checkpoint_are_kept_as_compressed_blobs(tmp_path: Path) -> None:
    config = tiny(**CASES["pong"] | {"run__steps": 60, "replay__min_steps": 1000})
    run = new_run(config, tmp_path)
    run.train()
    blobs = state(tmp_path)["replay"]["storage"]["compressed"]["observation"]["full"]
    assert isinstance(blobs, Blobs)
    assert 0 < max(len(bytes(blob)) for blob in blobs.data) < 42 * 42 * config.replay.block / 4


def test_a_changed_architecture_is_refused_and_names_the_field(saved: Path, tmp_path: Path) -> None:
    """The state of other parts would load in silence, or fail deep inside torch."""
    for change in ({"network__hidden": 17}, {"replay__period": 5}, {"env__num_envs": 3}):
        run = new_run(tiny(**change), tmp_path / "new")
        (name,) = dotted(change)
        with pytest.raises(ValueError, match=name.replace(".", r"\.")):
            run.load(saved / "checkpoints" / f"ckpt-{SAVE:08d}")


def test_more_learning_steps_and_another_rate_may_be_asked_of_a_saved_run(
    saved: Path, tmp_path: Path
) -> None:
    shutil.copytree(saved, tmp_path / "a")
    run = new_run(tiny(run__steps=500, learner__batch=3), tmp_path / "a")
    run.load(tmp_path / "a" / "checkpoints" / "ckpt-00000002")
    assert run.actor.steps <= 400
    run.train()
    assert 490 < run.actor.steps <= 500


def test_a_run_that_came_to_its_end_is_finished_and_one_that_was_stopped_is_not(tmp_path: Path) -> None:
    """Also when the last steps of a vector restarted environments and so counted for less."""
    for seed in range(4):
        run = new_run(tiny(run__steps=60, run__seed=seed), tmp_path / str(seed))
        assert not run.finished
        run.train()
        assert run.finished
        again = new_run(tiny(run__steps=60, run__seed=seed), tmp_path / str(seed))
        again.load(tmp_path / str(seed) / "checkpoints" / "ckpt-00000001")
        assert again.finished
        assert np.isclose(again.actor.steps, 60, atol=3)
    stopped = new_run(tiny(run__steps=60), tmp_path / "stopped")
    stopped.schedule.stop = True
    stopped.train()
    assert not stopped.finished
