"""The targets that our replay must reach, as data, and how each is read from the results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PAPER_GB = 4e6 / 1e9  # from bytes a step to GB for the paper's 4e6 steps


@dataclass(frozen=True)
class Quantity:
    """A measure of a part, optionally divided by another measure of the same part."""

    part: str
    measure: str
    over: str = ""
    scale: float = 1.0


@dataclass(frozen=True)
class Value:
    """Median and range, or `problem`, the reason why there are none."""

    median: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    problem: str = ""


@dataclass(frozen=True)
class Bar:
    """What ours must reach in one variant; with `limit` None it is informational. Rivals may use other variants."""

    title: str
    unit: str
    ours: Quantity
    variant: str
    limit: float | None
    more: bool = False  # whether more is better
    rivals: Quantity | None = None
    rivals_variant: str = ""

    def met(self, value: Value) -> bool | None:
        """Whether the median meets the limit; None if there is no limit or no value."""
        if self.limit is None or value.problem:
            return None
        return value.median >= self.limit if self.more else value.median <= self.limit


def read(report: dict[str, Any], quantity: Quantity, subject: str, variant: str) -> Value | None:
    """The value for one subject; None if that part was not run for it."""
    for result in report["results"]:
        if (result["part"], result["subject"], result["variant"]) != (quantity.part, subject, variant):
            continue
        if result["status"] != "ok":
            return Value(problem=f"{result['status']}: {result['reason']}")
        measures = result["measures"]
        if quantity.measure not in measures:
            return Value(problem=f"no {quantity.measure}")
        factor = quantity.scale / (measures[quantity.over]["median"] if quantity.over else 1.0)
        found = measures[quantity.measure]
        return Value(*(found[name] * factor for name in ("median", "min", "max")))
    return None


def _batch(variant: str, floor: str, limit: float) -> Bar:
    quantity = Quantity("sequences", "sample", floor)
    return Bar(
        f"A {variant}: batch time over the {floor} floor", "x", quantity, variant, limit, False, quantity
    )


def _insert(variant: str, limit: float) -> Bar:
    quantity = Quantity("sequences", "insert", scale=1e-3)
    return Bar(
        f"A {variant}: insert, 64 environments a call", "k steps/s", quantity, variant, limit, True, quantity
    )


def _bytes(variant: str, which: str, limit: float | None, title: str) -> Bar:
    once = variant == "raw" or limit is None  # the same figures need not be repeated in every row
    rivals = Quantity("sequences", "bytes_per_step", scale=PAPER_GB) if once else None
    return Bar(f"A {variant}: 4e6 steps, {title}", "GB", Quantity("footprint", which, scale=1e-9), variant,
               limit, False, rivals)  # fmt: skip


def _small(part: str, title: str, measure: str, limit: float | None, variant: str = "") -> Bar:
    quantity = Quantity(part, measure, scale=1e6)
    return Bar(title, "us", quantity, variant, limit, False, quantity)


def _growth(variant: str, title: str) -> Bar:
    """'Flat' is at most 1.5 times (ours): small replays are helped by the processor's caches."""
    quantity = Quantity("growth", "growth")
    return Bar(f"D {title}: batch time of the largest over the smallest replay", "x", quantity, variant, 1.5,
               False, quantity if variant == "small" else None, "small")  # fmt: skip


def _threads(variant: str, measure: str, title: str, unit: str, scale: float) -> Bar:
    quantity = Quantity("threads", measure, scale=scale)
    return Bar(f"E {variant}: {title}", unit, quantity, variant, None, True, quantity)


def _save(variant: str, measure: str, title: str, limit: float) -> Bar:
    return Bar(f"S {variant}: {title}", "s", Quantity("persistence", measure), variant, limit)


BARS = (
    _batch("raw", "copy", 1.3),
    _batch("lz4", "gather", 1.0),
    _batch("zstd", "gather", 1.5),
    _bytes("raw", "frames_mean", 28.3, "frames, mean of the games"),
    _bytes("lz4", "frames_mean", 1.2, "frames, mean of the games"),
    _bytes("lz4", "frames_worst", 2.5, "frames, worst game"),
    _bytes("zstd", "frames_mean", 0.6, "frames, mean of the games"),
    _bytes("zstd", "frames_worst", 1.5, "frames, worst game"),
    _bytes("lz4", "all_mean", None, "everything (states, index), mean"),
    _bytes("zstd", "all_mean", None, "everything (states, index), mean"),
    _insert("raw", 500),
    _insert("lz4", 200),
    _insert("zstd", 200),
    Bar("index", "bytes an item", Quantity("footprint", "index_per_item"), "raw", 64),
    _small("sequences", "A raw: update of 64 priorities", "update", None, "raw"),
    _small("tree", "B sum tree alone, 1e6 leaves: draw 512", "draw", 45),
    _small("tree", "B sum tree alone, 1e6 leaves: update 512", "assign", 45),
    _small("transitions", "B 1e6 held: sample 512 with weights", "sample_512", 150),
    _small("transitions", "B 1e6 held: update 512", "update_512", 60),
    _small("transitions", "B 1e6 held: add 64", "add", 30),
    _small("transitions", "B 1e6 held: sample 32 with weights", "sample_32", None),
    _small("uniform", "C 1e6 held: uniform sample of 256", "sample_256", 40),
    _small("uniform", "C numpy take of the same 256 (floor)", "take_256", None),
    _small("uniform", "C 1e6 held: add 64, uniform", "add", None),
    *(
        _small("scales", f"M 1e5 held, {kind}: {what}", f"{kind}_{measure}", None)
        for kind in ("prioritized", "uniform")
        for what, measure in (
            ("add 1", "add_1"), ("add 1,024", "add_1024"),
            ("sample 1", "sample_1"), ("sample 2,048", "sample_2048"),
        )
    ),
    _small("scales", "M 1e5 held: update 32", "prioritized_update_32", None),
    *(
        Bar(f"I {title}", "s", Quantity("first_use", measure), "", None, False, Quantity("first_use", measure))
        for title, measure in (
            ("import", "import"), ("first calls, nothing compiled before", "first"),
            ("first calls, compiled by a process before", "again"),
        )
    ),
    Bar("R rare leaves: share ever drawn, distance from exact", "sd", Quantity("rare", "error"), "", 4, False,
        Quantity("rare", "error")),
    Bar("R rare leaves: share ever drawn", "%", Quantity("rare", "drawn_share", scale=100), "", None, True,
        Quantity("rare", "drawn_share", scale=100)),
    _growth("small", "tiny observations"),
    _growth("raw", "raw frames (as many as fit)"),
    _growth("lz4", "lz4 frames"),
    _growth("zstd", "zstd frames"),
    _threads("raw", "writer_both", "writer beside a reader", "k steps/s", 1e-3),
    _threads("raw", "reader_both", "reader beside a writer", "batches/s", 1.0),
    _threads("zstd", "writer_both", "writer beside a reader", "k steps/s", 1e-3),
    _threads("zstd", "reader_both", "reader beside a writer", "batches/s", 1.0),
    *(
        _save(codec, measure, title, limit)
        for codec in ("lz4", "zstd")
        for measure, title, limit in (
            ("save", "first save of 4e6 steps", 10.0),
            ("restore", "restore of 4e6 steps", 10.0),
            ("incremental", "save after 40,000 more steps", 1.0),
        )
    ),
)  # fmt: skip
