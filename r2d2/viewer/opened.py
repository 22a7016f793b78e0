"""An opened item: its steps, and the network's outputs from the stored and from a recomputed state."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from r2d2.agent.losses import delta_q
from r2d2.types import Batch, ObservationSpec, begins_episode
from r2d2.viewer.contents import Contents

MOST_BEFORE = (
    400  # steps before an item from which its state is recomputed, at most; ours: a second at 84 x 84
)
SPRITE_COLUMNS = 16  # frames per row of the image that holds them all; ours
MOST_NUMBERS = 64  # components of a vector that are shown as lines; ours

Floats = NDArray[np.float32]


def opened(contents: Contents, item: int) -> dict[str, Any]:
    """Everything to show of an item, as plain data; KeyError for one that is not held.

    Steps count from the item's first trained one: burn-in is negative. `q.stored` are the Q values [T, A] that
    training sees, from the item's stored state (or zero, as the run is configured) through burn-in; `q.recomputed`
    those from the episode's first step that is held, at most `MOST_BEFORE` before the item, all with the weights of
    the checkpoint. Q values and TD errors are in the learner's units, so rescaled where it rescales.
    """
    ids = np.array([item])
    place = int(contents.replay.replay.held_places(ids)[0])
    batch = contents.replay.get(ids)
    before = contents.replay.episode_before(place, MOST_BEFORE)
    rows = contents.replay.item_rows(place)
    columns = contents.replay.read_rows(np.concatenate([before, rows]), list(contents.replay.replay.columns))
    burn_in, length = int(batch.burn_in[0]), int(batch.length[0])
    shown = len(rows)
    stored, recomputed = _q_values(contents, batch, columns, len(before))
    error, q_taken = _errors(contents, batch, length)
    own = {name: columns[name][0, len(before) + _context(contents, name) :] for name in columns}
    return {
        "id": item,
        "step": list(range(-burn_in, shown - burn_in)),
        "burn_in": burn_in,
        "length": length,
        "lookahead": shown - burn_in - length,
        "unroll": contents.config.replay.unroll,
        "action": own["action"].tolist(),
        "reward": _plain(own["reward"]),
        "terminated": own["terminated"].tolist(),
        "truncated": own["truncated"].tolist(),
        "q": {
            "stored": _plain(stored),
            "recomputed": _plain(recomputed),
            "actor_taken": _plain(own["q_taken"]),
            "actor_greedy": _plain(own["q_greedy"]),
        },
        "delta_q": _plain(delta_q(torch.from_numpy(stored), torch.from_numpy(recomputed)).numpy()),
        "recomputed_from": len(before),
        "whole": bool(begins_episode(columns["previous_action"][0])[0]),
        "td_error": _plain(error),
        "q_taken": _plain(q_taken),
        "target": _plain(q_taken - error),
        "observations": {
            name: _shown(spec, own[name][:shown]) for name, spec in contents.observations.items()
        },
    }


def _context(contents: Contents, name: str) -> int:
    return contents.replay.replay.columns[name].context


@torch.no_grad()
def _q_values(
    contents: Contents, batch: Batch, columns: dict[str, NDArray], before: int
) -> tuple[Floats, Floats]:
    """Q values [T, A] along the item's rows, from the state that training uses and from a recomputed one."""
    learner = contents.learner
    network = learner.network
    tensors = {name: torch.from_numpy(columns[name]) for name in network.inputs.columns}
    encoded = network.encode(network.inputs.read(tensors))  # [before + T, 1, F]
    state = learner.first_state(learner.transfer(batch))
    stored = network.values(network.unroll(encoded[before:], state)[0])
    recomputed = network.values(network.unroll(encoded, torch.zeros_like(state))[0])[before:]
    return stored[:, 0].numpy(), recomputed[:, 0].numpy()


def _errors(contents: Contents, batch: Batch, length: int) -> tuple[Floats, Floats]:
    """TD errors and Q(s, a) [length] of the trained steps, as an update sees them."""
    with torch.no_grad():
        found = contents.learner.errors(batch)
    return found.error[:length, 0].numpy(), found.q_taken[:length, 0].numpy()


def _plain(values: NDArray) -> Any:
    """Numbers for JSON, with five digits."""
    if values.ndim > 1:
        return [_plain(row) for row in values]
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in values.tolist()]


def _shown(spec: ObservationSpec, rows: NDArray) -> dict[str, Any]:
    """Observations [T, ...] as one image of all frames, or as the numbers of a vector."""
    if spec.kind == "vector":
        flat = rows.reshape(len(rows), -1)[:, :MOST_NUMBERS].astype(np.float32)
        return {"kind": "vector", "values": _plain(flat), "hidden": max(0, rows[0].size - MOST_NUMBERS)}
    frames = rows if rows.ndim == 3 else rows[..., :3]
    if frames.dtype != np.uint8:
        frames = _as_bytes(frames.astype(np.float32))
    if frames.ndim == 4 and frames.shape[-1] < 3:
        frames = frames.max(-1)
    return {"kind": "frames", **_sprite(frames)}


def _as_bytes(values: Floats) -> NDArray[np.uint8]:
    low, high = float(values.min()), float(values.max())
    return ((values - low) * (255 / ((high - low) or 1.0))).astype(np.uint8)


def _sprite(frames: NDArray[np.uint8]) -> dict[str, Any]:
    """Frames [T, H, W] or [T, H, W, 3] side by side in one PNG, as a data URL."""
    from PIL import Image

    count, height, width = frames.shape[:3]
    across = min(count, SPRITE_COLUMNS)
    down = -(-count // across)
    sheet = np.zeros((down * height, across * width, *frames.shape[3:]), np.uint8)
    for k in range(count):
        top, left = k // across * height, k % across * width
        sheet[top : top + height, left : left + width] = frames[k]
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "PNG", optimize=True)
    address = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return {"sprite": address, "width": width, "height": height, "across": across, "count": count}
