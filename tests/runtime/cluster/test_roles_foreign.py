"""The law of foreign checkpoints for a cluster's roles: what they have not written is refused, with the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoint_cases import changed, leaves
from role_cases import InlineFleet, cluster

from r2d2.checkpoint import checkpoint
from r2d2.checkpoint.checkpoint import CheckpointError
from r2d2.runtime.cluster.roles.learning import LearnerRole

HYPER = ("learner", "optimizer", "param_groups")  # the config's numbers hold
OPTIONAL = {"alpha", "drawn", "goal", "most"}  # absent from checkpoints of version 0.1


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> InlineFleet:
    """One that has trained and saved."""
    config = cluster(cluster__actors=1, cluster__shards=1, cluster__packet=8, replay__min_steps=60)
    made = InlineFleet(config, tmp_path_factory.mktemp("fleet"))
    for _ in range(12):
        made.act()
        made.learn()
    assert made.learner.learner.updates > 0
    made.shards[0].save(1)
    made.learner.save(1, {"actor": {"steps": 1}})
    return made


def accepted(
    tree: dict[str, Any], begin: Callable[[], Any], read: str, folder: Path, patch: pytest.MonkeyPatch
) -> list[Any]:
    """Changes of the tree with which a role begins, or which it refuses without the folder and the remedy."""
    found: list[Any] = []
    for path in leaves(tree):
        if path[:3] == HYPER and len(path) > 3 and path[-1] != "params":
            continue
        for what, other in changed(tree, path):
            if what == "'deleted'" and (path[-1] in OPTIONAL or isinstance(path[-1], int)):
                continue  # a list may be shorter
            if what == "None" and "incarnation" in path:
                continue  # of a shard that is not known yet
            patch.setattr(checkpoint, read, lambda *_, other=other: other)
            try:
                begin()
                message = "it began"
            except CheckpointError as error:
                message = str(error)
            if not (str(folder) in message and "--checkpoint" in message):
                found.append((path, what, message))
    return found


def test_a_shard_refuses_what_no_shard_has_written(
    fleet: InlineFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fleet.folder / "shard-0" / "ckpt-00000001"
    tree = checkpoint.load(folder)
    fleet.make_shard(0, 1)  # the true one
    wrong = accepted(tree, lambda: fleet.make_shard(0, 1), "load", folder, monkeypatch)
    assert wrong == []


def test_a_learner_refuses_what_no_learner_has_written(
    fleet: InlineFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fleet.folder / "checkpoints"
    tree = checkpoint.load_part(root / "ckpt-00000001", ["learner", "limiter", "parameter_hash"])

    def begin() -> LearnerRole:
        return LearnerRole(fleet.config, fleet.port, root)

    begin()
    assert accepted(tree, begin, "load_part", root, monkeypatch) == []
