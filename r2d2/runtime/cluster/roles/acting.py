"""ActorRole: a vector of environments that acts, packs its steps and sends them to its shard."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections import deque
from typing import Any, NamedTuple, Protocol

import torch

from r2d2.agent.actor import Episode
from r2d2.build import agents as build
from r2d2.build import environments
from r2d2.build.agents import ACTING, ENVIRONMENTS, child_seed, generator
from r2d2.config import Config
from r2d2.runtime.cluster.roles.inference import InferencePort, RemoteNetwork
from r2d2.runtime.cluster.roles.layout import Layout
from r2d2.runtime.cluster.roles.messages import Lost, Published, Receipt
from r2d2.runtime.cluster.roles.packet import Encoder, Packet, Step

PAUSE = 0.02  # seconds between two checks whether the shard accepts more; ours
MOST_UNSENT = 2  # packets: one on its way and one that waits for its receipt; ours


class ShardPort(Protocol):
    """An actor's connection to its shard; every method may raise Lost."""

    def send(self, wire: dict[str, Any]) -> None:
        """Start sending a packet; `receipt` must be called before the next one."""

    def receipt(self, timeout: float) -> Receipt | None:
        """The receipt of the packet sent last, None if it takes longer than `timeout` seconds."""

    def may_insert(self, steps: int) -> bool:
        """See `ShardRole.may_insert`."""

    def fetch(self, handle: Any) -> dict[str, Any]:
        """Published weights."""


class Acted(NamedTuple):
    """What an actor did in a slice of time."""

    steps: int  # environment steps, of all slices
    episodes: list[Episode]
    seconds: float  # that the slice took
    waited: float  # seconds of these spent waiting for its shard
    missing: int  # environment steps that it could not deliver, of all slices
    updates: int  # in the weights that it acts with


