"""The law of states: one of another replay, or one that somebody changed, is refused before anything changes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from checkpoint_cases import same
from goal_twin import GoalWorld, columns, hindsight
from helpers import snapshot
from stream_twin import Sizes

from r2d2.checkpoint.blobs import Blobs
from r2d2.config.parts import REMOVERS, SELECTORS, make
from r2d2.replay import Column, Combined, Mixture, Proportional, RateLimiter, Replay, Sequencer

TRANSITIONS = Sizes(0, 1, 1, 1, 0)
SIZES: dict[str, Any] = {
    "streams": 2, "capacity": 40, "steps": 60, "block": 4, "core_size": 2, "burn_in": 2, "unroll": 3,
    "n_step": 1, "period": 2, "selector": "proportional", "remover": "fifo", "linked": False,
    "frame": ((3,), "uint8", "lz4"), "changing_alpha": True,
}  # fmt: skip


def one(**changes: Any) -> Replay:
    s = SIZES | changes
    streams, capacity = s["streams"], s["capacity"]
    selector = make(
        SELECTORS, s["selector"], {"capacity": capacity, "decay": 0.1, "changing_alpha": s["changing_alpha"]}
    )
    if s.get("newest"):
        selector = Combined(selector, capacity=capacity, streams=streams)
    rng = np.random.default_rng(0)
    cut = {name: s[name] for name in ("burn_in", "unroll", "n_step", "period", "core_size")}
    return Replay(
        {"frame": Column(*s["frame"]), "reward": Column(), **s.get("more", {})},
        streams=streams,
        sequencer=Sequencer(streams, **cut),
        selector=selector,
        remover=make(
            REMOVERS,
            s["remover"],
            {"capacity": capacity, "selector": selector, "rng": rng, "soft": capacity // 2},
        ),
        **{name: s[name] for name in ("capacity", "steps", "block", "core_size", "linked")},
    )


def played(replay: Any, steps: int = 60) -> Any:
    rng = np.random.default_rng(1)
    part = replay.replays[0] if isinstance(replay, Mixture) else replay
    n = part.streams
    for step in range(steps):
        values = {
            name: rng.integers(0, 9, (n, *column.shape)).astype(column.dtype)
            for name, column in part.columns.items()
        }
        core = rng.random((n, part.items.core.shape[1])).astype(np.float32)
        ids = replay.write(values, np.full(n, step % 11 == 10), core=core)
        if len(ids) and step % 3 == 0:
            replay.update_priorities(ids, rng.random(len(ids)))
    return replay


OTHERS: dict[str, dict[str, Any]] = {
    "streams": {"streams": 3},
    "fewer streams": {"streams": 1},
    "capacity": {"capacity": 50},
    "less capacity": {"capacity": 30},
    "steps": {"steps": 90},
    "fewer steps": {"steps": 40},
    "block": {"block": 5},
    "core": {"core_size": 3},
    "no core": {"core_size": 0},
    "longer items": {"unroll": 7},
    "period": {"period": 1},
    "linked": {"linked": True},
    "frame": {"frame": ((4,), "uint8", "lz4")},
    "dtype": {"frame": ((3,), "int8", "lz4")},
    "codec": {"frame": ((3,), "uint8", "zstd")},
    "raw": {"frame": ((3,), "uint8", "raw")},
    "another column": {"more": {"x": Column((2,))}},
    "a compressed column more": {"more": {"x": Column((2,), "uint8", "zstd")}},
    "combined": {"newest": 1},
    **{f"selector {name}": {"selector": name} for name in SELECTORS if name != "proportional"},
    **{f"remover {name}": {"remover": name} for name in REMOVERS if name != "fifo"},
}


def refused(replay: Any, state: Any, match: str = "replay") -> str:
    before = snapshot(replay.state_dict())
    with pytest.raises(ValueError, match=match) as caught:
        replay.load_state_dict(state)
    assert same(snapshot(replay.state_dict()), before)
    return str(caught.value)


@pytest.mark.parametrize("changes", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("live", [False, True], ids=["saved", "live"])
def test_a_state_of_another_replay_is_refused(changes: dict[str, Any], live: bool) -> None:
    """In both directions, as it comes out of a checkpoint and as it comes out of the other."""
    ours, other = played(one()), played(one(**changes))
    saved: Callable[[Any], Any] = (lambda state: state) if live else snapshot
    for target, source in ((ours, other), (other, ours)):
        refused(target, saved(source.state_dict()), r"^replay\.")
    kept = snapshot(ours.state_dict())
    ours.load_state_dict(saved(played(one(), 40).state_dict()))
    assert not same(snapshot(ours.state_dict()), kept)


KINDS: dict[str, Callable[[], Any]] = {
    **{f"{name}": lambda name=name: one(selector=name) for name in SELECTORS},  # type: ignore[misc]
    **{f"{name}": lambda name=name: one(remover=name, newest=1) for name in REMOVERS},  # type: ignore[misc]
    "linked": lambda: one(linked=True),
    "mixture": lambda: Mixture([one(), one(selector="rank", remover="reservoir")], [0.5, 0.5]),
}


def leaves(state: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything in a state that is no mapping or list of others; generators are one leaf."""
    inner: Any = ()
    if isinstance(state, dict) and path[-1:] != ("rng",):
        inner = state.items()
    elif isinstance(state, list):
        inner = enumerate(state)
    yield from [()] if not path else []
    for key, value in inner:
        yield from leaves(value, (*path, key))
    if path and not inner:
        yield path


