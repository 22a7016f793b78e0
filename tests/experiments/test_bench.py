"""The benchmark runs with our library alone, and its results have the promised form. No time is asserted."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from experiments.bench import jobs, transitions
from experiments.bench.bars import BARS, Bar, Quantity, Value, read
from experiments.bench.frames import small_feed
from experiments.bench.sizes import QUICK

pytest.importorskip("ale_py")
pytestmark = pytest.mark.xdist_group("bench")  # one process runs the benchmark, for all of them


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from experiments.bench.__main__ import main

    out = tmp_path_factory.mktemp("bench")
    assert main(["--quick", "--slow", "--out", str(out), "--cache", str(out / "cache")]) == 0
    return out


def test_every_bar_has_a_value_of_ours(folder):
    report = json.loads((folder / "results.json").read_text())
    for bar in BARS:
        value = read(report, bar.ours, "ours", bar.variant)
        assert value is not None, bar.title
        assert not value.problem, bar.title
        assert np.isfinite([value.low, value.median, value.high]).all(), bar.title
        assert value.low <= value.median <= value.high, bar.title


def test_files_are_complete(folder):
    report = json.loads((folder / "results.json").read_text())
    with (folder / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(result["measures"]) for result in report["results"])
    table = (folder / "table.md").read_text()
    assert all(bar.title in table for bar in BARS)
    assert "zstd-1" in table
    assert (folder / "figure.png").stat().st_size > 10_000


def test_results_name_no_machine_and_no_folder(folder):
    import platform

    text = "".join((folder / name).read_text() for name in ("results.json", "results.csv", "table.md"))
    assert str(folder) not in text
    assert platform.node() not in text or len(platform.node()) < 4


def test_a_library_that_cannot_be_imported_is_reported(folder, tmp_path):
    job = jobs.Job("tree", "cpprb", "", "quick", str(folder / "cache"))
    result = jobs.run(job, str(tmp_path / "no-such-python"), limit=10)
    assert result["status"] == "failed"
    assert "no-such-python" in result["reason"]


def test_a_miss_is_a_miss():
    bar = Bar("t", "x", Quantity("p", "m"), "", 1.0)
    assert bar.met(Value(0.9, 0.9, 0.9)) is True
    assert bar.met(Value(1.1, 1.1, 1.1)) is False
    assert bar.met(Value(problem="failed")) is None
    more = Bar("t", "x", Quantity("p", "m"), "", 1.0, more=True)
    assert more.met(Value(0.9, 0.9, 0.9)) is False


def test_a_ratio_is_taken_over_the_median_of_its_floor():
    measures = {
        "sample": {"unit": "s", "median": 3.0, "min": 2.0, "max": 8.0, "n": 3},
        "copy": {"unit": "s", "median": 2.0, "min": 1.0, "max": 4.0, "n": 3},
    }
    report = {"results": [{"part": "p", "subject": "s", "variant": "", "status": "ok", "measures": measures}]}
    assert read(report, Quantity("p", "sample", "copy"), "s", "") == Value(1.5, 1.0, 4.0)


def test_a_tree_that_loses_rare_leaves_is_caught(tmp_path):
    class Lossy:
        """Draws as float32 targets would: every second rare leaf can never be hit."""

        def __init__(self, values):
            self._p = np.where((values < 1.0) & (np.arange(len(values)) % 2 == 0), 0.0, values)
            self._p /= self._p.sum()

        def draw(self, n):
            return np.random.default_rng(0).choice(len(self._p), n, p=self._p)

    class Subject:
        tree = Lossy

    lossy = transitions.rare(Subject, QUICK, "", tmp_path)
    assert lossy["error"].samples[0] > 4


def test_the_feed_closes_every_episode_before_it_starts_again():
    feed = small_feed(QUICK)
    assert feed.last[-1].all()
    assert not feed.last[0].any()
    assert not (feed.last[1:] & feed.last[:-1]).any()  # no episode of a final observation alone
    window = feed.window(len(feed.frames) - 2, 4)
    np.testing.assert_array_equal(window["observation"][:, 2], feed.frames[0])
