"""Run folders as a training leaves them, written in a moment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from r2d2.config import from_dict, to_dict
from r2d2.config.presets import preset as preset_of

COUNTS = [8, 4, 2, 1]  # of a histogram of priorities


def write_run(
    folder: Path, preset: str = "memory", *, seed: int = 0, scores: Sequence[float] = (0.0, 0.5, 1.0),
    every: int = 1000, names: dict[str, str] | None = None, **changes: Any,
) -> Path:  # fmt: skip
    """A run that was evaluated every so many steps, with these scores; changes as `run__steps=100`.

    `names` are other names of metrics, such as those of an earlier version.
    """
    values = to_dict(preset_of(preset))
    values["run"] |= {"seed": seed, "steps": every * len(scores)}
    for name, value in changes.items():
        section, _, key = name.partition("__")
        values[section][key] = value
    folder.mkdir(parents=True)
    config = to_dict(from_dict(values))
    (folder / "config.json").write_text(json.dumps({"preset": preset, "config": config}))
    origin = {
        "git": {"commit": "c0ffee", "dirty": True}, "versions": {"torch": "2.13.0"}, "cpus": 2, "cuda_device": None,
        "platform": "Linux", "host": "here", "command": ["/bin/r2d2", "train", preset, "--env", "a b<c>"],
        "started": "2026-11-30T08:00:00+00:00",
    }  # fmt: skip
    (folder / "provenance.json").write_text(json.dumps([origin]))
    lines: list[dict[str, Any]] = []
    for number, score in enumerate(scores, 1):
        clock = {
            "env_steps": every * number,
            "updates": 10 * number,
            "wall_seconds": 6.0 * number,
            "unix_time": 0.0,
        }
        training = {
            "train/mean_return": score - 0.1,
            "learner/loss": 1 / number,
            "replay/age": 2.0 * number,
            "replay/ratio": 16.0,
            "time/env_steps_per_second": 100.0,
        }
        histogram = {"counts": COUNTS, "edges": np.linspace(0, 1, len(COUNTS) + 1).tolist()}
        lines += [
            clock | training,
            clock | {"evaluate/mean_return": score},
            clock | {"replay/priorities": histogram},
        ]
    renamed = [{(names or {}).get(name, name): value for name, value in line.items()} for line in lines]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in renamed))
    return folder
