"""The site: Markdown pages, and those that `docs/generate` reads off the code while it is built."""

from __future__ import annotations

import re
import shutil
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs.generate import pages  # noqa: E402  (the path comes first)

project = "widesweep"
author = "the widesweep authors"
html_title = "widesweep"
extensions = ["myst_parser", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath"]
mathjax_path = "mathjax/tex-svg.js"  # shipped with the site: one file, which needs no other
myst_heading_anchors = 3
exclude_patterns = ["generate"]
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False

_FILE = re.compile(r"^<!-- file: (.+?) -->$", re.MULTILINE)
_MARK = re.compile(r"^<!-- generated: (\w+)(?: (\w+))? -->$", re.MULTILINE)


def setup(app: Any) -> None:
    """Puts what is generated in the place of its mark, as each page is read."""
    app.connect("build-finished", _ship_mathjax)
    app.connect("source-read", lambda app, name, source: source.__setitem__(0, _filled(source[0])))


def _ship_mathjax(app: Any, error: Exception | None) -> None:
    """Copies the one file that draws formulas, from the package that brings it."""
    if error is None and app.builder.format == "html":
        found = distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax")
        target = Path(app.outdir) / "_static" / mathjax_path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(Path(str(found)) / target.name, target)


def _filled(text: str) -> str:
    """What is generated, and the name of each file above its content."""
    text = _MARK.sub(lambda match: pages.page(*(word for word in match.groups() if word)), text)
    return _FILE.sub(r"`\1`\n", text)
