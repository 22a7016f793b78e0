"""The same update in plain PyTorch, for comparison with ours.

Written here from the structure that public R2D2s share, without their code. Float32, contiguous frames that are
floats from the start, the network called three times on the whole sequences: the online one with gradients
through all rows, burn-in included, the online one again for the choice of actions, and the target network.
"""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from r2d2.agent.losses import n_step_targets, rescale, sequence_priority, unrescale
from r2d2.agent.torsos.convolutional import NATURE
from r2d2.types import Batch

State = tuple[Tensor, Tensor]
Recurrence = Literal["fused", "cell"]


class PlainNetwork(nn.Module):
    """The paper's network: convolutions, 512 features, an LSTM of 512, dueling heads.

    `recurrence`: `fused` is nn.LSTM over whole sequences, `cell` a loop over nn.LSTMCell.
    """

    def __init__(self, actions: int, recurrence: Recurrence) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 4
        for filters, kernel, stride in NATURE:
            layers += [nn.Conv2d(channels, filters, kernel, stride), nn.ReLU()]
            channels = filters
        self.torso = nn.Sequential(*layers, nn.Flatten(), nn.Linear(3136, 512), nn.ReLU())
        self.actions = actions
        inputs = 512 + actions + 1
        self.core = nn.LSTM(inputs, 512) if recurrence == "fused" else nn.LSTMCell(inputs, 512)
        self.value = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 1))
        self.advantage = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, actions))

    def forward(self, frames: Tensor, action: Tensor, reward: Tensor, state: State) -> Tensor:
        """Q values [T, B, A] of stacked frames [T, B, 4, 84, 84]."""
        features = self.torso(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        one_hot = nn.functional.one_hot(action.long(), self.actions + 1)[..., 1:].float()
        outputs = self._recur(torch.cat([features, one_hot, reward.unsqueeze(-1)], -1), state)
        advantage = self.advantage(outputs)
        return self.value(outputs) + advantage - advantage.mean(-1, keepdim=True)

    def _recur(self, inputs: Tensor, state: State) -> Tensor:
        if isinstance(self.core, nn.LSTM):
            return self.core(inputs, (state[0].unsqueeze(0), state[1].unsqueeze(0)))[0]
        outputs = []
        for step in inputs:
            state = self.core(step, state)
            outputs.append(state[0])
        return torch.stack(outputs)


class PlainLearner:
    """One update as usually written, with metrics read one by one."""

    def __init__(
        self,
        actions: int,
        recurrence: Recurrence,
        *,
        burn_in: int,
        unroll: int,
        n_step: int,
        device: torch.device,
    ) -> None:
        self.burn_in, self.unroll, self.n_step, self.device = burn_in, unroll, n_step, device
        self.network = PlainNetwork(actions, recurrence).to(device)
        self.target = copy.deepcopy(self.network)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-4, eps=1e-3)

    def update(self, batch: Batch) -> tuple[float, object]:
        """Loss and priorities [B]; assumes that every item has full length."""
        column = {name: torch.from_numpy(value).to(self.device) for name, value in batch.columns.items()}
        rows = self.burn_in + self.unroll + self.n_step
        stored = column["observation"]
        frames = torch.stack([stored[:, k : k + rows] for k in range(4)], 2).transpose(0, 1).float() / 255.0
        core = torch.from_numpy(batch.core).to(self.device)
        h, c = (part.contiguous() for part in core.chunk(2, -1))
        inputs = frames, column["previous_action"].T, column["previous_reward"].T, (h, c)
        q = self.network(*inputs)[self.burn_in :]
        with torch.no_grad():
            best = self.network(*inputs)[self.burn_in :].argmax(-1, keepdim=True)
            value = self.target(*inputs)[self.burn_in :].gather(-1, best).squeeze(-1)
            end = torch.from_numpy(batch.length + batch.lookahead - 1).to(self.device)
            reward = column["reward"][:, self.burn_in :].T
            discount = 0.997 * (1.0 - column["terminated"][:, self.burn_in :].T.float())
            goal = rescale(n_step_targets(reward, discount, unrescale(value), end, self.n_step))
        action = column["action"][:, self.burn_in :].T[: self.unroll].long()
        error = q[: self.unroll].gather(-1, action.unsqueeze(-1)).squeeze(-1) - goal
        weight = torch.from_numpy(batch.weight).to(self.device)
        loss = (0.5 * error.square().sum(0) * weight).mean()
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 40.0)
        self.optimizer.step()
        return loss.item(), sequence_priority(error.detach(), torch.ones_like(error), 0.9).cpu().numpy()
