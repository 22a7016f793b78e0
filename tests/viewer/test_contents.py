"""Laws of the viewer's contents: what is read in part equals what the run held, and the network sees the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_cases import PONG, new_run, tiny

from r2d2.checkpoint import checkpoint, segments
from r2d2.config import Config, to_dict
from r2d2.runs import folder
from r2d2.runs.folder import CHECKPOINTS
from r2d2.runtime.local import LocalRun
from r2d2.viewer.contents import COLUMNS, Contents
from r2d2.viewer.opened import opened

CHANGES: dict[str, dict[str, Any]] = {
    "vectors": {},
    "frames": {name.replace(".", "__"): value for name, value in PONG.items()} | {"replay__codec": "lz4"},
    "frozen context": {name.replace(".", "__"): value for name, value in PONG.items()}
    | {"network__context": "frozen", "network__context_features": 5},
    "mixture": {"replay__long_term": 0.5},
    "refreshed": {"replay__initial_state": "refreshed"},
    "whole episodes": {
        "env__id": "Recall-v0",
        "env__options": {"delay": 9},
        "network__stack": 1,
        "replay__initial_state": "episode",
    },
}


def trained(config: Config, folder_: Path) -> LocalRun:
    """A run that has ended, in memory and on the disk."""
    folder.create(folder_, config, "r2d2")
    run = new_run(config, folder_)
    run.train()
    run.tracker.close()
    return run


def part_of(run: LocalRun) -> Any:
    """The replay that is looked at, and the ids under which the run knows its items."""
    first = run.replay.replays[0] if hasattr(run.replay, "replays") else run.replay
    return first, first.items.ids(first.items.places)


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_read_in_part_is_what_the_run_held(name: str, tmp_path: Path) -> None:
    run = trained(tiny(replay__replay_ratio=4.0, **CHANGES[name]), tmp_path)
    contents = Contents(tmp_path)
    replay, ids = part_of(run)
    assert sorted(contents.items.values["id"].tolist()) == sorted(ids.tolist())
    whole, part = replay.get(ids), contents.replay.get(ids)
    for field in ("core", "burn_in", "length", "lookahead", "ids"):
        np.testing.assert_array_equal(getattr(part, field), getattr(whole, field))
    for column in whole.columns:
        np.testing.assert_array_equal(part.columns[column], whole.columns[column])


def test_only_what_is_shown_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of items reads no frames, and an opened one a few of the blocks."""
    changes = {"run__steps": 1000, "replay__steps": 2000, "replay__min_steps": 10**6, "run__probe_items": 0}
    trained(tiny(**CHANGES["frames"] | changes), tmp_path)
    contents = Contents(tmp_path)
    total = len(contents.replay._compressed["observation"])
    read: list[int] = []
    take = segments.OnDemand.take

    def counted(self: segments.OnDemand, at: Any) -> list[bytes]:
        if self is contents.replay._compressed["observation"].data:
            read.extend(at.tolist())
        return take(self, at)

    monkeypatch.setattr(segments.OnDemand, "take", counted)
    assert len(contents.items) > 50
    assert len(read) == 0
    contents.replay.get(contents.items.values["id"][-1:])
    assert 0 < len(read) < total / 5


def test_items_say_what_the_run_knows_of_them(tmp_path: Path) -> None:
    run = trained(tiny(replay__replay_ratio=12.0), tmp_path)
    items = Contents(tmp_path).items
    ids = items.values["id"]
    mass = run.replay.selector.values(run.replay.places(ids))
    np.testing.assert_allclose(items.values["probability"], mass / mass.sum())
    assert items.values["probability"].sum() == pytest.approx(1.0)
    assert items.values["weight"].max() == pytest.approx(1.0)
    batch = run.replay.get(ids)
    trained_rows = slice(run.config.replay.burn_in, run.config.replay.burn_in + run.config.replay.unroll)
    rewards = np.array(batch.columns["reward"])[:, trained_rows]
    rewards *= np.arange(rewards.shape[1]) < batch.length[:, None]
    np.testing.assert_allclose(items.values["return"], rewards.sum(1))
    np.testing.assert_array_equal(items.values["length"], batch.length)
    ages = run.ages.of(ids, run.learner.updates)
    assert items.values["age"].mean() == pytest.approx(ages["replay/age"])
    assert items.values["lag"].mean() == pytest.approx(ages["replay/parameter_lag"])
    assert 0 < items.values["drawn"].sum() <= run.learner.updates * run.config.learner.batch
    known = np.isfinite(items.values["delta_q_first"])
    assert set(ids[known]) == set(run.probe.ids[run.probe.ids >= 0]) & set(ids)
    assert known.any()


