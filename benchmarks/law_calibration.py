"""Do verdicts on real networks hold up when a small sweep is repeated? The table of docs/calibration.md.

One sweep of each experiment has the seeds of all repeats, and is judged in groups of `SEEDS` as so many
sweeps: what differs between repeats is what differs between seeds. Each law is judged

- on its own experiment: how often the 95 % interval holds the mean slope of all repeats, and how often a
  correct network is called inconsistent;
- on a control: the numbers of the rival experiment under the claim that they are of its own.

`python -m benchmarks.law_calibration --repeats 200 --write` takes hours on two cores; fewer repeats say less,
and the page names how many there were.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import widesweep as ws
from widesweep.analysis.laws import find_all, variables
from widesweep.analysis.laws.kinds.law_result import INCONCLUSIVE, INCONSISTENT, NOT_APPLICABLE, LawResult
from widesweep.analysis.reading.cell_summary import gather

PAGE = Path(__file__).resolve().parents[1] / "docs" / "calibration.md"
BEGIN, END = "<!-- real networks -->", "<!-- end of real networks -->"
SEEDS = 6
MEASURED = [
    "loss",
    "kernel",
    "drift",
    "patterns",
    "coordinates",
    "predictions",
    "linearized",
    "linearized_test",
]
SECTIONS: dict[str, Any] = {
    "data": {"source": "sphere", "inputs": 6, "samples": 8, "test_samples": 16, "labels": "random"},
    "training": {"steps": 100, "records": 16, "measure": MEASURED},
}
GRID = {"width": [16, 32, 64, 128], "depth": [2], "learning_rate": [1.0]}
RIVAL = {"ntk": "mup", "mup": "ntk"}


@dataclass(frozen=True)
class Row:
    """What repeats of one law say.

    Attributes:
        law: its name.
        experiment: the parameterisation that it was judged under.
        judged: repeats with an interval.
        covers: share of their intervals that hold the mean slope.
        refused: share of all repeats that were called inconsistent.
        undecided: share that were inconclusive.
        power: share of the control's repeats that were called inconsistent; NaN where it is not applicable.
    """

    law: str
    experiment: str
    judged: int
    covers: float
    refused: float
    undecided: float
    power: float


def groups(store: Path, claimed: Path, repeats: int) -> Iterator[list[LawResult]]:
    """What the laws find in each group of seeds, under the config and predictions of another store."""
    numbers, other = (xr.open_datatree(path, engine="zarr") for path in (store, claimed))
    training, theory = numbers["training"].to_dataset().load(), other["theory"].to_dataset().load()
    for repeat in range(repeats):
        chosen = training.isel(seed=slice(repeat * SEEDS, (repeat + 1) * SEEDS))
        root = xr.Dataset(attrs={"config": other.attrs["config"]})
        tree = xr.DataTree.from_dict({"/": root, "/training": chosen, "/theory": theory})
        yield find_all(gather(tree, variables(())))


def rows(experiment: str, own: list[list[LawResult]], control: list[list[LawResult]]) -> list[Row]:
    """One row for each law that speaks of the experiment.

    Args:
        experiment: its parameterisation.
        own: results of every repeat.
        control: results of the rival's repeats under this experiment's claim.
    """
    by_law, by_rival = _by_law(own), _by_law(control)
    return [
        _row(name, experiment, results, by_rival.get(name, []))
        for name, results in by_law.items()
        if results[0].verdict != NOT_APPLICABLE and np.isfinite(results[0].expected_high)
    ]


def _by_law(repeats: list[list[LawResult]]) -> dict[str, list[LawResult]]:
    found: dict[str, list[LawResult]] = {}
    for result in (each for repeat in repeats for each in repeat):
        found.setdefault(result.name, []).append(result)
    return found


def _row(name: str, experiment: str, results: list[LawResult], rival: list[LawResult]) -> Row:
    ends = np.array([(r.estimate.value, r.estimate.low, r.estimate.high) for r in results])
    ends = ends[np.isfinite(ends).all(1)]
    truth = ends[:, 0].mean() if len(ends) else float("nan")
    covers = ((ends[:, 1] <= truth) & (truth <= ends[:, 2])).mean() if len(ends) else float("nan")
    judged = [r for r in rival if r.verdict != NOT_APPLICABLE]
    power = float(np.mean([r.verdict == INCONSISTENT for r in judged])) if judged else float("nan")
    refused, undecided = _share(results, INCONSISTENT), _share(results, INCONCLUSIVE)
    return Row(name, experiment, len(ends), float(covers), refused, undecided, power)


def _share(results: list[LawResult], verdict: str) -> float:
    return float(np.mean([result.verdict == verdict for result in results]))


def table(found: list[Row], repeats: int) -> str:
    """The rows as Markdown, with what was run.

    >>> table([Row("a", "ntk", 20, 0.95, 0, 0.05, np.nan)], 20).splitlines()[-1]
    '| `a` | ntk | 20 | 95 % | 0 % | 5 % | none |'
    """
    titles = (
        "law",
        "parameterisation",
        "intervals",
        "covers",
        "false inconsistent",
        "inconclusive",
        "caught",
    )
    lines: list[tuple[str, ...]] = [titles, ("---",) * len(titles)]
    for row in found:
        shares = (row.covers, row.refused, row.undecided, row.power)
        lines.append((f"`{row.law}`", row.experiment, str(row.judged), *map(_percent, shares)))
    widths, steps = ", ".join(map(str, GRID["width"])), SECTIONS["training"]["steps"]
    said = f"{repeats} repeats of {SEEDS} seeds, widths {widths}, two hidden layers of tanh, {steps} steps."
    return "\n".join([said, "", *("| " + " | ".join(line) + " |" for line in lines)])


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if np.isfinite(share) else "none"


def calibrated(repeats: int, folder: Path) -> list[Row]:
    """Runs the experiments, or resumes them, and judges all repeats."""
    stores = {}
    for name in RIVAL:
        stores[name] = folder / f"{name}.zarr"
        ws.run(
            name=f"calibration-{name}",
            network={"kind": "fully_connected", "activation": "tanh", "parameterization": name},
            grid=GRID | {"seed": repeats * SEEDS},
            store=stores[name],
            **SECTIONS,
        )
    found = []
    for name, rival in RIVAL.items():
        own = list(groups(stores[name], stores[name], repeats))
        found += rows(name, own, list(groups(stores[rival], stores[name], repeats)))
    return found


def written(text: str, page: str) -> str:
    """The page with the table between its marks replaced.

    >>> written("new", f"a{BEGIN}old{END}b").split()
    ['a<!--', 'real', 'networks', '-->', 'new', '<!--', 'end', 'of', 'real', 'networks', '-->b']
    """
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Prints the table; `--write` puts it into docs/calibration.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument(
        "--folder", type=Path, help="where the sweeps are kept, to go on from; default: nowhere"
    )
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = calibrated(asked.repeats, asked.folder or Path(temporary))
    text = table(found, asked.repeats)
    print(text)
    if asked.write:
        PAGE.write_text(written(text, PAGE.read_text()))


if __name__ == "__main__":
    main()
