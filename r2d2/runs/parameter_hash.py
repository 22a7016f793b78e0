"""A short name of a network's parameters."""

from __future__ import annotations

import hashlib

import torch


def parameter_hash(network: torch.nn.Module) -> str:
    """A short hash of all parameters: equal runs have equal hashes, bit for bit."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
