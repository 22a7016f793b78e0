"""Laws of `r2d2 report`: one page that needs nothing beside it, and numbers that can be read again."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from browser_cases import browser, wait_for
from folder_cases import write_run
from run_cases import call

pytest.importorskip("plotly")
pytest.importorskip("matplotlib")

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two tasks, two settings, two seeds."""
    for task in ("ALE/Pong-v5", "ALE/Breakout-v5"):
        for name in ("r2d2-small", "r2d2-small+zero"):
            for seed in range(2):
                scores = [-20.0 + seed, 1.0, 10.0 + 3 * seed + 5 * (name == "r2d2-small")]
                folder = tmp_path / "study" / task.split("/")[1] / name / f"seed{seed}"
                write_run(folder, name, seed=seed, scores=scores, env__id=task)
    return tmp_path / "study"


def report(capsys: Capture, *words: Any) -> Path:
    shown = call(capsys, "report", *words)
    assert shown.code == 0, shown.err
    return Path(shown.out.strip())


def test_a_page_with_figures_and_numbers_beside_it(study: Path, capsys: Capture) -> None:
    page = report(capsys, study)
    assert page == study / "report" / "report.html"
    html = page.read_text()
    drawn = set(re.findall(r'<a href="([^"]+\.png)">', html))
    assert drawn == {file.name for file in page.parent.glob("*.png")}
    assert {"interquartile-mean.png", "performance-profile.png", "ale-pong-v5-return-minutes.png"} <= drawn
    rows = list(csv.DictReader((page.parent / "runs.csv").open()))
    assert len(rows) == 8
    pong = next(
        row for row in rows if "Pong" in row["run"] and row["setting"] == "r2d2-small" and row["seed"] == "0"
    )
    assert float(pong["final"]) == 15.0
    assert float(pong["human-norm."]) == pytest.approx((15.0 + 20.7) / (14.6 + 20.7), rel=1e-5)
    curves = list(csv.DictReader((page.parent / "curves.csv").open()))
    own = [
        r for r in curves if r["task"] == "ALE/Pong-v5" and r["setting"] == "r2d2-small" and r["seed"] == "1"
    ]
    assert [float(r["value"]) for r in own if r["metric"] == "evaluate/mean_return"] == [-19.0, 1.0, 18.0]
    assert [float(r["wall_seconds"]) for r in own if r["metric"] == "evaluate/mean_return"] == [
        6.0,
        12.0,
        18.0,
    ]


def test_a_goal_is_marked_and_the_table_says_when_it_was_reached(study: Path, capsys: Capture) -> None:
    """Seed 0 of r2d2-small ends with 15 on Pong, seed 1 with 18; the changed setting with 10 and 13."""
    page = report(capsys, study, "--goal", "14")
    rows = [row for row in csv.DictReader((page.parent / "runs.csv").open()) if "Pong" in row["run"]]
    reached = {(row["setting"], row["seed"]): (row["steps to 14"], row["minutes to 14"]) for row in rows}
    assert {minutes for _, minutes in reached.values()} == {"0.3", ""}
    assert [key for key, (steps, _) in reached.items() if steps] == [("r2d2-small", "0"), ("r2d2-small", "1")]
    assert '"y0": 14.0' in page.read_text() or '"y0":14.0' in page.read_text()


def test_what_a_run_says_is_shown_as_text(tmp_path: Path, capsys: Capture) -> None:
    """Its command has a tag in it."""
    html = report(capsys, write_run(tmp_path / "a"), "--out", tmp_path / "out").read_text()
    assert "a b<c>" not in html
    assert "&#39;a b&lt;c&gt;&#39;" in html


def test_a_run_that_has_logged_nothing_yet_has_a_page(tmp_path: Path, capsys: Capture) -> None:
    folder = write_run(tmp_path / "a", scores=[])
    assert "1 run of Recall-v0" in report(capsys, folder).read_text()


def test_wrong_use_is_told(tmp_path: Path, capsys: Capture) -> None:
    assert "name at least one run" in call(capsys, "report").err
    assert "does not exist" in call(capsys, "report", tmp_path / "none").err


# --- in a browser -------------------------------------------------------------------------------------------

pytestmark = pytest.mark.xdist_group("browser")


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_the_page_in_a_browser(study: Path, tmp_path: Path, capsys: Capture, phone: bool) -> None:
    """Figures are drawn, hover shows numbers, a click on a name hides a line, tables sort; no error, no network."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    page = report(capsys, study)
    with browser(tmp_path / "profile", phone=phone) as opened:
        opened.get(page.as_uri())
        assert opened.execute_script("return performance.getEntriesByType('resource').length") == 0
        width = opened.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
        assert width <= 0, "the page is wider than the screen"

        head = opened.find_element(By.XPATH, "//table[@id='runs-table-1']//button[.='final']")
        opened.execute_script(
            "arguments[0].scrollIntoView({behavior: 'instant', inline: 'center', block: 'center'})", head
        )
        for order in (1, -1):
            head.click()
            cells = opened.execute_script(
                "return [...document.querySelectorAll('#runs-table-1 tbody tr')]"
                ".map((r) => Number(r.cells[10].dataset.value))"
            )
            assert cells == sorted(cells, reverse=order == 1)
            assert len(set(cells)) > 2

        plot = "document.querySelector('#ale-pong-v5-return-steps')"
        opened.execute_script(f"{plot}.scrollIntoView({{behavior: 'instant', block: 'center'}})")
        wait_for(opened, f"return {plot}.querySelectorAll('.scatterlayer .trace').length > 3")
        area = opened.find_element(By.CSS_SELECTOR, "#ale-pong-v5-return-steps .nsewdrag")
        ActionChains(opened).move_to_element_with_offset(area, 3, 3).move_to_element(area).perform()
        wait_for(opened, f"return {plot}.querySelector('.hoverlayer').textContent.includes('greedy')")

        before = opened.execute_script(f"return {plot}.data.map((trace) => trace.visible)")
        toggle = opened.find_element(By.CSS_SELECTOR, "#ale-pong-v5-return-steps .legendtoggle")
        ActionChains(opened).move_to_element(toggle).click().perform()
        hidden = f"return {plot}.data.filter((trace) => trace.visible === 'legendonly').length"
        wait_for(opened, f"{hidden} > {before.count('legendonly')}")

        for figure in opened.find_elements(By.CSS_SELECTOR, ".plot"):
            opened.execute_script(
                "arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", figure
            )
            wait_for(opened, "return arguments[0].querySelector('.main-svg') !== null", figure)
