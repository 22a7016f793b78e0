"""Scripted transitions for SB3's buffers and ours, and how two samples are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray

BOX = spaces.Box(-1.0, 1.0, (3,), np.float32)
IMAGE = spaces.Box(0, 255, (2, 6, 5), np.uint8)
OBSERVATIONS: dict[str, spaces.Space] = {
    "box": BOX,
    "float64": spaces.Box(-1.0, 1.0, (2, 2), np.float64),
    "discrete": spaces.Discrete(50),
    "image": IMAGE,
    "dict": spaces.Dict({"camera": IMAGE, "speed": BOX, "room": spaces.Discrete(9)}),
}
ACTIONS: dict[str, spaces.Space] = {
    "box": spaces.Box(-1.0, 1.0, (2,), np.float64),
    "discrete": spaces.Discrete(4),
    "several": spaces.MultiDiscrete([3, 5]),
}


@dataclass
class Script:
    """Vectorised environments without rules: noise, and episodes of 1 to 7 steps of which half are cut by time."""

    observation_space: spaces.Space
    action_space: spaces.Space
    n_envs: int
    seed: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.observation_space.seed(self.seed)
        self.action_space.seed(self.seed)
        self.left = self.rng.integers(1, 8, self.n_envs)
        self.observation = self.stacked([self.observation_space.sample() for _ in range(self.n_envs)])

    def stacked(self, parts: list[Any]) -> Any:
        if isinstance(self.observation_space, spaces.Dict):
            return {key: np.stack([part[key] for part in parts]) for key in parts[0]}
        return np.stack(parts)

    def steps(self, count: int) -> Iterator[tuple[Any, Any, NDArray, NDArray, NDArray, list[dict[str, Any]]]]:
        """What SB3 hands to `add`, that many times."""
        for _ in range(count):
            arrived = [self.observation_space.sample() for _ in range(self.n_envs)]
            self.left -= 1
            done = self.left == 0
            cut = done & (self.rng.random(self.n_envs) < 0.5)
            infos = [{"TimeLimit.truncated": bool(flag)} if flag else {} for flag in cut]
            action = np.stack([self.action_space.sample() for _ in range(self.n_envs)])
            reward = self.rng.normal(size=self.n_envs).astype(np.float32)
            yield self.observation, self.stacked(arrived), action, reward, done, infos
            new = [
                self.observation_space.sample() if over else was
                for was, over in zip(arrived, done, strict=True)
            ]
            self.observation = self.stacked(new)
            self.left[done] = self.rng.integers(1, 8, int(done.sum()))


def feed(script: Script, count: int, *buffers: Any) -> None:
    """The same transitions to each buffer."""
    for obs, next_obs, *rest in script.steps(count):
        for buffer in buffers:
            copies = [dict(part) if isinstance(part, dict) else part for part in (obs, next_obs)]
            buffer.add(*copies, *rest)  # SB3 reshapes parts of a dict in place


def parts(samples: Any) -> dict[str, torch.Tensor]:
    """The tensors of a sample by name."""
    found = {}
    for name, value in samples._asdict().items():
        if isinstance(value, dict):
            found |= {f"{name}/{key}": part for key, part in value.items()}
        elif value is not None:
            found[name] = value
    return found


def assert_same(ours: Any, theirs: Any) -> None:
    """Two samples are equal to the bit, of the same kind and dtypes."""
    assert type(ours) is type(theirs)
    mine, other = parts(ours), parts(theirs)
    assert mine.keys() == other.keys()
    for name, value in mine.items():
        assert value.dtype == other[name].dtype, name
        assert torch.equal(value, other[name]), name


def assert_same_draws(ours: Any, theirs: Any, *, batches: int = 5, size: int = 64, env: Any = None) -> None:
    """With the same random numbers both buffers give the same samples and leave numpy in the same state."""
    for seed in range(batches):
        np.random.seed(seed)  # noqa: NPY002 (the generator that SB3 draws from)
        expected = theirs.sample(size, env=env)
        after = np.random.random()  # noqa: NPY002
        np.random.seed(seed)  # noqa: NPY002
        assert_same(ours.sample(size, env=env), expected)
        assert np.random.random() == after  # noqa: NPY002
