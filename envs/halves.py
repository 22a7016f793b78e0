"""Halves: two vector environments as one, so that one can step while other work is done."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from r2d2.envs.vector import Observation, StepResult, VectorEnv, each


class Halves:
    """The slots of several vectors, usually two, in a row.

    `begin` hands actions to one of them and returns at once; `finish` waits for its step. Each one steps in a
    thread of its own; C++ environments release the GIL meanwhile. Slot i is seeded with seed + i as in one
    vector, so results are the same.
    """

    def __init__(self, parts: Sequence[VectorEnv]) -> None:
        self._environments = list(parts)
        if any(part.spec != parts[0].spec for part in parts):
            raise ValueError(f"parts must be of one spec, got {[part.spec.id for part in parts]}")
        self.spec = parts[0].spec
        sizes = [part.num_envs for part in parts]
        self.num_envs = sum(sizes)
        ends = np.cumsum(sizes).tolist()
        self.parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        self._threads = ThreadPoolExecutor(len(parts), "environments")
        self._running: list[Future[StepResult] | None] = [None] * len(parts)

    def reset(self, seed: int) -> Observation:
        """Restarts every slot, slot i from seed + i; see `VectorEnv.reset`."""
        for number, running in enumerate(self._running):
            if running is not None:  # a caller that failed between begin and finish left it behind
                self.finish(number)
        parts = zip(self._environments, self.parts, strict=True)
        return _joined([part.reset(seed + at.start) for part, at in parts])

    def begin(self, number: int, action: NDArray[Any]) -> None:
        """Acts once in every slot of one part; `finish` must follow."""
        if self._running[number] is not None:
            raise RuntimeError(
                f"part {number} of {self.spec.id} is in the middle of a step; call finish first"
            )
        self._running[number] = self._threads.submit(self._environments[number].step, action)

    def finish(self, number: int) -> StepResult:
        """The result of the step that was started; raises what it raised."""
        running, self._running[number] = self._running[number], None
        if running is None:
            raise RuntimeError(f"part {number} of {self.spec.id} has no step to finish; call begin first")
        return running.result()

    def finish_all(self) -> StepResult:
        """The results of all parts, as one vector's; waits for every part, even if one raises."""
        results, errors = [], []
        for number in range(len(self.parts)):
            try:
                results.append(self.finish(number))
            except Exception as error:  # raised below, once no part is stepping
                errors.append(error)
        if errors:
            raise errors[0]
        first, *others = (list(values) for values in zip(*results, strict=True))
        return StepResult(_joined(first), *map(np.concatenate, others))

    def step(self, action: NDArray[Any]) -> StepResult:
        """Acts once in every slot; see `VectorEnv.step`."""
        for number, part in enumerate(self.parts):
            self.begin(number, action[part])
        return self.finish_all()

    def close(self) -> None:
        """Frees the environments and the threads."""
        self._threads.shutdown()
        for part in self._environments:
            part.close()


def _joined(observations: list[Observation]) -> Observation:
    """The observations of all parts, as those of one vector."""
    return each(lambda *arrays: np.concatenate(arrays), *observations)
