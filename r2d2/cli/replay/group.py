"""The commands of `r2d2 replay`."""

from __future__ import annotations

from r2d2.cli.command import Command, Group

COMMANDS = Group(
    "r2d2 replay",
    {
        "export": "r2d2.cli.replay.export",
        "info": "r2d2.cli.replay.info",
        "import": "r2d2.cli.replay.fill",
        "minari": "r2d2.cli.replay.minari",
    },
)

COMMAND = Command(
    " | ".join(COMMANDS.modules) + " ...",
    "export the replay of a run as a dataset, or start a run from one",
    COMMANDS.run,
)
