"""The law of refusal: bad input raises, says what and where, and changes nothing at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checkpoint_cases import same
from helpers import snapshot

from r2d2.replay import Column, Fifo, Proportional, Replay, Sequencer

COLUMNS = {
    "observation": Column((2,), "uint8", "lz4", 1),
    "reward": Column((), "float32"),
    "action": Column((), "int16"),
    "flag": Column((), "bool"),
}


def build(**changes: Any) -> Replay:
    sizes: dict[str, Any] = {
        "burn_in": 2,
        "unroll": 3,
        "n_step": 1,
        "period": 2,
        "context": 1,
        "core_size": 2,
    }
    arguments: dict[str, Any] = {"streams": 2, "capacity": 20, "steps": 40, "block": 4, "core_size": 2}
    capacity = max(1, arguments["capacity"])
    return Replay(
        changes.pop("columns", COLUMNS),
        sequencer=Sequencer(2, **sizes),
        selector=Proportional(capacity),
        remover=Fifo(capacity),
        **(arguments | changes),
    )


def row(count: int = 2) -> dict[str, Any]:
    return {
        "observation": np.full((count, 2), 7, np.uint8),
        "reward": np.ones(count, np.float32),
        "action": np.ones(count, np.int16),
        "flag": np.zeros(count, np.bool_),
    }


def filled(steps: int = 60) -> tuple[Replay, list[int]]:
    """A replay that has given up items; stream 1 is at the first row of an episode. And all ids so far."""
    replay = build()
    ids: list[int] = []
    for step in range(steps):
        last = np.array([step % 9 == 8, step % 6 == 5])
        ids += replay.write(row(), last, core=np.full((2, 2), step, np.float32)).tolist()
    assert len(ids) > len(replay) > 3
    return replay, ids


def with_value(name: str, value: Any) -> dict[str, Any]:
    return {"values": row() | {name: value}}


NAN, INFINITY = float("nan"), float("inf")
BAD_WRITES: dict[str, tuple[dict[str, Any], str]] = {
    "NaN": (
        with_value("reward", np.array([1, NAN], np.float32)),
        r"reward must be finite.*nan.*stream\(s\) \[1\]",
    ),
    "infinity": (with_value("reward", np.array([-INFINITY, 1])), r"reward must be finite.*-inf.*\[0\]"),
    "too large for float32": (with_value("reward", np.array([0, 1e39])), r"within float32.*1e\+39.*\[1\]"),
    "too large for int16": (with_value("action", np.array([0, 40000])), r"within int16.*40000.*\[1\]"),
    "a float for an integer": (
        with_value("action", np.array([0.0, 1.0])),
        "action must be int16, got float64",
    ),
    "signed pixels": (with_value("observation", np.zeros((2, 2), np.int64)), "must be uint8, got int64"),
    "a number for a flag": (with_value("flag", np.array([0, 1])), "flag must be bool, got int64"),
    "one row too many": (with_value("reward", np.ones(3, np.float32)), r"shape \(2,\), got \(3,\)"),
    "another shape": (with_value("observation", np.zeros((2, 3), np.uint8)), r"shape \(2, 2\), got \(2, 3\)"),
    "missing column": (
        {"values": {n: v for n, v in row().items() if n != "flag"}},
        r"columns \['action', 'flag'",
    ),
    "unknown column": ({"values": row() | {"color": np.ones(2)}}, "must have the columns.*color"),
    "stream twice": ({"streams": np.array([1, 1])}, r"streams must all be different.*\[1 1\]"),
    "unknown stream": ({"streams": np.array([0, 2])}, r"streams must be in \[0, 2\), got \[0 2\]"),
    "negative stream": ({"streams": np.array([-1, 0])}, r"streams must be in \[0, 2\), got \[-1"),
    "flags of one row": ({"last": np.array([False])}, r"last must be bool \[2\], got bool \(1,\)"),
    "flags as numbers": ({"last": np.array([0, 1])}, r"last must be bool \[2\], got int64"),
    "an episode without action": (
        {"last": np.array([True, True])},
        "last is set for stream 1 at the first row",
    ),
    "core of another size": (
        {"core": np.zeros((2, 3), np.float32)},
        r"core must have shape \(2, 2\), got \(2, 3\)",
    ),
    "NaN core": ({"core": np.array([[0, 0], [NAN, 0]], np.float32)}, "core must be finite.*stream 1"),
}


@pytest.mark.parametrize(("changes", "message"), BAD_WRITES.values(), ids=BAD_WRITES.keys())
def test_a_bad_write_changes_nothing(changes: dict[str, Any], message: str) -> None:
    replay, _ = filled()
    before = snapshot(replay.state_dict())
    arguments: dict[str, Any] = {
        "values": row(),
        "last": np.zeros(2, np.bool_),
        "streams": None,
        "core": np.zeros((2, 2), np.float32),
    }
    with pytest.raises(ValueError, match=message):
        replay.write(**(arguments | changes))
    assert same(snapshot(replay.state_dict()), before)
    replay.write(**arguments)
    assert not same(snapshot(replay.state_dict()), before)


def test_wider_numbers_that_fit_are_taken() -> None:
    """float64 rewards and int64 actions, as environments give them; without a core state it is zero."""
    replay = build()
    values = row() | {"reward": np.array([1.5, -2.5]), "action": np.array([3, 4])}
    for step in range(5):
        ids = replay.write(values, np.array([step == 4, step == 4]))
    batch = replay.get(ids)
    assert batch.columns["reward"].dtype == np.float32
    assert batch.columns["reward"][:, 2].tolist() == [1.5, -2.5]
    assert batch.columns["action"][:, 2].tolist() == [3, 4]
    assert not batch.core.any()


@pytest.mark.parametrize("bad", [NAN, INFINITY, -INFINITY, -1e-9])
def test_bad_priorities_change_nothing(bad: float) -> None:
    """The good ones beside it neither."""
    replay, ids = filled()
    before = snapshot(replay.state_dict())
    with pytest.raises(
        ValueError, match=rf"finite and >= 0, got .* for item {ids[-1]}.*no priority was changed"
    ):
        replay.update_priorities(np.array(ids[-2:]), np.array([2.0, bad]))
    assert same(snapshot(replay.state_dict()), before)


def test_unknown_ids_and_shapes_change_nothing() -> None:
    """An id that was never given out is a mistake, not a late update."""
    replay, ids = filled()
    before = snapshot(replay.state_dict())
    for unknown in (-1, max(ids) + 10 * replay.capacity):
        with pytest.raises(ValueError, match=f"id {unknown} was never given out"):
            replay.update_priorities(np.array([ids[-1], unknown]), np.ones(2))
        with pytest.raises(ValueError, match=f"id {unknown} was never given out"):
            replay.get(np.array([unknown]))
    with pytest.raises(ValueError, match=r"must be \[K\] alike, got \(2,\) and \(1,\)"):
        replay.update_priorities(np.array(ids[-2:]), np.ones(1))
    with pytest.raises(KeyError, match=f"item {ids[0]} was removed"):
        replay.get(np.array([ids[-1], ids[0]]))
    assert same(snapshot(replay.state_dict()), before)


def test_late_priorities_are_counted_and_ignored() -> None:
    replay, ids = filled()
    before = replay.priorities()
    replay.update_priorities(np.array([ids[0], ids[1], ids[0]]), np.array([100.0, 200.0, 300.0]))
    assert replay.late_updates == 3
    np.testing.assert_array_equal(replay.priorities(), before)
    assert ids[0] % replay.capacity in {name % replay.capacity for name in ids[-len(replay) :]}, (
        "place reused"
    )


def test_bad_draws_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="holds no finished item yet: write more steps"):
        build().sample(1, rng)
    replay, _ = filled()
    before = rng.bit_generator.state
    with pytest.raises(ValueError, match="n must be at least 1 item, got 0"):
        replay.sample(0, rng)
    assert rng.bit_generator.state == before
    spare = replay.sample(3, rng)
    with pytest.raises(ValueError, match="out must be a batch of 2 items"):
        replay.sample(2, rng, out=spare)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block": 0}, "block must be at least 1 step, got 0"),
        ({"steps": 6}, r"steps must be at least the 7 rows of one item.*got 6"),
        ({"capacity": 9}, r"capacity must be at least 10 items, as many as one write can finish.*got 9"),
        (
            {"columns": {"x": Column((), "float32", "raw", 3)}},
            "context must be the columns' widest, 3, got 1",
        ),
        ({"columns": {}}, "context must be the columns' widest, 0, got 1"),
    ],
)
def test_constructor_says_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**changes)