class ActorRole:
    """Composed of the same `Actor` as the local runtime. Environments have the same seeds and epsilons as there.

    At most `MOST_UNSENT` packets wait: when the shard is slow, or reports that learning is behind, acting pauses.
    """

    def __init__(
        self,
        config: Config,
        index: int,
        port: ShardPort,
        *,
        inference: InferencePort | None = None,
        fresh: bool = True,
    ) -> None:
        """`inference` replaces the actor's own network; with `fresh` False the seeds are new ones."""
        self.config, self.index, self.port = config, index, port
        layout = Layout(config)
        self.slots, self.packet = layout.slots(index), layout.packet
        self.environments = environments.vector(config, len(self.slots), halves=config.actor.halves)
        spec = self.environments.spec
        self.remote = None if inference is None else RemoteNetwork(config, spec, inference)
        network: Any = build.network(config, spec) if self.remote is None else self.remote
        self.session = secrets.randbits(62)
        first = fresh and index == 0
        rng = generator(config.run.seed, ACTING, *(() if first else (index, 0 if fresh else self.session)))
        self.actor = build.actor(config, self.environments, network, rng=rng)
        observations = build.observations(config, spec)
        codecs = {n: config.replay.codec for n, column in observations.items() if column.compressible}
        self.encoder = Encoder(len(self.slots), config.replay.burn_in, config.replay.period, codecs)
        self.updates = 0  # in the weights
        self.missing = 0
        self._steps: list[Step] = []
        self._number = 0
        self._unsent: deque[tuple[dict[str, Any], int]] = deque()  # packets without receipt, and their steps
        self._on_its_way = False
        self._go = True
        self._offered: Published | None = None
        self._until_refresh = 0  # steps of each environment
        self._waited = 0.0
        self._reset(child_seed(config.run.seed, ENVIRONMENTS, 0) if fresh else self._new_seed())

    def _new_seed(self) -> int:
        return child_seed(self.config.run.seed, ENVIRONMENTS, 0, self.index, self.session)

    def _reset(self, seed: int) -> None:
        """All environments begin new episodes, in a new session. Environment i has the seed of its slot."""
        self._number = 0
        self._steps = []
        self.encoder.restart()
        self.actor.reset(seed + self.slots.start)

    # -- acting ----------------------------------------------------------------------------------------

    def run(self, seconds: float) -> Acted:
        """Act and send for about `seconds`."""
        start = time.monotonic()
        end = start + seconds
        while (now := time.monotonic()) < end:
            if self._unsent and (len(self._unsent) == MOST_UNSENT or not self._go):
                self._settle(min(PAUSE, end - now))
            elif not self._go:
                self._ask()
            else:
                self._act()
                continue
            self._waited += time.monotonic() - now
        return self._acted(start)

    def finish(self, seconds: float) -> Acted:
        """Truncate all episodes and deliver what is left, if that is possible within `seconds`."""
        start = time.monotonic()
        end = start + seconds
        while len(self._unsent) == MOST_UNSENT and time.monotonic() < end:
            self._settle(PAUSE)
        self._act(cut=True)
        while self._unsent and time.monotonic() < end:
            self._settle(PAUSE)
        self.session = secrets.randbits(62)
        self._reset(self._new_seed())
        return self._acted(start)

    def _acted(self, start: float) -> Acted:
        episodes = [Episode(self.slots[e.slot], e.total, e.length) for e in self.actor.episodes]
        self.actor.episodes.clear()
        waited, self._waited = self._waited, 0.0
        seconds = time.monotonic() - start
        return Acted(self.actor.steps, episodes, seconds, waited, self.missing, self.updates)

    def _act(self, *, cut: bool = False) -> None:
        if self._until_refresh <= 0:
            self._refresh()
        rows = self.actor.step(cut=cut)
        if self.remote is not None:
            self.updates = self.remote.updates
        self._steps.append(Step(rows, self.updates))
        self._until_refresh -= 1
        if len(self._steps) == self.packet or cut:
            packet = Packet(self.index, self.session, self._number, self._steps, cut)
            self._unsent.append((self.encoder.encode(packet), packet.env_steps))
            self._number += 1
            self._steps = []
            self._settle(0.0)

    def _refresh(self) -> None:
        """Load the newest of the offered weights, unless they are already in use."""
        offered, self._offered = self._offered, None
        if offered is None:
            return
        self._until_refresh = self.config.actor.actor_update_period
        if self.remote is not None:
            self.remote.offered = offered
            return
        if offered.updates == self.updates:
            return
        try:
            weights = self.port.fetch(offered.handle)
        except Lost:  # with the learner that made them; its successor will publish others
            return
        self.actor.load_weights({name: torch.from_numpy(w) for name, w in weights.items()})
        self.updates = offered.updates

    # -- the shard -------------------------------------------------------------------------------------

    def _settle(self, timeout: float) -> None:
        """Send the oldest packet, or take its receipt."""
        try:
            if not self._on_its_way:
                self.port.send(self._unsent[0][0])
                self._on_its_way = True
            receipt = self.port.receipt(timeout)
        except Lost:
            self._on_its_way = False  # it is sent again: the shard ignores a packet that it has
            time.sleep(PAUSE)
            return
        if receipt is not None:
            self._on_its_way = False
            _, steps = self._unsent.popleft()
            self._take(receipt, steps)

    def _take(self, receipt: Receipt, steps: int) -> None:
        self._go, self._offered = receipt.go, receipt.weights
        environments = self.config.env.num_envs
        self.actor.epsilon = build.epsilon(self.config, environments, receipt.env_steps)[self.slots]
        if receipt.begin:
            self.missing += steps + sum(steps for _, steps in self._unsent)
            self.missing += Packet(self.index, self.session, 0, self._steps).env_steps
            self._unsent.clear()
            self.session = secrets.randbits(62)
            self._reset(self._new_seed())

    def _ask(self) -> None:
        with contextlib.suppress(Lost):
            self._go = self.port.may_insert(self.packet * len(self.slots))
        if not self._go:
            time.sleep(PAUSE)
