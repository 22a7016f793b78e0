"""Draws the pictures of the concepts: `python docs/pictures/draw.py`. A test compares them with the files."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

WIDTH = 800  # pixels
BLUE, ORANGE, GREEN, PINK, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
)  # as r2d2/report/style.py
INK, GRAY, LIGHT = "#222222", "#666666", "#f2f2f2"


class Picture:
    """Shapes on white, in pixels from the upper left."""

    def __init__(self, height: int, title: str) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" '
            f'font-family="Segoe UI, Roboto, Helvetica, Arial, DejaVu Sans, sans-serif" role="img">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
            f'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{GRAY}"/></marker></defs>',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        ]

    def bar(self, x: float, y: float, width: float, height: float, fill: str, *, border: str = "none",
            opacity: float = 1, dashed: bool = False, radius: int = 0) -> None:  # fmt: skip
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" fill="{fill}" '
            f'fill-opacity="{opacity:g}" stroke="{border}"{dash}/>'
        )

    def text(self, x: float, y: float, text: str, *, size: int = 14, color: str = INK, anchor: str = "start",
             bold: bool = False) -> None:  # fmt: skip
        weight = ' font-weight="bold"' if bold else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{color}" text-anchor="{anchor}"{weight}>'
            f"{escape(text)}</text>"
        )

    def box(self, x: float, y: float, width: float, height: float, head: str, lines: tuple[str, ...] = (),
            color: str = BLUE) -> None:  # fmt: skip
        """A named box with lines of text below its name."""
        self.bar(x, y, width, height, LIGHT, border=color, radius=6)
        self.text(x + 10, y + 21, head, color=color, bold=True)
        for number, line in enumerate(lines):
            self.text(x + 10, y + 41 + 18 * number, line, size=13)

    def arrow(self, *points: tuple[float, float]) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{GRAY}" stroke-width="1.6" marker-end="url(#tip)"/>'
        )

    def line(self, x: float, y: float, to_x: float, to_y: float) -> None:
        self._parts.append(f'<line x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}" stroke="{GRAY}"/>')

    def svg(self) -> str:
        return "\n".join([*self._parts, "</svg>\n"])


def overview() -> str:
    """How one step travels."""
    picture = Picture(292, "How a step travels: environments, actor, replay, learner")
    picture.box(
        10,
        20,
        170,
        102,
        "environments",
        ("ALE in C++, Gymnasium,", "memory and goal tasks,", "a task of your own"),
        ORANGE,
    )
    picture.box(
        250, 20, 220, 102, "actor", ("one forward pass for all", "its own recurrent state", "epsilon-greedy")
    )
    picture.box(
        540,
        20,
        250,
        120,
        "replay",
        (
            "frames once, compressed",
            "sequences that overlap,",
            "each with its recurrent state",
            "draws by priority",
        ),
        GREEN,
    )
    picture.box(
        250,
        182,
        220,
        100,
        "learner",
        ("burn-in without gradient", "n-step double Q-learning", "target network"),
    )
    picture.arrow((180, 56), (250, 56))
    picture.text(215, 48, "frames", size=12, color=GRAY, anchor="middle")
    picture.arrow((250, 92), (180, 92))
    picture.text(215, 110, "actions", size=12, color=GRAY, anchor="middle")
    picture.arrow((470, 56), (540, 56))
    picture.text(505, 48, "steps", size=12, color=GRAY, anchor="middle")
    picture.text(505, 76, "and first", size=12, color=GRAY, anchor="middle")
    picture.text(505, 91, "priorities", size=12, color=GRAY, anchor="middle")
    picture.arrow((620, 140), (620, 212), (470, 212))
    picture.text(545, 204, "batches of sequences", size=12, color=GRAY, anchor="middle")
    picture.arrow((470, 256), (720, 256), (720, 140))
    picture.text(595, 274, "new priorities from TD errors", size=12, color=GRAY, anchor="middle")
    picture.arrow((360, 182), (360, 122))
    picture.text(370, 157, "weights", size=12, color=GRAY)
    return picture.svg()


def sequence() -> str:
    """One episode of 190 actions, cut with the paper's numbers."""
    burn_in, unroll, period, n_step, actions = 40, 80, 40, 5, 190
    picture = Picture(
        330, "An episode cut into overlapping sequences, with burn-in, trained part and padding"
    )
    left, scale, top = 96, 3.3, 62

    def at(step: float) -> float:
        return left + scale * step

    picture.text(10, 20, "An episode of 190 actions, cut into sequences", bold=True)
    picture.text(
        10, 40, "burn-in 40, trained part 80, period 40, n-step 5: the paper's numbers", size=13, color=GRAY
    )
    picture.bar(at(0), top, scale * actions, 16, GRAY, opacity=0.35)
    picture.text(10, top + 13, "episode", size=13)
    for step in range(0, 201, 20):
        picture.line(at(step), top + 18, at(step), top + 23)
        picture.text(at(step), top + 36, str(step), size=11, color=GRAY, anchor="middle")
    for number in range(4):
        y, start = top + 52 + 40 * number, number * period
        warm, end = max(0, start - burn_in), min(start + unroll, actions)
        picture.text(10, y + 16, f"item {number}", size=13)
        picture.bar(at(warm), y, scale * (start - warm), 22, SKY, opacity=0.5)
        picture.bar(at(start), y, scale * (end - start), 22, BLUE)
        ahead = min(end + n_step, actions) - end
        picture.bar(at(end), y, scale * ahead, 22, "#ffffff", border=BLUE, dashed=True)
        picture.bar(at(end), y, scale * (start + unroll - end), 22, GRAY, opacity=0.25)
        picture.bar(at(warm) - 3, y - 4, 6, 30, ORANGE)
    legend = [(BLUE, 1.0, "trained"), (SKY, 0.5, "burn-in, no gradient"), ("#ffffff", 1.0, "n-step targets"),
              (GRAY, 0.25, "padding, masked"), (ORANGE, 1.0, "stored state")]  # fmt: skip
    x = 10.0
    for fill, opacity, label in legend:
        picture.bar(x, 290, 16, 16, fill, opacity=opacity, border=BLUE if fill == "#ffffff" else "none")
        picture.text(x + 22, 303, label, size=13)
        x += 36 + 7.2 * len(label)
    return picture.svg()


