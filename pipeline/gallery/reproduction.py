"""Regenerates one published result: runs its sweeps and its control, and judges both by the same laws."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from widesweep.analysis.analysis_result import judged_as
from widesweep.analysis.laws.kinds.law_result import BROKEN, CONSISTENT, HOLDS, INCONSISTENT, LawResult
from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.execution.driver import run as run_sweep
from widesweep.pipeline.gallery.catalogue import Claim, Entry

REPRODUCED, REFUTED, UNDECIDED = "reproduced", "not reproduced", "undecided"
AGREES, DISAGREES = (CONSISTENT, HOLDS), (INCONSISTENT, BROKEN)  # of a slope, and of a bound
STANDARD_ERRORS = 2 * 1.96  # that a 95 % interval is long


@dataclass(frozen=True)
class Number:
    """One claim's number, ours beside what is expected.

    Attributes:
        law: the law's name.
        run: the sweep that it is from.
        paper: the paper's number or where its slope comes from.
        slope: ours, with its 95 % interval [low, high].
        expected_low: least slope that the result allows on this grid, and `expected_high` the largest.
        verdict: the law's.
        note: the law's reasons.
    """

    law: str
    run: str
    paper: str
    slope: float
    low: float
    high: float
    expected: float
    expected_low: float
    expected_high: float
    verdict: str
    note: str

    @property
    def distance(self) -> float:
        """From the nearest slope allowed, in our standard errors; 0 inside, NaN without an interval."""
        error = (self.high - self.low) / STANDARD_ERRORS
        beyond = self.slope - min(max(self.slope, self.expected_low), self.expected_high)
        return beyond / error if error > 0 else math.nan


@dataclass(frozen=True)
class Reproduction:
    """What came of one entry.

    Attributes:
        entry: which.
        numbers: of the claims, in order.
        control: of the laws that the control must refute.
        results: the laws' results, with their figures, in the order of `numbers`.
    """

    entry: Entry
    numbers: tuple[Number, ...]
    control: tuple[Number, ...]
    results: tuple[LawResult, ...]

    @property
    def verdict(self) -> str:
        """`reproduced` only where every claim is consistent, or holds as a bound."""
        verdicts = {number.verdict for number in self.numbers}
        if verdicts <= set(AGREES):
            return REPRODUCED
        return UNDECIDED if verdicts.isdisjoint(DISAGREES) else REFUTED

    @property
    def control_fails(self) -> bool:
        """Whether every law that the control must refute came out inconsistent, or broken, there."""
        return all(number.verdict in DISAGREES for number in self.control)

    @property
    def as_published(self) -> bool:
        """Reproduced, and told from its control."""
        return self.verdict == REPRODUCED and self.control_fails

    def text(self) -> str:
        """A few lines for a terminal: the verdict, each claim, and each law of the control."""
        lines = [f"{self.entry.name}: {self.verdict}. {self.entry.title}."]
        for kind, numbers in (("claim", self.numbers), ("control", self.control)):
            for one in numbers:
                slope = f"{one.slope:.3f} [{one.low:.3f}, {one.high:.3f}]"
                expected = f"{one.expected_low:.3f} to {one.expected_high:.3f} expected"
                lines.append(f"  {kind:<8} {one.law:<28} {slope:<26} {expected}: {one.verdict}")
        if not self.control_fails:
            lines.append("  The control does not fail: these sweeps cannot tell the result from its absence.")
        return "\n".join(lines)

    def json_object(self) -> dict[str, object]:
        """As `gallery --json` prints it."""
        both = {
            key: [_without_nan(asdict(number) | {"standard_errors": number.distance}) for number in numbers]
            for key, numbers in (("claims", self.numbers), ("control", self.control))
        }
        return {
            "name": self.entry.name,
            "verdict": self.verdict,
            "control_fails": self.control_fails,
            **both,
        }


def reproduce(entry: Entry, folder: Path, settings: Sequence[str] = ()) -> Reproduction:
    """Runs an entry's sweeps and its control, or what is left of them, and judges them.

    Args:
        entry: the published result.
        folder: where the stores go, `<name>.zarr`, `<name>-<run>.zarr` and `<name>-control.zarr`.
        settings: that hold for all of them, such as `entry.small`.

    Returns:
        The numbers, and whether the control fails.

    Raises:
        InputError: a store of another config is there.
        Interrupted: a signal stopped a sweep; what was finished is stored.
    """
    stores = {
        run: _run(entry, folder / f"{_joined(entry.name, run)}.zarr", (*settings, *own))
        for run, own in entry.runs.items()
    }
    control = entry.control
    wrong = _run(
        entry,
        folder / f"{entry.name}-control.zarr",
        (*settings, *entry.runs[control.run], *control.settings),
    )
    claimed = control.run if control.claimed is None else control.claimed
    found = {run: judged_as(url, url) for run, url in stores.items()}
    refuted = judged_as(wrong, stores[claimed])
    pairs = [(claim, found[claim.run][claim.law]) for claim in entry.claims]
    papers = {claim.law: claim for claim in entry.claims}
    return Reproduction(
        entry,
        tuple(_number(claim, result) for claim, result in pairs),
        tuple(_number(papers[law], refuted[law]) for law in control.refutes),
        tuple(result for _, result in pairs),
    )


def _joined(name: str, run: str) -> str:
    return f"{name}-{run.replace(' ', '-')}" if run else name


def _run(entry: Entry, url: Path, settings: Sequence[str]) -> str:
    sweep = configs.load(entry.config, (*settings, f"name={url.stem}", f"store={json.dumps(str(url))}"))
    run_sweep(sweep, str(url))
    return str(url)


def _number(claim: Claim, result: LawResult) -> Number:
    estimate = result.estimate
    return Number(
        claim.law, claim.run, claim.paper, estimate.value, estimate.low, estimate.high,
        result.expected, result.expected_low, result.expected_high, result.verdict, result.note,
    )  # fmt: skip


def _without_nan(row: dict[str, object]) -> dict[str, object]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
