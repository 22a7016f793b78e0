"""How Sphinx builds the pages: `make docs`. They are plain Markdown, which code hosts show as well."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent / "_extensions")]

project = "R2D2"
author = "the R2D2 project's authors"
version = re.findall(r'^__version__ = "(.+)"$', (ROOT / "r2d2" / "__init__.py").read_text(), re.MULTILINE)[0]
extensions = ["myst_parser", "configuration"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nitpicky = True
html_theme = "furo"
html_title = f"R2D2 {version}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_show_sphinx = False
html_copy_source = False
