"""A slow Atari game written from the protocol's definition, against which the adapter is tested."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from ale_py.env import AtariEnv
from numpy.typing import NDArray


class SlowAtari:
    """One emulator frame a call, no no-ops, no sticky actions; frames reduced by the area filter in numpy."""

    def __init__(self, game: str, size: int) -> None:
        rom = re.sub(r"(?<!^)(?=[A-Z])", "_", game).lower()
        self._env = AtariEnv(
            game=rom, obs_type="grayscale", frameskip=1, repeat_action_probability=0.0, full_action_space=True
        )
        self._size = size
        self._last = np.zeros((2, 210, 160), dtype=np.uint8)

    def reset(self) -> NDArray[np.float64]:
        """Starts an episode; returns the first frame [size, size], not rounded."""
        frame, _ = self._env.reset(seed=0)
        self._last[:] = frame
        return self._reduced()

    def step(self, action: int) -> tuple[NDArray[np.float64], float, bool, bool]:
        """Plays four frames; returns frame, reward, terminated, life lost.

        When the game ends within the four frames, what was seen before stays in the picture, here as in
        gymnasium's AtariPreprocessing; the observation is then final and nothing is bootstrapped from it.
        """
        lives, total = self._env.ale.lives(), 0.0
        for k in range(4):
            frame, reward, terminated, _, _ = self._env.step(action)
            total += float(reward)
            if terminated:
                break
            if k >= 2:
                self._last[3 - k] = frame
        return self._reduced(), total, bool(terminated), self._env.ale.lives() < lives

    def rgb(self) -> NDArray[np.uint8]:
        """The last emulator frame in color, [210, 160, 3]."""
        return np.asarray(self._env.ale.getScreenRGB(), dtype=np.uint8)

    def _reduced(self) -> NDArray[np.float64]:
        self._last[0] = self._last.max(axis=0)
        return area_mean(area_mean(self._last[0], self._size).T, self._size).T


def area_mean(image: NDArray[Any], rows: int) -> NDArray[np.float64]:
    """The mean of the image over `rows` equal bands, which may cut through its pixels, [rows, width].

    >>> area_mean(np.array([[0], [1], [5]]), rows=2)  # bands of 1.5 pixels
    array([[0.33333333],
           [3.66666667]])
    """
    height = len(image)
    below = np.concatenate([np.zeros((1, image.shape[1])), np.cumsum(image, axis=0, dtype=np.float64)])
    edges = np.arange(rows + 1) * height / rows
    whole = np.minimum(edges.astype(np.int64), height - 1)
    sums = below[whole] + (edges - whole)[:, None] * (below[whole + 1] - below[whole])  # [rows + 1, width]
    bands: NDArray[np.float64] = np.diff(sums, axis=0) * rows / height
    return bands
