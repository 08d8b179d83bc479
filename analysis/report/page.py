"""One self-contained HTML page of a sweep: verdicts first, then law by law, then where it all came from."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import xarray as xr
from markupsafe import Markup, escape

from widesweep.analysis.analysis_result import examine
from widesweep.analysis.errors import NotOurPage
from widesweep.analysis.export import beside, whole
from widesweep.analysis.laws.kinds.law_result import LawResult
from widesweep.analysis.reading.sweep import open_sweep
from widesweep.analysis.report import (
    expectation,
    figures,
    forest,
    measured,
    plain_words,
    point_table,
    training_figures,
)
from widesweep.analysis.report.inline_svg import inline_svg

FOLDER = Path(__file__).parent
PROVENANCE = ("created", "code_version", "schema_version", "config_hash")
RUN = ("state", "host", "elapsed_s", "started")
MOST_FAULTS = 200
CURVES = "Loss on the training points (solid) and on test points (dashed, where measured), by width m."
MAPS = "The grid by width and depth: cells done, time, and the loss at the last record."
GENERATOR = "widesweep report"  # in every page of ours, and what may be replaced
HEAD_BYTES = 4096
REFRESH = '<meta http-equiv="refresh" content="{}">'


@dataclass(frozen=True)
class Section:
    """A law as the page shows it."""

    name: str
    title: str
    verdict: str
    slope: str
    interval: str
    expected: str
    allowed: str
    points: int
    r_squared: str
    note: str
    regime: str
    advice: Markup
    numbers: tuple[tuple[str, str], ...]
    picture: Markup
    table: point_table.PointTable


def write(
    url: str | Path,
    output: Path | None = None,
    scheduler: str | None = None,
    *,
    refresh_s: int = 0,
    laws: Iterable[object] = (),
) -> Path:
    """Write the report of a sweep: index.html, and each law's figure as PNG and PDF.

    The laws are found anew from the store, so that the page agrees with the cells that are there now;
    the result is that of `analyze`, to the last bit.

    Args:
        url: the store.
        output: folder; by default `<store without .zarr>-report` beside a local store, and
            `./<name>-report` for a remote one (`beside_store.write` puts it beside that).
        scheduler: address of a Dask scheduler; None for threads of this process.
        refresh_s: seconds after which the page loads itself again; 0 for never.
        laws: the reader's own, as for `examine`.

    Returns:
        Path of index.html, which is replaced as a whole.

    Raises:
        NotASweep: see `open_sweep`.
        NotOurPage: the folder has an index.html that is no report.

    >>> write("missing.zarr")
    Traceback (most recent call last):
    widesweep.analysis.errors.NotASweep: missing.zarr: ...
    """
    folder = Path(output) if output is not None else beside(str(url), "-report")
    _check_ours(folder / "index.html")
    study = examine(url, scheduler, laws)
    tree = open_sweep(url)
    folder.mkdir(parents=True, exist_ok=True)
    sections = [_section(finding, folder) for finding in study.law_results]
    script = (FOLDER / "page.js").read_text(encoding="utf-8")
    training = tree["training"].to_dataset() if "training" in tree.children else xr.Dataset()
    page = template(FOLDER, "page.html.j2").render(
        opening=plain_words.opening(study.law_results, study.summary.config, study.summary.counts()),
        forest=_forest(study.law_results, folder),
        pictures=_pictures(tree, training, folder),
        measured=measured.rows(training),
        policy=_policy(script),
        generator=GENERATOR,
        refresh=Markup(REFRESH.format(refresh_s)) if refresh_s else "",
        script=Markup(script),
        name=str(study.summary.config.get("name", "sweep")),
        sections=sections,
        counts=study.summary.counts(),
        config=json.dumps(study.summary.config, indent=2, ensure_ascii=False),
        provenance=_provenance(tree),
        faults=_faults(study.summary.cells),
        axes=[axis.replace("_", " ") for axis in _axes(study.summary.cells)],
        most_faults=MOST_FAULTS,
        address=str(url),
    )
    path = folder / "index.html"
    with whole(path) as file:
        file.write_text(page, encoding="utf-8")
    return path


def settle(path: Path) -> None:
    """Let a page that loaded itself again and again rest as it is.

    >>> page = tmp_path / "index.html"
    >>> _ = page.write_text("<head>" + REFRESH.format(60) + "</head>")
    >>> settle(page)
    >>> page.read_text()
    '<head></head>'
    """
    text = path.read_text(encoding="utf-8")
    with whole(path) as file:
        file.write_text(re.sub(REFRESH.format(r"\d+"), "", text, count=1), encoding="utf-8")


def _check_ours(path: Path) -> None:
    """A page that is there already must be a report."""
    if path.is_file():
        with path.open("rb") as file:
            ours = f'content="{GENERATOR}"'.encode() in file.read(HEAD_BYTES)
        if not ours:
            raise NotOurPage(f"{path}: this page is no report. Choose another folder by --output. No report.")


def _policy(script: str) -> str:
    """What the page may do: show itself and run this one script, whatever text a store brings along."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def template(folder: Path, name: str) -> jinja2.Template:
    """A page's template, in which every text is escaped and a missing value is an error.

    >>> template(FOLDER, "page.html.j2").name
    'page.html.j2'
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined,
        finalize=_printable,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(name)


@dataclass(frozen=True)
class Picture:
    """A figure that is not a law's."""

    name: str
    caption: str
    svg: Markup


