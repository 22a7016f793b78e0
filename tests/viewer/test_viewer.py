"""Laws of `r2d2 inspect`: only who has the address sees the page; items open, sort and play in a browser."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_cases import browser, wait_for
from run_cases import PONG, call, new_run, tiny

from r2d2.runs import folder
from r2d2.viewer.contents import Contents
from r2d2.viewer.server import HOST, Viewer

pytest.importorskip("plotly")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.xdist_group("browser")

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def pong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a second on frames."""
    run_dir = tmp_path_factory.mktemp("runs") / "pong"
    config = tiny(**{name.replace(".", "__"): value for name, value in PONG.items()})
    folder.create(run_dir, config, "r2d2-small")
    run = new_run(config, run_dir)
    run.train()
    run.tracker.close()
    return run_dir


@pytest.fixture
def viewer(pong: Path) -> Iterator[Viewer]:
    served = Viewer(Contents(pong))
    thread = threading.Thread(target=served.serve)
    thread.start()
    yield served
    served.close()
    thread.join()


def get(address: str) -> Any:
    with urllib.request.urlopen(address) as answer:
        return json.load(answer)


def status(address: str) -> int:
    try:
        with urllib.request.urlopen(address) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


# --- the server ---------------------------------------------------------------------------------------------


def test_items_come_in_the_order_that_is_asked_for(viewer: Viewer) -> None:
    for descending, order in ((True, "descending"), (False, "ascending")):
        found = [row["priority"] for row in get(f"{viewer.address}items?sort=priority&order={order}")]
        assert found == sorted(found, reverse=descending)
        assert len(set(found)) > 5
    first = get(f"{viewer.address}items")[0]["id"]
    assert get(f"{viewer.address}item?id={first}")["id"] == first


def test_who_does_not_know_the_address_finds_nothing(viewer: Viewer) -> None:
    port = viewer.server.server_port
    assert len(viewer.token) >= 32
    assert status(viewer.address) == 200
    for path in ("", "items", "wrong/", "wrong/items", f"{viewer.token[:-1]}/", f"{viewer.token}x/items"):
        assert status(f"http://{HOST}:{port}/{path}") == 404


def test_a_page_that_was_pointed_here_finds_nothing(viewer: Viewer) -> None:
    """Also with the token: by another name than this machine's own (DNS rebinding)."""
    asked = http.client.HTTPConnection(HOST, viewer.server.server_port)
    asked.request("GET", f"/{viewer.token}/items", headers={"Host": "attacker.example"})
    assert asked.getresponse().status == 404


def test_it_listens_on_loopback_alone(viewer: Viewer) -> None:
    assert viewer.server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("path", ["item", "item?id=x", "item?id=999999999", "items?sort=nothing"])
def test_a_wrong_question_is_told_so(viewer: Viewer, path: str) -> None:
    assert status(viewer.address + path) == 400
    assert status(viewer.address + "items") == 200


# --- the command --------------------------------------------------------------------------------------------


def test_wrong_use_is_told(pong: Path, tmp_path: Path, capsys: Capture) -> None:
    assert "--items must be from 0 to 10,000, got -1" in call(capsys, "inspect", pong, "--items", "-1").err
    assert (
        "--part must be 0" in call(capsys, "inspect", pong, "--part", "1", "--out", tmp_path / "a.html").err
    )
    assert "holds no run" in call(capsys, "inspect", tmp_path).err


def test_an_exported_page_holds_the_ends_of_every_order(pong: Path, tmp_path: Path, capsys: Capture) -> None:
    shown = call(capsys, "inspect", pong, "--items", 8, "--out", tmp_path / "pages" / "replay.html")
    assert shown.code == 0, shown.err
    html = (tmp_path / "pages" / "replay.html").read_text()
    begin = html.index('id="data">') + len('id="data">')
    data = json.loads(html[begin : html.index("</script>", begin)])
    assert len(data["items"]) == len(data["opened"]) == 8
    items = Contents(pong).items
    ids = {row["id"] for row in data["items"]}
    for descending in (True, False):
        assert int(items.values["id"][items.order("priority", descending=descending)[0]]) in ids


