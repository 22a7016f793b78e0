"""What is seen: which parts an observation has, what each is taken for, and that no number of it is lost."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Sequence, Text, Tuple
from numpy.typing import NDArray

from r2d2.envs.make import make
from r2d2.envs.observations import MAX_SYMBOLS, Part, parts_of
from r2d2.envs.vector import EnvError


def image(*shape: int, dtype: Any = np.uint8, high: float = 255) -> Box:
    return Box(0, high, shape, dtype)


def part(space: gym.Space[Any], **settings: Any) -> Part:
    (only,) = parts_of(space, "Task-v0", **settings)
    return only


@pytest.mark.parametrize(
    ("space", "kind", "shape", "dtype", "channels"),
    [
        (image(84, 84), "frames", (84, 84), "uint8", "none"),
        (image(84, 84, 1), "frames", (84, 84, 1), "uint8", "last"),
        (image(64, 48, 3), "frames", (64, 48, 3), "uint8", "last"),
        (image(3, 64, 64), "frames", (64, 64, 3), "uint8", "first"),
        (image(1, 84, 84), "frames", (84, 84, 1), "uint8", "first"),
        (image(64, 64, 3, dtype=np.float32, high=1), "frames", (64, 64, 3), "float32", "last"),
        (image(64, 64, 3, dtype=np.int64), "frames", (64, 64, 3), "uint8", "last"),
        (image(7, 7, 3), "grid", (7, 7, 3), "uint8", "last"),
        (image(8, 8), "grid", (8, 8), "uint8", "none"),
        (image(8, 8, dtype=np.float32, high=1), "grid", (8, 8), "float32", "none"),
        (image(10, 10, 4, dtype=np.bool_, high=1), "grid", (10, 10, 4), "uint8", "last"),
        (image(20, 30), "grid", (20, 30), "uint8", "none"),
        (image(4, 9, 9), "grid", (9, 9, 4), "uint8", "first"),
        (Box(-1, 1, (5, 6)), "grid", (5, 6), "float32", "none"),
        (image(128), "vector", (128,), "uint8", "none"),
        (image(1, 20), "vector", (20,), "uint8", "none"),
        (Box(-1, 1, ()), "vector", (1,), "float32", "none"),
        (Box(-9, 9, (3,), np.int64), "vector", (3,), "float32", "none"),
        (Box(-1, 1, (2, 3, 4, 5)), "vector", (120,), "float32", "none"),
        (Discrete(5, start=-2), "vector", (5,), "float32", "none"),
        (MultiDiscrete([3, 4]), "vector", (7,), "float32", "none"),
        (MultiBinary([2, 3]), "vector", (6,), "float32", "none"),
    ],
)
def test_each_space_is_taken_for_what_it_is(
    space: gym.Space[Any], kind: str, shape: tuple[int, ...], dtype: str, channels: str
) -> None:
    """And a batch of samples is read without losing a number."""
    made = part(space)
    assert (made.name, made.kind, made.shape, made.dtype) == ("observation", kind, shape, dtype)
    assert made.channels == channels
    space.seed(0)
    samples = np.stack([np.asarray(space.sample()) for _ in range(4)])
    read = made.read(samples)
    assert (read.shape, read.dtype) == ((4, *shape), np.dtype(dtype))
    assert len(np.unique(read.reshape(4, -1), axis=0)) == len(np.unique(samples.reshape(4, -1), axis=0))
    if kind != "vector":
        back = np.moveaxis(read, -1, 1) if channels == "first" else read
        np.testing.assert_array_equal(back, samples)


def test_channels_are_where_one_says() -> None:
    assert part(image(30, 40, 50), channels="first").shape == (40, 50, 30)
    assert part(image(30, 40, 50), channels="last").shape == (30, 40, 50)
    with pytest.raises(EnvError, match="channels must be auto, first or last"):
        part(image(3, 9, 9), channels="middle")


def test_symbols_are_shown_one_hot_wherever_they_start() -> None:
    space = MultiDiscrete([2, 3], start=[5, -1])
    assert part(space).read(np.array([[6, 1], [5, -1]])).tolist() == [[0, 1, 0, 0, 1], [1, 0, 1, 0, 0]]
    table = MultiDiscrete([[2, 2], [2, 2]])
    assert part(table).read(np.array([[0, 1], [1, 0]])).tolist() == [1, 0, 0, 1, 0, 1, 1, 0]


def test_dicts_and_tuples_have_a_column_for_each_leaf_with_a_stable_name() -> None:
    space = Dict(
        eye=Dict(left=image(3, 30, 30), right=image(30, 30)),
        body=Tuple([Box(-1, 1, (2,)), Discrete(3)]),
        **{"a/b": MultiBinary(2)},
    )
    parts = parts_of(space, "Task-v0")
    shapes = {one.name: one.shape for one in parts}
    assert shapes == {
        "observation/eye/left": (30, 30, 3),
        "observation/eye/right": (30, 30),
        "observation/body/0": (2,),
        "observation/body/1": (3,),
        "observation/a%2Fb": (2,),
    }
    space.seed(0)
    seen = space.sample()
    named = {one.name: one.read(seen) for one in parts}
    np.testing.assert_array_equal(named["observation/eye/left"][..., 1], seen["eye"]["left"][1])
    np.testing.assert_array_equal(named["observation/body/0"], seen["body"][0])
    assert named["observation/body/1"].argmax() == seen["body"][1]
    np.testing.assert_array_equal(named["observation/a%2Fb"], seen["a/b"])


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (Text(9), "the observation space Text.*must be a Box"),
        (Dict(told=Text(9), seen=Box(0, 1, (2,))), "observation/told, which is Text"),
        (Tuple([Sequence(Discrete(2))]), "observation/0, which is Sequence"),
        (Box(0, 1, (0,)), "must be a Box that is not empty"),
        (Dict({}), "nothing to see"),
        (Discrete(MAX_SYMBOLS + 1), "10,001 symbols in observation; at most 10,000"),
    ],
)
def test_what_is_no_array_of_fixed_size_is_refused_by_name(space: gym.Space[Any], message: str) -> None:
    with pytest.raises(EnvError, match=f"Task-v0.*{message}"):
        parts_of(space, "Task-v0")


def test_bounds_that_can_serve_as_a_scale() -> None:
    space = Box(np.array([0, -np.inf, -2, 3], np.float32), np.array([1, 1, 2, 3], np.float32))
    assert part(space).bounded.tolist() == [True, False, True, False]
    assert part(image(8, 8, high=9)).high == (9.0,)
    assert not part(Box(-(2**40), 2**40, (3,), np.int64)).bounded.any()


def test_a_part_says_what_it_was_taken_for() -> None:
    assert str(part(image(3, 64, 48))) == "observation: frames 64 x 48, 3 channels (first), uint8 in [0, 255]"
    assert str(part(image(7, 7, high=2))) == "observation: grid 7 x 7, uint8 in [0, 2]"
    assert str(part(Box(-np.inf, 1, (2,)))) == "observation: vector of 2, float32 without bounds"
    assert str(part(Discrete(4))) == "observation: one-hot vector of 4, float32 in [0, 1]"


class Eyes(gym.Env[Any, Any]):
    """An image with a vector, both of which tell slot and time."""

    observation_space = Dict(image=Box(0, 255, (3, 30, 40), np.uint8), inside=Tuple([Box(-99, 99, (2,))]))
    action_space = Discrete(2)

    def __init__(self) -> None:
        self.seed = self.time = 0

    def shown(self) -> dict[str, Any]:
        picture = np.zeros((3, 30, 40), np.uint8)
        picture[2] = self.time
        return {"inside": (np.array([self.seed, self.time], np.float32),), "image": picture}

    def reset(self, *, seed: int | None = None, **_: Any) -> tuple[Any, dict[str, Any]]:
        self.seed, self.time = self.seed if seed is None else seed, 0
        return self.shown(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.time += 1
        return self.shown(), 0.0, self.time == 3, False, {}


@pytest.fixture
def eyes_id() -> Any:
    gym.register("Eyes-v0", entry_point=Eyes)
    yield "Eyes-v0"
    del gym.registry["Eyes-v0"]


@pytest.mark.parametrize("halves", [False, True])
def test_a_vector_hands_out_arrays_by_column(eyes_id: str, halves: bool) -> None:
    """Also of halves, across an episode's end; each array is the caller's own."""
    env = make(eyes_id, 3, halves=halves)
    assert [one.name for one in env.spec.parts] == ["observation/image", "observation/inside/0"]
    first = env.reset(7)
    kept: list[dict[str, NDArray[Any]]] = [first]
    kept += [env.step(np.zeros(3, np.int64)).observation for _ in range(4)]
    for seen, time in zip(kept, (0, 1, 2, 3, 0), strict=True):
        assert seen["observation/image"].shape == (3, 30, 40, 3)
        assert (seen["observation/image"][..., 2] == time).all()
        assert (seen["observation/image"][..., :2] == 0).all()
        assert seen["observation/inside/0"].tolist() == [[7 + slot, time] for slot in range(3)]


def test_all_parts_of_an_observation_flicker_together(eyes_id: str) -> None:
    env = make(eyes_id, 50, options={"flicker": 0.5})
    env.reset(1)
    seen = env.step(np.zeros(50, np.int64)).observation
    blank = (seen["observation/image"] == 0).all((1, 2, 3))
    np.testing.assert_array_equal(blank, (seen["observation/inside/0"] == 0).all(1))
    assert 10 < blank.sum() < 40


def test_an_observation_that_is_not_finite_is_named_by_its_column(eyes_id: str) -> None:
    env = make(eyes_id, 2)
    env.reset(0)
    env._env._env.envs[1].unwrapped.seed = np.nan  # type: ignore[attr-defined]
    with pytest.raises(
        EnvError, match=r"observation/inside/0 must be finite, got \[nan.* slot 1 of Eyes-v0.* by step"
    ):
        env.step(np.zeros(2, np.int64))
