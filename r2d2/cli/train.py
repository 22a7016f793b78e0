"""`r2d2 train`: train an agent in a new run folder."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from r2d2.cli.arguments import Preset, asks_for_help, named_preset, options_help, parse_with_preset
from r2d2.cli.command import Command
from r2d2.config import Config, check_config
from r2d2.config.changes import CHANGES
from r2d2.config.presets import PRESETS
from r2d2.runs.folder import new_folder

HELP = """usage: r2d2 train [PRESET] [OPTIONS]

{summary}

PRESET is one of
{presets}
and takes changes, as in r2d2-small+gru+n3:
{changes}
Without one, the hardware decides: r2d2 with a CUDA device, else r2d2-small.
{shown}
  --env ID                the environment [{config.env.id}]
  --env.options ...       keyword arguments of the environment, as `delay 20`
  --env.num-envs N        environments that run in parallel [{config.env.num_envs}]
  --steps N               environment steps to train for [{config.run.steps:,}]
  --seed S                seed of everything [{config.run.seed}]
  --run-dir DIR           the run's folder [runs/<task>-<preset>-<seed>-<time>]
  --device DEVICE         auto, cpu, cuda, cuda:1, mps [{config.run.device}]
  --runtime RUNTIME       local, threads or cluster [{config.run.runtime}]
  --track MODE            Weights & Biases: auto, wandb, wandb-offline, none [{config.run.track}]
  --dry-run               print the memory that the run will take, and exit

All options, which override values of the preset:
"""


@dataclass(frozen=True)
class Train:
    """Train an agent; every value of the preset can be overridden."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    preset: Preset = ""
    """The agent, as r2d2-small+gru; by default the hardware decides."""
    run_dir: Path | None = None
    """Folder of the run; default is runs/<task>-<preset>-<seed>-<time>."""
    dry_run: bool = False
    """Print the memory that the run will take, and exit."""


def run(args: list[str]) -> int:
    """`r2d2 train`."""
    if asks_for_help(args):
        print(help_text(args[0] if not args[0].startswith("-") else ""))
        return 0
    parsed, preset, why = parse_with_preset(Train, args, prog="r2d2 train", start=Train)
    check_config(parsed.config)
    if why:
        print(f"preset {preset}, because {why}; `r2d2 train PRESET` names another")
    from r2d2.build import sizes  # torch takes seconds to import: not for a mistyped option
    from r2d2.runtime import demonstrations, training

    if parsed.dry_run:
        return sizes.report(parsed.config, demonstrations.steps_of(parsed.config))
    with new_folder(parsed.config, preset, parsed.run_dir) as run_dir:
        return training.start(parsed.config, run_dir, preset=preset)


def help_text(preset: str) -> str:
    """The text of `r2d2 train [PRESET] --help`: the usage, the most common options, then all."""
    config = named_preset(preset or "r2d2")
    lines = {"initial_indent": "  ", "subsequent_indent": "  ", "break_on_hyphens": False}
    head = HELP.format(
        summary=COMMAND.summary,
        presets=textwrap.fill(", ".join(PRESETS), 78, **lines),  # type: ignore[arg-type]
        changes=textwrap.fill(", ".join(CHANGES), 78, **lines),  # type: ignore[arg-type]
        shown=f"\nOptions that most people set, with the values of preset {preset or 'r2d2'}:",
        config=config,
    )
    return head + options_help(Train, Train(config), "r2d2 train")


COMMAND = Command(
    "[PRESET] [--env ID] [--seed S] [--steps N] [--run-dir DIR] [OPTIONS]",
    "train an agent in a new run folder",
    run,
)
