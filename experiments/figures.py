"""Redraws the committed figures from the result files beside them; nothing is trained.

python -m experiments.figures [NAME ...]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
GOALS = {"pong_small": 18.0, "pong_cluster": 18.0, "tmaze": 3.8}  # returns that mark a task as solved


def _returns(name: str) -> Callable[[], object]:
    def draw() -> None:
        from experiments.returns import draw

        draw(RESULTS / name, GOALS[name])

    return draw


def _replay() -> None:
    from experiments.replay.__main__ import main

    main(["--redraw"])


def _stored_state() -> None:
    from experiments.stored_state.__main__ import main

    main(["--redraw"])


def _memory() -> None:
    from experiments.memory.__main__ import main

    main(["--redraw"])


def _bench() -> None:
    from experiments.bench.figure import draw

    draw(json.loads((RESULTS / "bench" / "results.json").read_text()), RESULTS / "bench" / "figure.png")


FIGURES: dict[str, Callable[[], object]] = {
    **{name: _returns(name) for name in GOALS},
    "replay": _replay,
    "stored_state": _stored_state,
    "memory": _memory,
    "bench": _bench,
}


def main() -> None:
    """Draw the named figures, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(FIGURES)} (default: all)")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in FIGURES]:
        parser.error(f"NAME must be one of {', '.join(FIGURES)}, got {unknown[0]}")
    for name in names or FIGURES:
        FIGURES[name]()


if __name__ == "__main__":
    main()
