"""A real browser without a window: Debian's chromium, driven by selenium. Without it, tests are skipped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WIDTHS = {"desktop": 1280, "phone": 390}
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
PAGE_WAIT = 20.0  # seconds


@contextmanager
def browser(profile: Path, *, phone: bool = False) -> Iterator[Any]:
    """A browser with a new profile in this folder; an error in its console fails the test."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    width = WIDTHS["phone" if phone else "desktop"]
    for flag in (*FLAGS, f"--window-size={width},900", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        if phone:
            screen = {"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": True}
            opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        yield opened
        said = [entry for entry in opened.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        assert not said, said
    finally:
        opened.quit()


def wait_for(opened: Any, script: str, *arguments: Any) -> Any:
    """What a script returns, once that is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(opened, PAGE_WAIT).until(lambda it: it.execute_script(script, *arguments))