# --- in a browser -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
@pytest.mark.parametrize("live", [True, False], ids=["served", "exported"])
def test_the_viewer_in_a_browser(
    viewer: Viewer, pong: Path, tmp_path: Path, capsys: Capture, live: bool, phone: bool
) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    address = viewer.address
    if not live:
        file = tmp_path / "replay.html"
        assert call(capsys, "inspect", pong, "--items", 6, "--out", file).code == 0
        address = file.as_uri()
    with browser(tmp_path / "profile", phone=phone) as opened:
        opened.get(address)
        wait_for(opened, "return document.querySelectorAll('#items tbody tr').length > 4")
        over = opened.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
        assert over <= 0, "the page is wider than the screen"

        head = opened.find_element(By.CSS_SELECTOR, "#items th[data-column='priority'] button")
        opened.execute_script(
            "arguments[0].scrollIntoView({behavior: 'instant', inline: 'center', block: 'center'})", head
        )
        head.click()  # it was sorted by falling priorities
        rising = (
            "const rows = [...document.querySelectorAll('#items tbody tr')];"
            "const v = rows.map((row) => Number(row.cells[1].textContent));"
            "return v.every((x, i) => i === 0 || v[i - 1] <= x) && v[0] < v[v.length - 1]"
        )
        wait_for(opened, rising)

        wait_for(opened, "return Boolean(document.getElementById('item').dataset.open)")  # the first of all
        row = opened.find_element(By.CSS_SELECTOR, "#items tbody tr")
        row.find_element(By.CSS_SELECTOR, "td").click()
        wait_for(
            opened,
            "return document.getElementById('item').dataset.open === arguments[0]",
            row.get_attribute("data-id"),
        )
        for name in ("q-values", "all-q-values", "td-errors", "rewards", "states"):
            wait_for(opened, "return document.querySelector(`#${arguments[0]} .main-svg`) !== null", name)
        wait_for(opened, "return document.querySelectorAll('.strip canvas').length > 8")
        frames = "[...document.querySelectorAll('.strip button')]"
        kinds = opened.execute_script(f"return {frames}.map((button) => button.classList[0])")
        assert {"trained", "lookahead"} <= set(kinds)

        play = opened.find_element(By.CSS_SELECTOR, ".film button")
        opened.execute_script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", play)
        at = opened.execute_script("return document.querySelector('.film input').value")
        play.click()
        wait_for(opened, "return document.querySelector('.film input').value !== arguments[0]", at)
        play.click()

        chart = opened.find_element(By.CSS_SELECTOR, "#q-values .nsewdrag")
        opened.execute_script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", chart)
        ActionChains(opened).move_to_element_with_offset(chart, 3, 3).move_to_element(chart).perform()
        wait_for(opened, "return document.querySelector('#q-values .hoverlayer').textContent.length > 5")


def test_continuous_actions_in_a_browser(tmp_path: Path, capsys: Capture) -> None:
    """Actions are lines, Q values are those of the critics, and the chart of all actions is not there."""
    config = tiny(
        env__id="Pendulum-v1", env__options={"max_episode_steps": 23}, network__stack=1, replay__alpha=0.6,
        learner__method="sac", learner__target_period=1, learner__target_averaging=0.1, learner__rescaling=False,
        actor__exploration="noise", run__steps=200,
    )  # fmt: skip
    folder.create(tmp_path / "run", config, "sac")
    run = new_run(config, tmp_path / "run")
    run.train()
    run.tracker.close()
    page = tmp_path / "replay.html"
    assert call(capsys, "inspect", tmp_path / "run", "--items", 2, "--out", page).code == 0
    with browser(tmp_path / "profile") as opened:
        opened.get(page.as_uri())
        wait_for(opened, "return Boolean(document.getElementById('item').dataset.open)")
        names = "return document.getElementById(arguments[0]).data.map((trace) => trace.name)"
        critics = [
            f"critic {k}, {state}" for k in (1, 2) for state in ("state of training", "recomputed state")
        ]
        assert opened.execute_script(names, "q-values") == critics
        assert "action 0" in opened.execute_script(names, "rewards")
        assert not opened.find_element("id", "all-q-values").is_displayed()
