"""Central inference: one process has the network, for example on a GPU, and batches the steps of all actors.

Core states stay with the actors and are sent with each step, so nothing is lost with the process.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from r2d2.agent.inputs import Inputs
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.config import Config
from r2d2.envs.vector import EnvSpec
from r2d2.runtime.cluster.roles.messages import Lost, Published

PAUSE = 0.1  # seconds until a lost process is called again; ours


class Asked(NamedTuple):
    """One step of an actor: inputs of `QNetwork.step`, and the newest weights that the actor knows of."""

    observation: dict[str, NDArray]  # of each column [1, N, ...]
    previous_action: NDArray[np.int32]  # [1, N]
    previous_reward: NDArray[np.float32]  # [1, N]
    core: NDArray[np.float32]  # [N, C]
    offered: Published | None
    exploration: NDArray[np.float32] | None = None  # [N, K] of networks that take it


class Answered(NamedTuple):
    """The result of `step`: Q values [N, A], the core states after it [N, C], and the updates in the weights."""

    q: NDArray[np.float32]
    core: NDArray[np.float32]
    updates: int


class Fetch(Protocol):
    """Fetches published weights; raises Lost if they are gone."""

    def __call__(self, handle: Any) -> dict[str, Any]: ...


class _Entry:
    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.answer: Answered | None = None


class InferenceRole:
    """Answers steps of many actors, which call it from threads of their own.

    The thread that finds the network free answers all waiting ones: while one batch is computed the next one
    gathers, so batches grow with the load and no thread waits for a timer.
    """

    def __init__(self, config: Config, fetch: Fetch) -> None:
        self.device = build.device(config)
        self.network = build.network(config, environments.spec(config)).to(self.device)
        self.updates = 0  # in the weights
        self.batches = self.steps = 0
        self._fetch = fetch
        self._queue: deque[_Entry] = deque()
        self._turn = threading.Lock()

    def step(self, asked: Asked) -> Answered:
        """Answer one actor, together with all that wait."""
        entry = _Entry(asked)
        self._queue.append(entry)
        with self._turn:
            if entry.answer is None:
                waiting = [self._queue.popleft() for _ in range(len(self._queue))]
                self._answer(waiting if entry in waiting else [entry])
        assert entry.answer is not None
        return entry.answer

    @torch.no_grad()
    def _answer(self, entries: list[_Entry]) -> None:
        self._refresh([entry.asked.offered for entry in entries])
        asked = [entry.asked for entry in entries]
        inputs = Inputs(
            {
                name: self._joined([one.observation[name] for one in asked], 1)
                for name in asked[0].observation
            },
            self._joined([one.previous_action for one in asked], 1),
            self._joined([one.previous_reward for one in asked], 1),
        )
        before = self._joined([one.core for one in asked], 0)
        drawn = [one.exploration for one in asked if one.exploration is not None]
        exploration = self._joined(drawn, 0) if drawn else None
        q, core = (tensor.cpu().numpy() for tensor in self.network.step(inputs, before, exploration))
        self.batches += 1
        self.steps += len(q)
        ends = np.cumsum([len(one.core) for one in asked])
        for entry, end in zip(entries, ends.tolist(), strict=True):
            mine = slice(end - len(entry.asked.core), end)
            entry.answer = Answered(q[mine], core[mine], self.updates)

    def _joined(self, arrays: list[NDArray], axis: int) -> Tensor:
        return torch.from_numpy(np.concatenate(arrays, axis)).to(self.device)

    def _refresh(self, offers: list[Published | None]) -> None:
        """Load the newest of the offered weights. Actors learn of them at different times: never go back."""
        newest = max((o for o in offers if o is not None), key=lambda o: o.updates, default=None)
        if newest is None or newest.updates <= self.updates:
            return
        try:
            weights = self._fetch(newest.handle)
        except Lost:  # with the learner that made them; its successor will publish others
            return
        self.network.load_state_dict({name: torch.from_numpy(w) for name, w in weights.items()})
        self.updates = newest.updates


class InferencePort(Protocol):
    """An actor's connection to central inference; may raise Lost."""

    def step(self, asked: Asked) -> Answered: ...


class RemoteNetwork:
    """Replaces an actor's network; `step` is answered by the central one, however long it is unavailable."""

    def __init__(self, config: Config, spec: EnvSpec, port: InferencePort) -> None:
        self.port = port
        self.inputs = build.input_layout(config, spec)
        self.core_size, self.actions = build.core_size(config), spec.num_actions
        self.frozen = None  # `check_config` refuses a frozen context with central inference
        self.stochastic = config.learner.method == "sac"
        self.offered: Published | None = None
        self.updates = 0  # in the weights that answered last

    def parameters(self) -> Iterator[Tensor]:
        """Where the actor's tensors are: on the CPU."""
        yield torch.empty(0)

    def step(self, inputs: Inputs, state: Tensor, exploration: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See `QNetwork.step`."""
        asked = Asked(
            {name: value.numpy() for name, value in inputs.observation.items()},
            inputs.previous_action.numpy(),
            inputs.previous_reward.numpy(),
            state.numpy(),
            self.offered,
            None if exploration is None else exploration.numpy(),
        )
        while True:
            try:
                answered = self.port.step(asked)
                break
            except Lost:
                time.sleep(PAUSE)
        self.updates = answered.updates
        return torch.from_numpy(answered.q), torch.from_numpy(np.array(answered.core))  # writable