def _forest(findings: Sequence[LawResult], folder: Path) -> Markup:
    """All laws in one figure; nothing where there is none."""
    if not findings:
        return Markup("")
    figure = forest.draw(findings)
    figures.save(figure, folder, "all_laws")
    return inline_svg(
        figure, "all_laws", "Slopes of all laws with their intervals, beside what theory allows"
    )


def _pictures(tree: xr.DataTree, training: xr.Dataset, folder: Path) -> list[Picture]:
    """Curves of training and maps of the grid, as far as there is something to draw."""
    groups = {n: tree[n].to_dataset() if n in tree.children else xr.Dataset() for n in ("theory", "run")}
    drawn = {
        "training_curves": (training_figures.curves(training, groups["theory"]), CURVES),
        "grid_maps": (training_figures.maps(training, groups["run"]), MAPS),
    }
    found = []
    for name, (figure, caption) in drawn.items():
        if figure is not None:
            figures.save(figure, folder, name)
            found.append(Picture(name, caption, inline_svg(figure, name, caption)))
    return found


def _section(finding: LawResult, folder: Path) -> Section:
    """Draw and save the figure; put the numbers into words."""
    figure = figures.draw(finding)
    figures.save(figure, folder, finding.name)
    estimate = finding.estimate
    known, bounded = bool(np.isfinite(estimate.value)), bool(np.isfinite(estimate.low))
    low, high = finding.expected_low, finding.expected_high
    slope = _signed(f"{estimate.value:.3f}") if known else "none"
    return Section(
        name=finding.name,
        title=finding.title,
        verdict=finding.verdict,
        slope=slope,
        interval=_signed(f"{estimate.low:.3f} to {estimate.high:.3f}") if bounded else "",
        expected=_signed(expectation.limit(finding.expected, low, high)),
        allowed=_signed(expectation.allowed(low, high)),
        points=finding.points,
        r_squared=f"{finding.r_squared:.3f}" if np.isfinite(finding.r_squared) else "none",
        note=_signed(finding.note),
        regime=finding.regime,
        advice=_with_code(plain_words.advice(finding)),
        numbers=finding.numbers,
        picture=inline_svg(figure, finding.name, f"{finding.title}: slope {slope}, {finding.verdict}"),
        table=point_table.table(finding.plot),
    )


def _with_code(text: str) -> Markup:
    """Text of ours in which commands stand between backticks."""
    return Markup(re.sub(r"`(.+?)`", r"<code>\1</code>", str(escape(text))))


def _signed(text: str) -> str:
    """Typographic minus signs before digits."""
    return re.sub(r"(?<![\w-])-(?=\d)", "−", text)


def _provenance(tree: xr.DataTree) -> list[tuple[str, str]]:
    """Root attributes, the state of the run and the libraries' versions, as text."""
    rows = [(name.replace("_", " "), str(tree.attrs[name])) for name in PROVENANCE if name in tree.attrs]
    run = dict(tree["run"].attrs) if "run" in tree.children else {}
    rows += [(f"run: {name.replace('_', ' ')}", str(run[name])) for name in RUN if name in run]
    if "run" in tree.children and "block_attempts" in tree["run"].data_vars:
        attempts = np.asarray(tree["run"].to_dataset()["block_attempts"])
        again = int((attempts > 1).sum())
        rows.append(("run: blocks", f"{attempts.size}, of which {again} were started more than once"))
    try:
        versions = json.loads(tree.attrs.get("library_versions", "{}"))
    except (TypeError, ValueError):
        versions = {}
    if isinstance(versions, dict):
        rows += [(str(name), str(version)) for name, version in sorted(versions.items())]
    return rows


def _axes(cells: xr.Dataset | None) -> list[str]:
    """The axes of the grid that was trained, in order."""
    return [] if cells is None else [str(axis) for axis in cells["status"].dims]


def _faults(cells: xr.Dataset | None) -> list[dict[str, Any]]:
    """Cells that diverged, failed or are missing, by coordinate."""
    if cells is None:
        return []
    status = cells["status"]
    names = {0: "pending", 2: "diverged", 3: "failed"}
    coordinates = [status[dim].values for dim in status.dims]
    return [
        {
            "state": names.get(int(status.values[tuple(index)]), "unknown"),
            "where": [f"{c[i]:g}" for c, i in zip(coordinates, index, strict=True)],
        }
        for index in np.argwhere(status.values != 1)
    ]


def _printable(value: Any) -> Any:
    """A text without control characters and marks of direction, which a stranger's store may hold."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join("\N{REPLACEMENT CHARACTER}" if _steers(c) else c for c in value)


def _steers(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") and character not in "\n\t"
