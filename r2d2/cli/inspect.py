"""`r2d2 inspect`: look into the replay of a run."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from r2d2.cli.arguments import RunDir, UserError, check_bounds, parse
from r2d2.cli.command import Command
from r2d2.config.bounds import Bounds


@dataclass(frozen=True)
class Inspect:
    """Show the replay of a checkpoint: its items, and the network's outputs for each. Nothing is trained."""

    run_dir: RunDir
    """The run's folder; it may be running."""
    checkpoint: Path | None = None
    """Use this checkpoint instead of the newest."""
    out: Path | None = None
    """Write a page that needs no server to this file, and exit."""
    items: Annotated[int, Bounds(0, 10_000)] = 24
    """Number of items in that page."""
    part: int = 0
    """For a run with more than one replay: 0 is the recent one, then come the long-term one and the
    demonstrations."""
    shard: int = 0
    """For a run on a cluster: the shard to inspect."""
    port: Annotated[int, Bounds(0, 65_535)] = 0
    """Port of the page on this machine; 0 takes a free one."""
    open: bool = False
    """Open the page in a browser."""


def run(args: list[str]) -> int:
    """`r2d2 inspect`."""
    parsed = parse(Inspect, args, prog="r2d2 inspect")
    check_bounds(parsed)
    from r2d2.report.report import check_installed
    from r2d2.viewer.contents import Contents  # torch takes seconds to import: not for --help
    from r2d2.viewer.page import page

    check_installed()
    contents = Contents(parsed.run_dir, parsed.checkpoint, shard=parsed.shard, part=parsed.part)
    if parsed.out is not None:
        parsed.out.parent.mkdir(parents=True, exist_ok=True)
        parsed.out.write_text(page(contents, live=False, items=parsed.items), encoding="utf-8")
        print(parsed.out)
        if parsed.open:
            webbrowser.open(parsed.out.resolve().as_uri())
        return 0
    return _serve(contents, parsed)


def _serve(contents: object, parsed: Inspect) -> int:
    from r2d2.viewer.server import Viewer

    try:
        viewer = Viewer(contents, parsed.port)  # type: ignore[arg-type]
    except OSError as error:
        raise UserError(f"--port {parsed.port} cannot be used: {error}") from None
    print(f"{viewer.address}\nonly on this machine, for anyone with the address; Ctrl-C stops it", flush=True)
    if parsed.open:
        webbrowser.open(viewer.address)
    try:
        viewer.serve()
    except KeyboardInterrupt:
        print()
    finally:
        viewer.server.server_close()
    return 0


COMMAND = Command(
    "RUN_DIR [--out FILE] [--items N] [--port P] [--open]", "look into the replay of a run, item by item", run
)
