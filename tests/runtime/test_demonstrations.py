"""Laws of demonstrations: what is drawn of a dataset, what a run saves of it, and what is refused before it
starts."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_cases import call, differences, lines, new_run, state, tiny

from r2d2.config import Config, check_config, to_dict
from r2d2.config.resumed import check_same_parts
from r2d2.dataset import files
from r2d2.dataset.dataset import Dataset, DatasetError, Spec, export, open_dataset, write_dataset
from r2d2.replay import Mixture, Replay
from r2d2.replay.episodes import read_episode, stored_episodes
from r2d2.runs import folder
from r2d2.runtime import demonstrations, threads
from r2d2.runtime.local import LocalRun
from r2d2.runtime.training import make_run
from r2d2.tracking.tracker import Tracker
from r2d2.viewer.contents import Contents

RECALL: dict[str, Any] = {
    "env__id": "Recall-v0", "env__options": {"delay": 5}, "network__core": "lru", "network__stack": 1,
}  # fmt: skip
PENDULUM: dict[str, Any] = {
    "env__id": "Pendulum-v1", "env__options": {"max_episode_steps": 30}, "network__core": "lstm",
    "learner__method": "sac", "learner__rescaling": False, "actor__exploration": "noise",
}  # fmt: skip
HINDSIGHT: dict[str, Any] = {
    "env__id": "BlindBitFlipping-v0", "env__options": {"bits": 6}, "replay__hindsight": "future",
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "cartpole": {},
    "refreshed": {"replay__initial_state": "refreshed", "learner__target": "retrace"},
    "mixture": {"replay__long_term": 0.25, "replay__selector": "rank", "replay__newest": 1, "learner__batch": 12},
    "recall": RECALL | {"replay__initial_state": "episode", "learner__batch_steps": 40},
    "pendulum": PENDULUM,
    "hindsight": HINDSIGHT,
    "frozen context": {"env__id": "ALE/Pong-v5", "env__options": {"max_frames": 240}, "network__context": "frozen"},
}  # fmt: skip
BATCH = 8


def recorded(path: Path, **changes: Any) -> Dataset:
    """A dataset of what a run of a few steps played."""
    config = tiny(**changes, replay__min_steps=10_000, run__steps=160, run__seed=7)
    run = new_run(config, path.with_name(f"{path.name}-run"))
    run.train()
    spec = Spec.of(to_dict(config.env), run.environments.spec.num_actions, run.replay.columns)
    assert isinstance(run.replay, Replay)
    return export(run.replay, path, spec, source={"config": to_dict(config)})


def shown(source: Dataset | Path, **changes: Any) -> Config:
    """A run with a dataset for demonstrations."""
    path = source.path if isinstance(source, Dataset) else source
    return tiny(**{"learner__batch": BATCH, "replay__demonstrations": str(path)} | changes)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return recorded(tmp_path_factory.mktemp("demonstrations") / "cartpole")


def mixture(run: LocalRun) -> Mixture:
    assert isinstance(run.replay, Mixture)
    return run.replay


# -- what is drawn -----------------------------------------------------------------------------------------


def test_every_batch_has_its_share_and_nothing_of_the_dataset_is_lost(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the end of a run that has replaced its own items several times."""
    drawn: list[int] = []

    def count(replay: Mixture, ids: Any, priorities: Any) -> dict[str, float]:
        drawn.append(int(replay.frozen_items(ids).sum()))
        return measures(replay, ids, priorities)

    measures = demonstrations.measures
    monkeypatch.setattr(demonstrations, "measures", count)
    run = new_run(
        shown(dataset, replay__steps=60, replay__replay_ratio=8.0, replay__demonstration_share=0.3), tmp_path
    )
    run.train()
    assert len(drawn) > 20
    assert set(drawn) == {2}  # 2.4 of 8
    found = mixture(run).frozen[0]
    episodes = stored_episodes(found)
    held = {
        b"".join(
            read_episode(found, episodes, i, ["observation", "action"])[n].tobytes()
            for n in ("observation", "action")
        )
        for i in range(len(episodes))
    }
    assert held == {b"".join(e[n].tobytes() for n in ("observation", "action")) for e in dataset.read()}
    last = [line for line in lines(tmp_path) if "replay/demonstration_share" in line][-1]
    assert last["replay/demonstration_share"] == 0.25
    assert last["replay/demonstration_priority"] > 0 < last["replay/own_priority"]


