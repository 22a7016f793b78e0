"""Learner: one update from one batch of sequences, to be read from `Learner.update` down.

An update goes batch -> `unroll` (burn-in, then the trained rows) -> the method's `backward` (targets, losses and
priorities) -> `_step` (optimizer). The method is `QLearning` of counted actions, or `PolicyLearning` of vectors.
Where the rows of a batch lie, and which network sees which of them::

    row       0                   warm                    end                  rows
              |      burn-in      |        trained        |      lookahead      |
    online    |    no gradient    |       gradient        |     no gradient     |
    target    |                          no gradient                            |
              ^                   ^
              |                   state before the first trained row
              state that is stored with an item that has all of its burn-in (`warm_up` has the others)

    cut = period: the first row of each item's successor, in the burn-in, in the trained rows or just after them;
                  with `refreshed` the online network's state there is what an update hands back

Both networks begin with the same state and burn in with their own weights. Each encodes each row once.

On a GPU nothing in an update waits for the device: what it found is read from the `Update` later. The names
given to `stage` are the stages of `r2d2 bench`.
"""

from __future__ import annotations

import dataclasses
import math
from contextlib import nullcontext
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from r2d2.agent.actor_critic import AgentNetwork, unroll_past
from r2d2.agent.cuda_graph import CudaCapture, CudaGraph
from r2d2.agent.device_batch import DeviceBatch, Transfer
from r2d2.agent.grouping import SAVED, grouped, in_order
from r2d2.agent.inputs import Inputs, to_device
from r2d2.agent.losses import Priority
from r2d2.agent.method import NOISE, Method, TDErrors, Unrolled
from r2d2.agent.networks import core_parameters
from r2d2.agent.optimizers import clip_gradients, make_optimizer, set_learning_rate
from r2d2.agent.precision import dtype_of
from r2d2.agent.q_learning import QLearning
from r2d2.agent.resets import Resets, resets_until
from r2d2.agent.stages import stage
from r2d2.agent.target_network import TargetNetwork
from r2d2.agent.torsos.spectral import spectral_layers
from r2d2.agent.update import Update, not_finite
from r2d2.agent.value_scale import divided, last_layers, scale_gradients
from r2d2.config.learner import LearnerConfig
from r2d2.types import Batch, SequenceLayout

InitialState = Literal["stored", "zero", "refreshed", "episode"]


