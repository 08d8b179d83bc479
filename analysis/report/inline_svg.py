"""A figure inside the page: matplotlib's SVG with ids of its own and the page's colours, light or dark."""

from __future__ import annotations

import re

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from widesweep.analysis.report import figures
from widesweep.analysis.report.legend import COLOURS, MUTED

ROLES = {
    "ffffff": "plot",
    figures.INK[1:]: "plot-ink",
    MUTED[1:]: "plot-quiet",
    **{colour[1:].lower(): f"plot-{place}" for place, colour in enumerate(COLOURS)},
}


def inline_svg(figure: Figure, prefix: str, label: str) -> Markup:
    """The figure as an <svg> element that may stand beside others in one page.

    Args:
        figure: what to show.
        prefix: of all ids, another one for each figure of the page; letters, digits and underscores.
        label: the picture in words, for those who do not see it.

    Returns:
        Markup: no comments, no metadata, no size in points; colours that have a role in the page are its
        variables, such as var(--plot-ink).

    >>> inline_svg(Figure(), "law", "<nothing>")[:53]
    Markup('<svg role="img" aria-label="&lt;nothing&gt;" viewBox=')
    """
    text = figures.as_svg(figure)
    text = text[text.index("<svg ") :]
    text = re.sub(
        r"<!--.*?-->\s*|<metadata>.*?</metadata>\s*|<style.*?</style>\s*", "", text, flags=re.DOTALL
    )
    text = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{prefix}-", text)
    text = re.sub(r": #([0-9a-f]{6})(?![0-9a-f])", _role, text)
    view = re.search(r'viewBox="[-\d. ]+"', text)
    assert view is not None  # matplotlib always writes one
    opening = f'<svg role="img" aria-label="{escape(label)}" {view.group()} '
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    return Markup(opening + names + text[text.index(">") + 1 :])


def _role(match: re.Match[str]) -> str:
    """A colour as the page's variable; one without a role stays."""
    role = ROLES.get(match.group(1))
    return f": var(--{role})" if role else match.group()
