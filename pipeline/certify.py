"""Certificates: a grid is swept, and grows in learning rates and seeds, until answers are decided."""

from __future__ import annotations

import sys
from dataclasses import replace

from widesweep import analysis
from widesweep.analysis import certificate as certificates
from widesweep.analysis.certificate import UNDECIDED, Certificate
from widesweep.analysis.reading.cell_summary import CellSummary, gather
from widesweep.pipeline.config.sweep_config import SweepFile
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.execution.driver import run

MEASURED = ("loss", "kernel", "coordinates", "sharpness")
FEWEST_WIDTHS, FEWEST_RATES, FEWEST_SEEDS = 3, 4, 4
LADDER = (0.25, 0.5, 1.0, 2.0, 4.0)
MOST_ROUNDS = 6
MOST_SEEDS = 64


def certify(sweep: SweepFile, url: str, address: str | None = None) -> Certificate:
    """Sweeps a config's widths and depths until the verdict is decided, or six rounds have passed.

    Fewer than four learning rates become five, by factors of 2 about the largest. A best rate at an end of
    the grid adds the next rate there; a verdict that is undecided otherwise doubles the seeds.

    Args:
        sweep: the config; its measurements are replaced by `loss`, `kernel`, `coordinates`, `sharpness`.
        url: store of the sweep; the same call again goes on.
        address: a Ray cluster's; default: this machine.

    Raises:
        InputError: a module, whose pre-activations are not known, no training, or fewer than three widths.
    """
    asked = _measured(sweep)
    for number in range(MOST_ROUNDS):
        grid = asked.config.grid
        rates = ", ".join(f"{rate:g}" for rate in grid.learning_rates)
        print(f"round {number + 1}: {len(grid.seeds)} seeds, η = {rates}", file=sys.stderr, flush=True)
        run(asked, url, address)
        summary = _summary(url)
        found = replace(certificates.certificate(summary), store=url)
        asked_before, asked = asked, _grown(asked, summary)
        if found.transfers != UNDECIDED or asked is asked_before:
            break
    return found


def _summary(url: str) -> CellSummary:
    return gather(analysis.open_sweep(url), certificates.READS)


def _measured(sweep: SweepFile) -> SweepFile:
    """The sweep with what a certificate needs."""
    config = sweep.config
    if config.training is None:
        raise InputError(f"{sweep.file}, training", "there is none", "a certificate is about training")
    if config.network.kind == "module":
        found, wanted = "a module's pre-activations are not measured", "certify a built-in kind"
        raise InputError(f"{sweep.file}, network.kind", found, wanted)
    if len(config.grid.width) < FEWEST_WIDTHS:
        found, wanted = f"{len(config.grid.width)} widths", f"an exponent needs {FEWEST_WIDTHS} or more"
        raise InputError(f"{sweep.file}, grid.width", found, wanted)
    rates = config.grid.learning_rates
    if len(rates) < FEWEST_RATES:
        rates = tuple(max(rates) * factor for factor in LADDER)
    seeds = max(FEWEST_SEEDS, len(config.grid.seeds))
    training = config.training.model_copy(update={"measure": MEASURED})
    grid = config.grid.model_copy(update={"seed": seeds, "learning_rate": rates})
    return replace(sweep, config=config.model_copy(update={"training": training, "grid": grid}))


def _grown(sweep: SweepFile, summary: CellSummary) -> SweepFile:
    """The next round: a rate more where the best is at an end, else twice the seeds; itself at the most."""
    grid = sweep.config.grid
    rates, count = grid.learning_rates, len(grid.seeds)
    below, above = certificates.best_at_an_end(summary)
    rates = (*((rates[0] / 2.0,) if below else ()), *rates, *((rates[-1] * 2.0,) if above else ()))
    if len(rates) == len(grid.learning_rates):
        if count >= MOST_SEEDS:
            return sweep
        count = min(2 * count, MOST_SEEDS)
    larger = grid.model_copy(update={"seed": count, "learning_rate": rates})
    return replace(sweep, config=sweep.config.model_copy(update={"grid": larger}))
