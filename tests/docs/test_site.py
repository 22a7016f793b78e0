"""The pages build without a warning, and no link in them is dead."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs" / "pictures"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages."""
    for name in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(name, reason="the pages need the extra docs: pip install -e '.[docs]'")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", str(out / "trees")]
    done = subprocess.run(
        [*command, str(ROOT / "docs"), str(out / "html")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


class Links(HTMLParser):
    """Addresses that a page refers to, and the names that it can be referred to by."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.addresses += [value for key in ("href", "src") if (value := values.get(key))]
        self.names |= {value for key in ("id", "name") if (value := values.get(key))}


def parsed(site: Path) -> Iterator[tuple[Path, Links]]:
    for page in sorted(site.glob("*.html")):
        links = Links()
        links.feed(page.read_text())
        yield page, links


def test_no_link_is_dead(site: Path) -> None:
    """Links between pages, to places in them, to pictures and files. Addresses elsewhere are not fetched."""
    pages = {page.name: links for page, links in parsed(site)}
    assert len(pages) > 15
    for name, links in pages.items():
        for address in links.addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = unquote(parts.path) or name
            assert (site / target).exists(), f"{name} refers to {target}, which is not there"
            if parts.fragment and target in pages and target not in ("search.html", "genindex.html"):
                assert unquote(parts.fragment) in pages[target].names, f"{name} refers to {address}"


def test_every_field_of_the_config_is_in_the_reference(site: Path) -> None:
    from r2d2.config import Config, to_dict

    page = (site / "configuration.html").read_text()
    for section, values in to_dict(Config()).items():
        for field in values:
            assert f'<span class="pre">{section}.{field}</span>' in page, f"{section}.{field}"
    assert "from 1 to 1,000,000,000,000,000" in page  # bounds are there


def test_the_pictures_are_those_of_the_script() -> None:
    import draw

    for name, picture in draw.PICTURES.items():
        file = ROOT / "docs" / "pictures" / f"{name}.svg"
        assert file.read_text() == picture(), f"{file.name} is old: python docs/pictures/draw.py"
