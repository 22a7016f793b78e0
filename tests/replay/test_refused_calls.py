"""The law of every public call: an argument that means nothing is named, and nothing at all has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_cases import same
from helpers import snapshot

from r2d2.replay import (
    Column,
    Combined,
    Fifo,
    LowestPriority,
    Mixture,
    Proportional,
    RankBased,
    RateLimiter,
    Recency,
    Replay,
    Reservoir,
    Sequencer,
    SoftFifo,
    Uniform,
)
from r2d2.replay.draw import importance_weights

NAN, INFINITY = float("nan"), float("inf")
COLUMNS = {"reward": Column(), "half": Column((), "float16"), "phase": Column((), "complex64"),
           "action": Column((), "uint8")}  # fmt: skip


def one(**changes: Any) -> Replay:
    selector = Proportional(60)
    arguments: dict[str, Any] = {
        "streams": 2,
        "sequencer": Sequencer(2, burn_in=2, unroll=3, n_step=1, period=2, core_size=2),
        "selector": selector,
        "remover": Fifo(60),
        "capacity": 60,
        "steps": 80,
        "block": 4,
        "core_size": 2,
        "linked": True,
    }
    return Replay(changes.pop("columns", COLUMNS), **(arguments | changes))


def two() -> Mixture:
    return Mixture([one(), one(selector=RankBased(60))], [0.5, 0.5])


def row() -> dict[str, Any]:
    return {
        "reward": np.ones(2, np.float32),
        "half": np.ones(2, np.float16),
        "phase": np.ones(2, np.complex64),
        "action": np.ones(2, np.uint8),
    }


def filled(replay: Any) -> tuple[Any, list[int]]:
    """A replay from which items were removed; and all ids so far."""
    ids: list[int] = []
    for step in range(120):
        last = np.array([step % 9 == 8, step % 7 == 6])
        ids += replay.write(row(), last, core=np.full((2, 2), step, np.float32)).tolist()
    return replay, ids


WRITES: dict[str, Any] = {
    "float streams": {"streams": np.array([0.0, 1.0])},
    "a float stream that is none": {"streams": np.array([0.7, 1.2])},
    "flags for streams": {"streams": np.array([False, True])},
    "streams in a square": {"streams": np.array([[0, 1]])},
    "one stream": {"streams": 1},
    "float64 core": {"core": np.zeros((2, 2))},
    "core beyond float32": {"core": [[1e39, 0.0], [0.0, 0.0]]},
    "complex core": {"core": np.zeros((2, 2), np.complex64)},
    "integer core": {"core": np.zeros((2, 2), np.int64)},
    "core of words": {"core": [["a", "b"], ["c", "d"]]},
    "core of one stream": {"core": np.zeros((1, 2), np.float32)},
    "no last": {"last": None},
    "float last": {"last": np.zeros(2)},
    "a list for values": {"values": [1, 2]},
    "NaN in float16": {"values": row() | {"half": np.array([0, NAN], np.float16)}},
    "too large for float16": {"values": row() | {"half": np.array([0, 1e5], np.float32)}},
    "NaN in complex": {"values": row() | {"phase": np.array([0, complex(0, NAN)], np.complex64)}},
    "complex for float": {"values": row() | {"reward": np.ones(2, np.complex64)}},
    "words": {"values": row() | {"reward": ["a", "b"]}},
    "ragged": {"values": row() | {"reward": [[1.0], [1.0, 2.0]]}},
    "nothing": {"values": row() | {"reward": None}},
    "a list that does not fit": {"values": row() | {"action": [1, 256]}},
    "a negative list": {"values": row() | {"action": [1, -1]}},
    "floats for integers": {"values": row() | {"action": [1.5, 2.0]}},
    "a tensor with a gradient": {"values": row() | {"reward": torch.ones(2, requires_grad=True)}},
}


@pytest.mark.parametrize("make", [one, two])
@pytest.mark.parametrize("changes", WRITES.values(), ids=WRITES)
def test_a_bad_write_changes_nothing(changes: dict[str, Any], make: Callable[[], Any]) -> None:
    replay, _ = filled(make())
    before = snapshot(replay.state_dict())
    arguments: dict[str, Any] = {"values": row(), "last": np.zeros(2, np.bool_), "core": None}
    (name,) = changes
    with pytest.raises(ValueError, match=r"|".join([*COLUMNS, name])):
        replay.write(**(arguments | changes))
    assert same(snapshot(replay.state_dict()), before)


def test_whatever_numpy_can_read_is_taken() -> None:
    """Lists and tensors, where nothing is lost: what is stored is what arrays would have stored."""
    arrays, others = one(), one()
    for step in range(30):
        last = [step % 5 == 4] * 2
        core = np.full((2, 2), step, np.float32)
        arrays.write(row() | {"action": np.array([step, 7], np.uint8)}, np.array(last), core=core)
        values = {
            "reward": torch.ones(2),
            "half": [1.0, 1.0],
            "phase": [1.0, 1.0],
            "action": [step, 7],
        }
        others.write(values, last, streams=[0, 1], core=core.tolist())
    assert same(snapshot(arrays.state_dict()), snapshot(others.state_dict()))
    ids = others.sample(4, np.random.default_rng(0)).ids
    for replay, given, priorities in (
        (arrays, ids, np.arange(4.0)),
        (others, ids.tolist(), torch.arange(4)),
    ):
        replay.update_priorities(given, priorities)
        replay.refresh(given, np.ones((4, 2), np.float32).tolist())
    assert same(snapshot(arrays.state_dict()), snapshot(others.state_dict()))
    assert others.get(ids.tolist()).columns["action"].dtype == np.uint8
    assert others.holds(ids.tolist()).all()


def calls(replay: Any, ids: list[int]) -> dict[str, tuple[type[Exception], str, Callable[[], Any]]]:
    rng, live, gone = np.random.default_rng(0), ids[-2:], ids[0]
    ones = np.ones(2)
    core = np.zeros((2, 2), np.float32)
    return {
        "float ids": (ValueError, "ids", lambda: replay.update_priorities(np.array(live, float), ones)),
        "a float id between": (ValueError, "ids", lambda: replay.get(np.array([live[0] + 0.5]))),
        "flags for ids": (ValueError, "ids", lambda: replay.holds(np.array([True, False]))),
        "one id": (ValueError, "ids", lambda: replay.get(live[0])),
        "words for ids": (ValueError, "ids", lambda: replay.relabeled(["a"])),
        "an id too large for int64": (ValueError, "id", lambda: replay.get(np.array([2**64 - 1], np.uint64))),
        "unknown to holds": (ValueError, "id -5 was never", lambda: replay.holds([live[0], -5])),
        "unknown to successors": (ValueError, "id -5 was never", lambda: replay.successors([-5])),
        "unknown to refresh": (ValueError, "id -5 was never", lambda: replay.refresh([live[0], -5], core)),
        "unknown to update": (ValueError, "id -5 was never", lambda: replay.update_priorities([-5], [1.0])),
        "a removed id in a list": (KeyError, f"item {gone} was removed", lambda: replay.get([gone])),
        "a removed id": (KeyError, f"item {gone} was removed", lambda: replay.get(np.array([live[0], gone]))),
        "a column that is none": (ValueError, "names", lambda: replay.get(live, ["rewards"])),
        "a word for names": (ValueError, "names", lambda: replay.get(live, "reward")),
        "complex priorities": (ValueError, "priorities", lambda: replay.update_priorities(live, ones + 0j)),
        "flags for priorities": (
            ValueError, "priorities", lambda: replay.update_priorities(live, ones > 0)),
        "a negative priority": (ValueError, "priorities", lambda: replay.update_priorities(live, [1, -1])),
        "NaN priority": (ValueError, "priorities", lambda: replay.update_priorities(live, [1, NAN])),
        "too many priorities": (ValueError, "alike", lambda: replay.update_priorities(live, np.ones(3))),
        "a float64 state": (ValueError, "core", lambda: replay.refresh(live, np.zeros((2, 2)))),
        "a NaN state": (ValueError, "core", lambda: replay.refresh(live, np.full((2, 2), NAN, np.float32))),
        "states of another size": (
            ValueError, "core", lambda: replay.refresh(live, np.zeros((2, 3), np.float32))),
        "a state too few": (ValueError, "core", lambda: replay.refresh(live, core[:1])),
        "beta NaN": (ValueError, "beta", lambda: replay.sample(4, rng, beta=NAN)),
        "beta below 0": (ValueError, "beta", lambda: replay.sample(4, rng, beta=-1.0)),
        "beta above 1": (ValueError, "beta", lambda: replay.sample(4, rng, beta=2.0)),
        "beta infinite": (ValueError, "beta", lambda: replay.draw(4, rng, beta=INFINITY)),
        "beta a word": (ValueError, "beta", lambda: replay.sample(4, rng, beta="0.5")),
        "n a float": (ValueError, "n must be an integer", lambda: replay.sample(4.0, rng)),
        "n True": (ValueError, "n must be an integer", lambda: replay.sample(True, rng)),
        "n below 1": (ValueError, "n must be at least 1", lambda: replay.sample(-3, rng)),
        "a seed for rng": (ValueError, "rng", lambda: replay.sample(4, 7)),
        "the old generator": (ValueError, "rng", lambda: replay.sample(4, np.random.RandomState(0))),
        "no batch": (ValueError, "out", lambda: replay.sample(4, rng, out=np.zeros(4))),
        "a batch of some columns": (
            ValueError, "out", lambda: replay.sample(2, rng, out=replay.get(live, ["reward"]))),
    }  # fmt: skip


NAMES = list(calls(None, [0, 0]))


@pytest.mark.parametrize("make", [one, two])
@pytest.mark.parametrize("name", NAMES)
def test_a_bad_call_changes_nothing(name: str, make: Callable[[], Any]) -> None:
    replay, ids = filled(make())
    before = snapshot(replay.state_dict())
    error, message, call = calls(replay, ids)[name]
    with pytest.raises(error, match=message):
        call()
    assert same(snapshot(replay.state_dict()), before)


def test_a_refused_draw_leaves_the_generator_where_it_was() -> None:
    """Also where the second replay of a mixture is the one that cannot be drawn from."""
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    newest = Combined(Uniform(60), capacity=60, streams=2, newest=3)
    mixture, _ = filled(Mixture([one(), one(selector=newest)], [0.5, 0.5]))
    replay, _ = filled(one())
    for draw in (
        lambda: mixture.sample(6, rng),
        lambda: replay.sample(4, rng, beta=NAN),
        lambda: replay.sample(4, rng, out=replay.sample(5, np.random.default_rng(1))),
    ):
        with pytest.raises(ValueError, match="n must be at least 7|beta|out"):
            draw()
        assert rng.bit_generator.state == before


def test_a_mixture_refuses_for_all_of_its_replays() -> None:
    """One of which was written to apart, so that it alone is at the beginning of an episode."""
    mixture, _ = filled(two())
    last = np.array([True, True])
    for replay in mixture.replays:
        replay.write(row(), ~last)
    mixture.replays[1].write(row(), last)
    before = snapshot(mixture.state_dict())
    with pytest.raises(ValueError, match="first row of an episode"):
        mixture.write(row(), last)
    assert same(snapshot(mixture.state_dict()), before)


SEQUENCER = {"burn_in": 2, "unroll": 3, "n_step": 1, "period": 2}


def limiter(**changes: Any) -> RateLimiter:
    return RateLimiter(**({"replay_ratio": 1.0, "min_steps": 10, "slack": 5.0} | changes))


BUILT: dict[str, tuple[str, Callable[[], Any]]] = {
    "half a stream": ("streams", lambda: Sequencer(1.5, **SEQUENCER)),  # type: ignore[arg-type]
    "a float burn-in": ("burn_in", lambda: Sequencer(2, **SEQUENCER | {"burn_in": 2.0})),  # type: ignore[arg-type]
    "NaN period": ("period", lambda: Sequencer(2, **SEQUENCER | {"period": NAN})),  # type: ignore[arg-type]
    "unroll True": ("unroll", lambda: Sequencer(2, **SEQUENCER | {"unroll": True})),
    "ratio NaN": ("replay_ratio", lambda: limiter(replay_ratio=NAN)),
    "ratio infinite": ("replay_ratio", lambda: limiter(replay_ratio=INFINITY)),
    "half a least step": ("min_steps", lambda: limiter(min_steps=1.5)),
    "slack NaN": ("slack", lambda: limiter(slack=NAN)),
    "a negative insert": ("steps", lambda: limiter().insert(-1)),
    "half a trained step": ("steps", lambda: limiter().sample(0.5)),
    "no places": ("capacity", lambda: Fifo(0)),
    "half a place": ("capacity", lambda: Uniform(2.5)),  # type: ignore[arg-type]
    "negative places": ("capacity", lambda: Uniform(-1)),
    "a reservoir by seed": ("rng", lambda: Reservoir(4, 3)),  # type: ignore[arg-type]
    "soft NaN": ("soft", lambda: SoftFifo(4, NAN)),  # type: ignore[arg-type]
    "alpha NaN": ("alpha", lambda: Proportional(4, alpha=NAN)),
    "epsilon NaN": ("epsilon", lambda: Proportional(4, epsilon=NAN)),
    "epsilon infinite": ("epsilon", lambda: Proportional(4, epsilon=INFINITY)),
    "refresh NaN": ("refresh", lambda: RankBased(4, refresh=NAN)),
    "a new alpha NaN": ("alpha", lambda: RankBased(4).set_alpha(NAN)),
    "decay a word": ("decay", lambda: Recency(4, decay="fast")),  # type: ignore[arg-type]
    "newest False": ("newest", lambda: Combined(Uniform(4), capacity=4, streams=1, newest=False)),
    "a rest that is too small": ("rest", lambda: Combined(Uniform(3), capacity=4, streams=1)),
    "shares NaN": ("shares", lambda: Mixture([one(), one()], [NAN, 0.5])),
    "weights of beta NaN": ("beta", lambda: importance_weights(np.ones(2), 2, NAN)),
    "a column without shape": ("shape", lambda: Column(3)),  # type: ignore[arg-type]
    "a column of width 0": ("shape", lambda: Column((0,))),
    "a column of words": ("dtype", lambda: Column((), "str")),
    "a dtype that is none": ("dtype", lambda: Column((), "float33")),
    "a codec that is none": ("codec", lambda: Column((), "uint8", "zip")),  # type: ignore[arg-type]
    "context below 0": ("context", lambda: Column((), "uint8", "raw", -1)),
    "half a capacity": ("capacity", lambda: one(capacity=30.5)),
    "steps NaN": ("steps", lambda: one(steps=NAN)),
    "a selector too small": ("selector must have room for capacity=60", lambda: one(selector=Uniform(59))),
    "a remover too small": ("remover must have room for capacity=60", lambda: one(remover=Fifo(59))),
    "a selector in use": ("selector must be new", lambda: one(selector=filled(one())[0].selector)),
    "a selector for other streams": (
        "Combined must be made for streams=2", lambda: one(selector=Combined(Uniform(60), capacity=60, streams=1))),
    "a sequencer for other streams": (
        "Sequencer must be made for streams=2", lambda: one(sequencer=Sequencer(1, core_size=2, **SEQUENCER))),
    "a sequencer for other states": (
        "Sequencer must be made for core_size=2", lambda: one(sequencer=Sequencer(2, **SEQUENCER))),
    "the remover of another": ("replay's own selector", lambda: one(remover=LowestPriority(Uniform(60)))),
}  # fmt: skip


@pytest.mark.parametrize(("message", "make"), BUILT.values(), ids=BUILT)
def test_a_part_that_makes_no_sense_is_refused(message: str, make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=message):
        make()