def test_each_draw_is_counted_once(tmp_path: Path) -> None:
    """Of items that were never removed, together as often as batches have items."""
    run = trained(tiny(run__steps=150, replay__replay_ratio=12.0), tmp_path)
    drawn = Contents(tmp_path).items.values["drawn"]
    assert drawn.sum() == run.learner.updates * run.config.learner.batch > 0


@pytest.mark.parametrize("name", ["vectors", "frames", "frozen context"])
def test_with_the_actors_weights_both_states_give_the_actors_q_values(name: str, tmp_path: Path) -> None:
    """Stored states are where they should be, and so are the recomputed ones: nothing was learned here."""
    trained(tiny(**CHANGES[name], replay__min_steps=10**6), tmp_path)
    contents = Contents(tmp_path)
    whole = 0
    for item in contents.items.values["id"].tolist():
        seen = opened(contents, item)
        acted = slice(0, seen["burn_in"] + seen["length"])
        greedy = np.array(seen["q"]["actor_greedy"])[acted]
        np.testing.assert_allclose(np.max(seen["q"]["stored"], 1)[acted], greedy, rtol=1e-3, atol=1e-4)
        if seen["whole"]:
            np.testing.assert_allclose(
                np.max(seen["q"]["recomputed"], 1)[acted], greedy, rtol=1e-3, atol=1e-4
            )
            whole += seen["recomputed_from"] > 0
    assert whole > 2


def test_td_errors_are_those_of_an_update(tmp_path: Path) -> None:
    run = trained(tiny(replay__replay_ratio=8.0), tmp_path)
    contents = Contents(tmp_path)
    for item in contents.items.values["id"][::7].tolist():
        seen = opened(contents, item)
        found = run.learner.errors(run.replay.get(np.array([item])))
        length = seen["length"]
        np.testing.assert_allclose(seen["td_error"], found.error[:length, 0].detach(), rtol=1e-3, atol=1e-5)
        targets = np.array(seen["q_taken"]) - seen["td_error"]
        np.testing.assert_allclose(seen["target"], targets, rtol=1e-3, atol=1e-4)
        assert len(seen["step"]) == seen["burn_in"] + length + seen["lookahead"]


def test_an_order_puts_what_is_not_known_last(tmp_path: Path) -> None:
    trained(tiny(replay__replay_ratio=12.0, run__probe_items=5), tmp_path)
    items = Contents(tmp_path).items
    for column in COLUMNS:
        for descending in (True, False):
            values = np.asarray(items.values[column], np.float64)[items.order(column, descending=descending)]
            known = values[~np.isnan(values)]
            assert np.isnan(values[len(known) :]).all()
            assert (np.diff(known) <= 0).all() if descending else (np.diff(known) >= 0).all()
    with pytest.raises(ValueError, match="items are sorted by one of id, priority"):
        items.order("nothing", descending=True)


def test_a_checkpoint_that_did_not_count_draws_has_none(tmp_path: Path) -> None:
    """One of version 0.1."""
    config = tiny()
    trained(config, tmp_path)
    newest = checkpoint.latest(tmp_path / CHECKPOINTS)
    assert newest is not None
    state = checkpoint.load(newest)
    del state["ages"]["drawn"]
    checkpoint.save(tmp_path / CHECKPOINTS, state, number=99)
    assert np.isnan(Contents(tmp_path).items.values["drawn"]).all()
    run = new_run(config, tmp_path / "again")
    run.load(tmp_path / CHECKPOINTS / "ckpt-00000099")
    assert run.ages.state_dict()["drawn"].sum() == 0
    assert to_dict(run.config) == to_dict(config)