def priority() -> str:
    """From TD errors to the next draw."""
    picture = Picture(
        300, "The way of a priority: TD errors, mix of maximum and mean, power alpha, sum tree, draw, weight"
    )
    picture.box(10, 44, 180, 84, "TD errors", ("|error| at each trained", "step, after rescaling"), ORANGE)
    picture.box(
        240, 44, 230, 84, "priority p", ("eta * max + (1 - eta) * mean", "eta 0.9; padding is left out")
    )
    picture.box(
        520,
        44,
        270,
        84,
        "selector: sum tree",
        ("holds p^alpha of every item", "chance P = p^alpha / sum"),
        GREEN,
    )
    picture.box(
        520, 190, 270, 84, "draw", ("one item from each of B equal", "parts of the sum; P is returned"), GREEN
    )
    picture.box(240, 190, 230, 84, "weight", ("(items * P)^-beta, over the", "largest weight of the batch"))
    picture.box(10, 190, 180, 84, "update", ("loss of each item times", "its weight; Adam"), ORANGE)
    picture.arrow((190, 86), (240, 86))
    picture.arrow((470, 86), (520, 86))
    picture.arrow((655, 128), (655, 190))
    picture.arrow((520, 232), (470, 232))
    picture.arrow((240, 232), (190, 232))
    picture.arrow((100, 190), (100, 128))
    picture.text(110, 163, "new TD errors, for the drawn items only", size=12, color=GRAY)
    picture.text(240, 22, "A new item: the same formula, with the actor's own Q values", size=13, color=GRAY)
    picture.arrow((355, 28), (355, 44))
    return picture.svg()


def runtimes() -> str:
    """Who does what, and at which time, in each runtime."""
    picture = Picture(470, "The three runtimes: local, threads, cluster")
    picture.text(10, 24, "local", bold=True)
    picture.text(
        100, 24, "one process, acting and learning in turn; the same numbers every time", size=13, color=GRAY
    )
    x = 100.0
    for number in range(7):
        act, width = number % 2 == 0, 96
        picture.bar(x, 38, width, 30, ORANGE if act else BLUE, opacity=0.85)
        picture.text(x + width / 2, 58, "act" if act else "learn", size=13, color="#ffffff", anchor="middle")
        x += width + 2
    picture.text(10, 122, "threads", bold=True)
    picture.text(
        100, 122, "one process, both at once; a lock around each call of the replay", size=13, color=GRAY
    )
    picture.bar(100, 136, 684, 30, ORANGE, opacity=0.85)
    picture.text(442, 156, "act", size=13, color="#ffffff", anchor="middle")
    picture.bar(100, 170, 684, 30, BLUE, opacity=0.85)
    picture.text(442, 190, "learn", size=13, color="#ffffff", anchor="middle")
    picture.text(10, 254, "cluster", bold=True)
    picture.text(
        100,
        254,
        "processes on Ray, on one machine or many; each can be lost and comes back",
        size=13,
        color=GRAY,
    )
    for number in range(3):
        picture.box(100, 270 + 64 * number, 170, 54, f"actor {number}", ("environments, network",), ORANGE)
    for number in range(2):
        y = 286 + 84 * number
        picture.box(360, y, 170, 54, f"replay shard {number}", ("items of its actors",), GREEN)
        picture.arrow((530, y + 27), (620, 358))
    picture.box(620, 324, 170, 72, "learner", ("joins the shards' parts", "of a batch"))
    picture.arrow((270, 297), (360, 308))
    picture.arrow((270, 361), (360, 322))
    picture.arrow((270, 425), (360, 397))
    picture.text(315, 286, "packets", size=12, color=GRAY, anchor="middle")
    picture.text(592, 310, "batches", size=12, color=GRAY, anchor="middle")
    picture.arrow((705, 396), (705, 456), (290, 456), (290, 435), (270, 435))
    picture.text(500, 450, "weights", size=12, color=GRAY, anchor="middle")
    return picture.svg()


PICTURES = {"overview": overview, "sequence": sequence, "priority": priority, "runtimes": runtimes}


def main() -> None:
    """Write all of them beside this file."""
    for name, draw in PICTURES.items():
        Path(__file__).with_name(f"{name}.svg").write_text(draw())


if __name__ == "__main__":
    main()
