"""The demo's weight drift, its interval halved: by `refine`, and by more seeds everywhere, in core seconds.

From the root: python -m benchmarks.refinement_demo [KEY=VALUE ...], settings as with `run --set`. Three
repeats, each with seeds of its own; both ways start from copies of one store. Core seconds are those of the
blocks' processes, so a busy machine changes them little.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from widesweep import analysis
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.refine import refine
from widesweep.pipeline.refine.goal import Goal
from widesweep.pipeline.store.reader import Store

LAW = "weight_drift"
REPEATS = 3
MOST_SEEDS = 200


def interval(url: str) -> float:
    found = next(f for f in analysis.examine(url).law_results if f.name == LAW)
    return float(found.estimate.high - found.estimate.low)


def core_s(url: str) -> float:
    return float(Store(url).run_attributes()["core_s"])


def repeat(folder: Path, number: int, settings: list[str]) -> dict[str, float | list[float]]:
    """One base sweep, refined and grown; forecasts are over what was then measured, round by round."""
    demo = Path("configs/demo.yaml")
    first = 1000 * number
    base, refined, grown = (str(folder / f"{name}-{number}.zarr") for name in ("base", "refined", "grown"))
    count = len(sweep_config.load(demo, settings).config.grid.seeds)
    own = [*settings, f"grid.seed={list(range(first, first + count))}", "initialization.draws=1000"]
    run(sweep_config.load(demo, own), base)
    wanted, spent = interval(base) / 2, core_s(base)
    for url in (refined, grown):
        shutil.copytree(base, url)
    rounds = refine(refined, Goal((LAW,), interval=wanted))["rounds"]
    while interval(grown) > wanted and count < MOST_SEEDS:
        count += max(1, count // 8)
        more = [*settings, f"grid.seed={list(range(first, first + count))}", "initialization.draws=1000"]
        run(sweep_config.load(demo, more), grown)
    return {
        "base_s": spent,
        "refine_s": core_s(refined) - spent,
        "uniform_s": core_s(grown) - spent,
        "seeds": count,
        "shrunk_refined": interval(refined) / (2 * wanted),
        "shrunk_grown": interval(grown) / (2 * wanted),
        "interval_forecasts": [
            r["interval_forecast"].get(LAW, np.nan) / _length(r["found"][LAW]) for r in rounds
        ],
        "cost_forecasts": [r["cost_forecast_s"] / r["cost_s"] for r in rounds],
    }


def _length(found: dict[str, float]) -> float:
    return found["high"] - found["low"]


def main(settings: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(REPEATS):
            found = repeat(Path(folder), number, settings)
            print({name: np.round(value, 3).tolist() for name, value in found.items()}, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