class Learner:
    """Owns the online and the target network and the optimizer.

    `layout` is that of the batches and `priority` gives their new priorities. `initial_state` is what an item's
    recurrent state begins as: the actor's, `stored` with the item; `zero`; `refreshed`, that is stored and then
    replaced by the learner's own whenever the item before it is trained; or `episode`, zero at the first step of
    whole episodes, where it is the truth. `Update.refreshed` is to be written back by the caller.

    `resets`, if there are any, happen after the update that they are due with.

    `asynchronous` (default: on a GPU) never waits for the device. A gradient that is not finite then raises when
    the `Update` is read; as always it has changed no parameter.
    """

    def __init__(
        self,
        network: AgentNetwork,
        config: LearnerConfig,
        layout: SequenceLayout,
        priority: Priority,
        *,
        method: Method | None = None,
        resets: Resets | None = None,
        initial_state: InitialState = "stored",
        device: torch.device | str = "cpu",
        asynchronous: bool | None = None,
    ) -> None:
        self.config, self.layout = config, layout
        self.priority, self.initial_state = priority, initial_state
        self.device = torch.device(device)
        on_cpu = self.device.type == "cpu"
        self.asynchronous = not on_cpu if asynchronous is None else asynchronous
        self.padded = not on_cpu  # see `Learner.warm_up`
        self.precision = dtype_of(config.precision, self.device)
        self.network = network.to(self.device)
        self.network.flatten_core()
        self._target = TargetNetwork(self.network, config.target_averaging)
        self.target = self._target.network
        graphs = config.graphs and self.device.type == "cuda"
        self.groups = self.network.groups()
        self._spectral = spectral_layers(self.network)
        cores = core_parameters(self.network)
        self.optimizer = make_optimizer(self.groups, config, cores=cores, capturable=graphs)
        self.max_grad_norm = config.max_grad_norm or math.inf
        self.method = QLearning(config, priority) if method is None else method
        self._last_layers = [] if self.method.value_scale is None else last_layers(self.network)
        self.transfer = Transfer(self.device, [*network.inputs.columns, *self.method.columns])
        self.resets = resets
        self._graph = CudaGraph(self._step, CudaCapture(self.device)) if graphs else None
        # Episodes are of many lengths: a batch is as long as its longest. A graph wants one shape.
        self.trims = initial_state == "episode" and not graphs
        # A scale of TD errors is that of a whole batch.
        self._saved = SAVED if network.inputs.large and not config.scales_td_errors else math.inf
        self.updates = 0

    def update(self, batch: Batch) -> Update:
        """Take one optimizer step; returns new priorities of the batch's items."""
        with stage("copy"):
            parts, groups = grouped(batch, self.layout.unroll, self._saved) if self.trims else ([batch], [])
            data = [self._with_noise(self.transfer(part)) for part in parts]
        same_calls = np.isin(batch.burn_in, (0, self.layout.burn_in)).all()
        step = self._graph if self._graph is not None and same_calls else self._step
        values, refreshed = step(*data)
        values = in_order(values, groups)
        self.updates += 1
        known = {} if self.resets is None else {"resets": float(resets_until(self.config, self.updates - 1))}
        names = self.method.metrics
        update = Update(self.updates, values, refreshed, undo=self._undo, metrics=names, known=known)
        if self.updates % self.config.target_period == 0:
            self._target.follow(update, asynchronous=self.asynchronous)
        if self.resets is not None and (number := self.resets.due(self.updates)):
            update.wait()  # raises if this update must not count
            self.resets(number, [self.network, self.target], self.optimizer)
        return update

    def _with_noise(self, data: DeviceBatch) -> DeviceBatch:
        """The batch with the random numbers of an update as one more column."""
        noise = self.method.noise(len(data), self.trained_rows(data) + self.layout.n_step)
        if noise is None:
            return data
        columns = {**data.columns, NOISE: to_device(noise, self.device)}
        return dataclasses.replace(data, columns=columns)

    def set_learning_rate(self, rate: float) -> None:
        """Take steps of this size from now on."""
        set_learning_rate(self.optimizer, rate)

    def _undo(self) -> None:
        self.updates -= 1

    def _step(self, *batches: DeviceBatch) -> tuple[Tensor, Tensor | None]:
        """The optimizer step itself; returns priorities and metrics [B + K] and the successors' states."""
        if self.network.normalization is not None:
            with stage("normalization"):
                for data in batches:
                    inputs = self.network.inputs.read(data.columns)
                    self.network.normalization.update(inputs, data.valid(self.layout.burn_in))
        self.optimizer.zero_grad(set_to_none=True)
        parts = [part for data in batches for part in data.parts(self.config.gradient_accumulation_steps)]
        found = [self.method.backward(self, part, items=sum(map(len, batches))) for part in parts]
        with stage("optimizer"):
            scale = None if (method := self.method.value_scale) is None else method.now(self.device)
            if scale is not None:  # it has divided the TD errors
                scale_gradients(self._last_layers, scale)
            norm = clip_gradients(self.groups, self.max_grad_norm)
            finite = torch.isfinite(norm)
            if self.asynchronous:  # the optimizer itself leaves out a step where this is 1
                self.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]
            elif not finite:
                raise not_finite(self.updates + 1)
            units = nullcontext() if scale is None else divided(self._last_layers, scale.where(finite, 1.0))
            with units:
                self.optimizer.step()
            for layer in self._spectral:
                layer.iterate(finite)
        with stage("priorities"):
            metrics = self.method.summary(torch.stack([sums for _, sums, _ in found]).sum(0), norm)
            values = torch.cat([*(priorities for priorities, _, _ in found), metrics])
        states = [state for _, _, state in found if state is not None]
        return values, torch.cat(states) if states else None

    def errors(self, batch: Batch) -> TDErrors:
        """TD errors, Q(s, a) and the mask of valid steps of a batch, and the successors' states if asked."""
        return self.method.errors(self, self._with_noise(self.transfer(batch)))

    def unroll(self, data: DeviceBatch) -> Unrolled:
        """Core outputs of both networks along the trained and the lookahead rows, and the successors' states if
        asked; the module has a picture."""
        online, target, layout = self.network, self.target, self.layout
        warm, end = layout.burn_in, layout.burn_in + self.trained_rows(data)
        cut = layout.period if self.initial_state == "refreshed" else 0
        early = min(cut, warm)  # the rows of the burn-in that are left of the cut
        inputs, initial = online.inputs.read(data.columns), self.first_state(data)

        with torch.no_grad():
            burn_in, others = self.encode(target, inputs)
            state = self.warm_up(target, burn_in, initial, data)
            outputs_target = target.unroll(others, state)[0]

            state = at_cut = initial
            if warm:
                encoded = online.encode_for_state(inputs[:warm])
                at_cut = self.warm_up(online, encoded[:early], initial, data, left=warm - early)
                state = self.warm_up(online, encoded[early:], at_cut, data)

        trained, at_cut_or_end, state = unroll_past(
            online, online.encode(inputs[warm:end]), state, cut - warm
        )
        with torch.no_grad():
            lookahead = online.unroll(online.encode(inputs[end:]), state.detach())[0]
        if cut > warm:
            at_cut = at_cut_or_end.detach()
        refreshed = at_cut if self.initial_state == "refreshed" else None
        return Unrolled(trained, lookahead, outputs_target, refreshed)

    def encode(self, network: AgentNetwork, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """The network's inputs of the burn-in rows [burn_in, B, ...] and of the others."""
        warm = self.layout.burn_in
        if inputs.frozen is not None:  # the torso sees the others alone
            return network.encode_for_state(inputs[:warm]), network.encode(inputs[warm:])
        encoded = network.encode(inputs)  # in one call
        return encoded[:warm], encoded[warm:]

    def after_burn_in(self, data: DeviceBatch, name: str) -> Tensor:
        """A column's trained and lookahead rows, time-major [unroll + n_step, B, ...]."""
        return data.columns[name][:, self.layout.burn_in :].transpose(0, 1)

    def trained_rows(self, data: DeviceBatch) -> int:
        """`unroll`, or fewer where the batch was trimmed."""
        return data.columns["reward"].shape[1] - self.layout.burn_in - self.layout.n_step

    def first_state(self, data: DeviceBatch) -> Tensor:
        """The states [B, C] with which the items begin."""
        return data.core if self.initial_state in ("stored", "refreshed") else torch.zeros_like(data.core)

    @torch.no_grad()
    def warm_up(
        self,
        network: AgentNetwork,
        inputs: Tensor,
        state: Tensor,
        data: DeviceBatch,
        *,
        left: int = 0,
    ) -> Tensor:
        """The states [B, C] after some of the burn-in rows, core inputs [R, B, F], with `left` rows still to come.

        Item b has the last `burn_in[b]` rows of the burn-in. `state` is that before these inputs, or the item's own
        where it begins among them or later; rows further left are padding that no network may see::

            rows    0            4            8 = warm
            item 0  | . . . . . . . . |          burn_in[0] = 8, its state is that before row 0
            item 1  |         . . . . |          burn_in[1] = 4, its state is that before row 4
            item 2  |                 |          burn_in[2] = 0, its state is that before the first trained row

        There is one recurrent call for each number of rows that an item has here: one or two, rarely more. On a
        GPU, if each item has all of the rows or none, those without run over padding and the result is dropped: so
        every such batch makes the same calls, and nothing is lost by it.
        """
        if network.core_size == 0 or len(inputs) == 0:
            return state
        rows = (data.burn_in_host - left).clip(0, len(inputs))
        counts = np.unique(rows).tolist()
        if counts == [len(inputs)]:
            return network.unroll(inputs, state)[1]
        if self.padded and set(counts) <= {0, len(inputs)}:
            begun = (data.burn_in > left).unsqueeze(1)
            return torch.where(begun, network.unroll(inputs, state)[1], state)
        after = state.clone()
        for count in counts:
            if count:
                items = torch.from_numpy(np.flatnonzero(rows == count)).to(state.device, non_blocking=True)
                after[items] = network.unroll(inputs[len(inputs) - count :, items], state[items])[1]
        return after

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the next update."""
        return {
            "network": self.network.state_dict(),
            "target": self.target.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "updates": self.updates,
            **self.method.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.target.load_state_dict(state["target"])
        own = [{k: v for k, v in group.items() if k != "params"} for group in self.optimizer.param_groups]
        saved = state["optimizer"] if "optimizer" in state else state["optimiser"]  # its name until 0.1
        self.optimizer.load_state_dict(saved)
        for group, numbers in zip(self.optimizer.param_groups, own, strict=True):
            group.update(numbers)  # the config's learning rate holds, which may have been edited
        self.updates = state["updates"]
        self.method.load_state_dict(state)