def spoiled(value: Any) -> Iterator[Any]:
    """What somebody else might have put there."""
    yield None
    yield "x"
    if isinstance(value, bool):
        yield 2
    elif isinstance(value, int):
        yield from (-1, 1.5, 2**70, True)
    elif isinstance(value, float):
        yield from (float("nan"), -1.0, float("inf"))
    elif isinstance(value, np.ndarray):
        yield value.astype(np.complex64)
        yield value[None]
        if value.ndim:
            more = np.zeros((1, *value.shape[1:]), value.dtype)
            yield np.concatenate([value, value, more])
        if value.dtype.kind == "i" and value.size:
            yield np.full_like(value, -5)
    elif isinstance(value, Blobs):
        yield Blobs(np.arange(len(value) + 1), [*map(bytes, value.data), b"more"])
        if len(value):
            yield Blobs(value.keys, [b"another" * 9] * len(value))


def changed(state: Any, path: tuple[Any, ...], value: Any) -> Any:
    state = copy.copy(state)
    state[path[0]] = changed(state[path[0]], path[1:], value) if len(path) > 1 else value
    return state


def without(state: Any, path: tuple[Any, ...]) -> Any:
    state = copy.copy(state)
    if len(path) > 1:
        state[path[0]] = without(state[path[0]], path[1:])
    else:
        del state[path[0]]
    return state


def at(state: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        state = state[key]
    return state


OPTIONAL = {"alpha", "goal", "most"}  # absent from old checkpoints, or of no use here


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_of_a_state_is_checked(kind: str) -> None:
    replay = played(KINDS[kind]())
    state = snapshot(replay.state_dict())
    paths = [path for path in leaves(state) if path]
    assert len(paths) > 15
    for path in paths:
        value = at(state, path)
        if path[-1] not in OPTIONAL:
            refused(replay, without(state, path))
        for bad in spoiled(value):
            message = refused(replay, changed(state, path, bad))
            name = next(key for key in reversed(path) if isinstance(key, str))
            assert name in message or name == "used", f"{path} = {bad!r}: {message}"
    for bad in (None, [], {}, 3):
        refused(replay, bad)
    replay.load_state_dict(state)


def test_every_field_of_a_relabeler_is_checked() -> None:
    relabeler = hindsight(TRANSITIONS, 2, "random", 2)
    selector = Proportional(400)
    replay = Replay(
        columns("raw", TRANSITIONS.context), streams=2, sequencer=relabeler.sequencer, selector=selector,
        remover=make(REMOVERS, "fifo", {"capacity": 400}), capacity=400, steps=400, block=4, core_size=2,
        relabeler=relabeler,
    )  # fmt: skip
    world = GoalWorld(TRANSITIONS, 2, "random", np.random.default_rng(0))
    for _ in range(30):
        world.write(replay)
    state = snapshot(replay.state_dict())
    for path in leaves(state["relabeler"]):
        if path:
            refused(replay, changed(state, ("relabeler", *path), None))
            refused(replay, without(state, ("relabeler", *path)))
    replay.load_state_dict(state)


def test_a_limiter_takes_counts_alone() -> None:
    limiter = RateLimiter(1.0, min_steps=5)
    limiter.insert(9)
    for state in ({"inserted": 3}, {"inserted": 3, "trained": -1}, {"inserted": 3.5, "trained": 0}, None):
        with pytest.raises(ValueError, match="limiter"):
            limiter.load_state_dict(state)  # type: ignore[arg-type]
        assert limiter.state_dict() == {"inserted": 9, "trained": 0}
