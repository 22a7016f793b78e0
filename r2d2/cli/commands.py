"""The commands of `r2d2`, one module each: a new one is a file and a line here."""

from __future__ import annotations

import textwrap

from r2d2.cli.command import Group
from r2d2.config.presets import PRESETS

EXIT_CODES = {
    0: "done",
    1: "failed: a file, the disk, the environment or the numbers",
    2: "usage error: nothing was started",
    130: "stopped by Ctrl-C or SIGTERM; training saves first",
}

COMMANDS = Group(
    "r2d2",
    {
        "train": "r2d2.cli.train",
        "resume": "r2d2.cli.resume",
        "evaluate": "r2d2.cli.evaluate",
        "export": "r2d2.cli.export",
        "runs": "r2d2.cli.runs",
        "report": "r2d2.cli.report",
        "inspect": "r2d2.cli.inspect",
        "watch": "r2d2.cli.watch",
        "replay": "r2d2.cli.replay.group",
        "bench": "r2d2.cli.bench",
    },
    notes="`r2d2 train --help` starts with the presets:\n"
    + textwrap.fill(f"{', '.join(PRESETS)}.\n", 80, initial_indent="  ", subsequent_indent="  ")
    + "\n"
    "`r2d2 --version` prints the version.\n\nexit codes:\n"
    + "\n".join(f"  {code:<4}{meaning}" for code, meaning in EXIT_CODES.items()),
)