def test_the_dataset_is_opened_once(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = []

    def opening(path: Path) -> Dataset:
        paths.append(path)
        return open_dataset(path)

    monkeypatch.setattr(demonstrations, "open_dataset", opening)
    make_run(shown(dataset), tmp_path / "run", "tiny", Tracker(tmp_path / "run"))
    assert paths == [dataset.path]


def test_one_episode_that_is_shorter_than_an_item_will_do(dataset: Dataset, tmp_path: Path) -> None:
    head = {name: dataset.head[name] for name in ("env", "num_actions", "columns")}
    source = write_dataset(tmp_path / "one", [next(dataset.read())], head)
    run = new_run(shown(source, replay__unroll=150, replay__period=150), tmp_path / "run")
    assert len(mixture(run).frozen[0]) == 1


def test_first_priorities_are_those_of_the_recorded_values(dataset: Dataset, tmp_path: Path) -> None:
    """As an actor's; all alike where the recorded values are of another discount."""
    same = new_run(shown(dataset), tmp_path / "a")
    assert np.ptp(mixture(same).frozen[0].priorities()) > 0.01
    other = new_run(shown(dataset, learner__discount=0.9), tmp_path / "b")
    assert np.ptp(mixture(other).frozen[0].priorities()) == 0


def test_learning_waits_for_items_of_its_own(dataset: Dataset, tmp_path: Path) -> None:
    long = {"replay__min_steps": 1, "replay__unroll": 20, "replay__period": 20, "replay__replay_ratio": 99.0}
    run = new_run(shown(dataset, **long), tmp_path)
    while not mixture(run).written[0].ready:
        assert not run.update_due
        run.act(cut=False)
    assert run.update_due


def with_states(dataset: Dataset, path: Path, size: int) -> Dataset:
    """The dataset with recurrent states: the number of the row in every component."""
    columns = dataset.head["columns"] | {"core_state": {"shape": [size], "dtype": "float32"}}

    def episodes() -> Any:
        for episode in dataset.read():
            number = np.arange(len(episode["action"]), dtype=np.float32)
            yield episode | {"core_state": np.repeat(number[:, None], size, 1)}

    head = {name: dataset.head[name] for name in ("env", "num_actions")} | {"columns": columns}
    return write_dataset(path, episodes(), head)


def test_states_of_a_dataset_are_used_if_they_fit(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An item starts from the state at its first row, which says its own number."""
    fitting, other = (with_states(dataset, tmp_path / str(size), size) for size in (16, 5))
    frozen = mixture(new_run(shown(fitting), tmp_path / "a")).frozen[0]
    cores = frozen.items.core[frozen.items.places]
    assert (cores == cores[:, :1]).all()
    assert set(cores[:, 0].tolist()) >= {0.0, 4.0, 8.0}  # every period of 4
    assert "they start from the states of its column core_state" in capsys.readouterr().out
    frozen = mixture(new_run(shown(other), tmp_path / "b")).frozen[0]
    assert not frozen.items.core.any()
    assert "since core_state is float32 [5] and this network's float32 [16]" in capsys.readouterr().out
    frozen = mixture(new_run(shown(dataset), tmp_path / "c")).frozen[0]
    assert not frozen.items.core.any()
    assert "they start from zero states" in capsys.readouterr().out


# -- going on ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_equals_an_uninterrupted_one(case: str, tmp_path: Path) -> None:
    only_later = ("replay__long_term", "replay__newest")
    changes = {name: value for name, value in CASES[case].items() if name not in only_later}
    source = recorded(tmp_path / "dataset", **changes)
    config = shown(source, **CASES[case])
    whole = new_run(config, tmp_path / "whole")
    whole.train()
    shutil.copytree(tmp_path / "whole", tmp_path / "again")
    shutil.rmtree(tmp_path / "again" / "checkpoints" / "ckpt-00000002")
    again = new_run(config, tmp_path / "again")
    again.load(tmp_path / "again" / "checkpoints" / "ckpt-00000001")
    assert again.updates > 3
    again.train()
    assert again.updates > state(tmp_path / "whole", 1)["learner"]["updates"] + 3
    assert differences(state(tmp_path / "again"), state(tmp_path / "whole")) == []
    assert lines(tmp_path / "again") == lines(tmp_path / "whole")


def test_a_checkpoint_holds_no_step_of_the_dataset(dataset: Dataset, tmp_path: Path) -> None:
    new_run(shown(dataset), tmp_path).train()
    saved = state(tmp_path)
    assert saved["replay"]["replay_1"].keys() == {"items", "late_updates", "selector"}
    assert saved["demonstrations"] == dataset.checksum


def test_a_dataset_that_has_gone_moved_or_changed(dataset: Dataset, tmp_path: Path) -> None:
    """Gone: nothing is trained, the error says where it was. Moved: the new place will do. Changed: refused."""
    first = tmp_path / "first"
    shutil.copytree(dataset.path, first)
    config = shown(first)
    new_run(config, tmp_path / "run").train()
    path = tmp_path / "run" / "checkpoints" / "ckpt-00000001"
    first.rename(tmp_path / "second")
    with pytest.raises(DatasetError, match=r"--replay.demonstrations .*first.*holds no dataset.*config.json"):
        new_run(config, tmp_path / "run")
    moved = shown(tmp_path / "second")
    new_run(moved, tmp_path / "run").load(path)
    other = recorded(tmp_path / "other", env__options={"max_episode_steps": 500})
    new_run(shown(other, env__options={"max_episode_steps": 500}), tmp_path / "elsewhere")
    head = json.loads((dataset.path / files.HEAD).read_bytes())
    episodes = list(dataset.read())[:-1]
    changed = write_dataset(
        tmp_path / "changed", episodes, {k: head[k] for k in ("env", "num_actions", "columns")}
    )
    with pytest.raises(
        ValueError, match=r"--replay.demonstrations .*changed has changed since the checkpoint"
    ):
        new_run(shown(changed), tmp_path / "run").load(path)
    with pytest.raises(ValueError, match=r"replay.demonstrations is  in config.json"):
        check_same_parts(to_dict(config), tiny())


def test_threads_take_them_too(dataset: Dataset, tmp_path: Path) -> None:
    run = new_run(shown(dataset, run__runtime="threads", run__steps=200), tmp_path)
    threads.train(run)
    assert run.updates > 3
    assert [
        line["replay/demonstration_share"] for line in lines(tmp_path) if "replay/demonstration_share" in line
    ]


# -- other commands ----------------------------------------------------------------------------------------


def test_export_leaves_them_out_and_inspect_shows_them(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, run_dir = shown(dataset), tmp_path / "run"
    run = new_run(config, run_dir)
    run.train()
    folder.create(run_dir, config, "r2d2")
    assert call(capsys, "replay", "export", run_dir, tmp_path / "own").code == 0
    own = open_dataset(tmp_path / "own")
    assert own.head["steps"] == stored_episodes(mixture(run).written[0]).steps.sum()
    contents = Contents(run_dir, part=1)
    frozen = mixture(run).frozen[0]
    assert len(contents.items) == len(frozen)
    values = contents.items.values
    np.testing.assert_allclose(values["priority"], frozen.selector.values(contents.replay.places))
    np.testing.assert_allclose(values["probability"].sum(), 0.25)
    np.testing.assert_allclose(sum(values["return"]), sum(values["length"]))  # CartPole: 1 for every step
    item = values["id"][len(frozen) // 2]
    batch, truth = contents.replay.get(np.array([item])), frozen.get(np.array([item]))
    np.testing.assert_array_equal(batch.columns["observation"], truth.columns["observation"])


# -- refused -----------------------------------------------------------------------------------------------


def test_configs_that_cannot_be(dataset: Dataset, tmp_path: Path) -> None:
    for changes, message in (
        (
            {"run__runtime": "cluster"},
            "replay.demonstrations needs run.runtime local or threads, got cluster",
        ),
        ({"replay__demonstration_share": 0.0}, "demonstration_share must be above 0 and below 1"),
        ({"replay__demonstration_share": 1.0}, "demonstration_share must be above 0 and below 1"),
    ):
        with pytest.raises(ValueError, match=message):
            check_config(shown(dataset, **changes))
    for share in (0.01, 0.99):
        with pytest.raises(ValueError, match=rf"demonstration_share={share} of learner.batch=8 items"):
            new_run(shown(dataset, replay__demonstration_share=share), tmp_path)
    assert not (tmp_path / "config.json").exists()


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda h: h["env"].update(id="Acrobot-v1"), ["env.id", "train with --env.id Acrobot-v1"]),
        (lambda h: h["env"].update(options={"a": 1}), ["env.options", "train with --env.options a=1"]),
        (lambda h: h.update(num_actions=3), ["num_actions must be 2, got 3"]),
        (lambda h: h["columns"]["observation"].update(shape=[6]), ["shape of column observation", "[4]", "[6]"]),
        (lambda h: h["columns"]["action"].update(shape=[2], dtype="float32"), ["column action"]),
        (lambda h: h["columns"].pop("reward"), ["column reward", "has none"]),
    ],
)  # fmt: skip
def test_another_kind_of_steps_is_refused_before_the_run_starts(
    change: Callable[[dict], None],
    parts: list[str],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Naming the flag, the dataset, the field, both values and the remedy."""
    head = json.loads(json.dumps(dataset.head))
    change(head)
    monkeypatch.setattr(demonstrations, "open_dataset", lambda _: dataclasses.replace(dataset, head=head))
    with pytest.raises(ValueError, match="--replay.demonstrations") as refusal:
        new_run(shown(dataset), tmp_path)
    assert all(part in str(refusal.value) for part in [*parts, str(dataset.path)]), refusal.value
    assert "--other-protocol" not in str(refusal.value)


def test_actions_and_episodes_that_the_run_does_not_have_are_refused(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong() -> Any:
        for episode in dataset.read():
            episode["action"][0] = 2
            yield episode

    head = {name: dataset.head[name] for name in ("env", "num_actions", "columns")}
    source = write_dataset(tmp_path / "wrong", wrong(), head)
    with pytest.raises(DatasetError, match=r"column action of .* must be in \[0, 1\], got 2"):
        new_run(shown(source), tmp_path / "run")
    long = recorded(tmp_path / "long", **RECALL)
    long.index["steps"][:] = 300
    monkeypatch.setattr(demonstrations, "open_dataset", lambda _: long)
    with pytest.raises(ValueError, match=r"has an episode of 300 steps.*--replay.initial-state stored"):
        new_run(shown(long, **RECALL, replay__initial_state="episode"), tmp_path / "episodes")
