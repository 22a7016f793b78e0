"""The files of checkpoints, and which checkpoint is the newest.

root/latest                    the name of the newest complete checkpoint
root/ckpt-00000012/            tree.json, arrays.bin, index.bin and, written last, `done`
root/segments/seg-00000003.bin blobs, each written once and shared by the checkpoints
"""

from __future__ import annotations

import re
from pathlib import Path

from r2d2.checkpoint.manifest import DONE, CheckpointError, read_bytes

NAME = re.compile(r"ckpt-(\d{8,})(-\d+)?")  # the suffix marks a second checkpoint of the same number
LATEST = "latest"


def folders(root: Path) -> list[Path]:
    """The finished checkpoint folders, highest number first."""
    found = [(int(match[1]), path) for path in root.glob("ckpt-*") if (match := NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found, reverse=True)]


def latest(root: Path) -> Path | None:
    """The folder of the newest complete checkpoint, None when there is none yet.

    Raises CheckpointError when `latest` names a missing folder: there is no silent fallback.
    """
    root = Path(root)
    pointer = root / LATEST
    if not pointer.exists():  # nothing saved yet, or killed during the first save
        return next((folder for folder in folders(root) if (folder / DONE).exists()), None)
    name = read_bytes(pointer).decode(errors="replace").strip()
    if not NAME.fullmatch(name) or not (root / name).is_dir():
        raise CheckpointError(f"{pointer} is damaged: it names {name!r}, which is no checkpoint in {root}")
    return root / name
