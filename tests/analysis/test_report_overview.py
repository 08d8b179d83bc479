"""What a report says before its laws: sentences, all slopes, curves, maps, and all variables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
import xarray as xr

from tests.analysis.synthetic import SyntheticSweep, write
from widesweep.analysis.fitting.fit import Estimate
from widesweep.analysis.laws.kinds.law_result import INCONSISTENT, LawResult, undecided
from widesweep.analysis.report import beside_store, figures, forest, measured, plain_words, training_figures

SMALL = SyntheticSweep(depths=(1,), seeds=3, rates=(1.0,), modes=3, states={(0, 0, 0, 0): 2})
OPEN = undecided("kernel_drift", "kernel", -0.5, "No cell is done.")
BROKEN = replace(
    OPEN, name="weight_drift", verdict=INCONSISTENT, estimate=Estimate(-0.9, 0.02, -0.94, -0.86, 9.0)
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sweep") / "demo.zarr", SMALL)


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        ([BROKEN, OPEN], "Of 2 laws, 1 contradicts it and 1 cannot be told from these cells."),
        ([replace(BROKEN, verdict="consistent")] * 3, "All 3 laws agree with theory."),
        ([OPEN], "Of one law, 1 cannot be told from these cells."),
        (
            [replace(BROKEN, verdict=each) for each in ("holds", "holds", "broken", "vacuous")],
            "Of 4 laws, 2 hold in every cell, 1 breaks in some cell and 1 could not fail here.",
        ),
        ([], "No law concerns this sweep."),
    ],
)
def test_the_verdicts_are_counted_in_a_sentence(findings: list[LawResult], said: str) -> None:
    """Whatever they are, one or several."""
    first, second = plain_words.opening(findings, {"grid": {"width": [8, 16]}}, {"done": 2})
    assert first == said
    assert second == "The sweep has 2 finished cells of fully connected networks, width 8 to 16."


def test_every_verdict_has_a_next_step() -> None:
    """Each names a command or says what is missing."""
    for verdict in ("consistent", "inconsistent", "inconclusive"):
        assert "`" in plain_words.advice(replace(OPEN, verdict=verdict))
    said = [
        plain_words.advice(replace(OPEN, verdict=v)) for v in ("not_applicable", "holds", "broken", "vacuous")
    ]
    assert len(set(said)) == 4


def test_the_forest_has_a_row_for_each_law() -> None:
    """Its name and its slope, or its verdict where there is none."""
    texts = [text.get_text() for text in forest.draw([BROKEN, OPEN]).axes[0].texts]
    assert texts == ["weight drift", "−0.90 [−0.94, −0.86]", "kernel drift", "inconclusive"]


def test_a_rate_at_which_theory_diverges_bends_no_axis(store: Path, tmp_path: Path) -> None:
    """Its curve ends where it leaves the figure; a rate that no cell survived is not shown."""
    tree = xr.open_datatree(store, engine="zarr")
    training, theory = (tree[name].to_dataset().load() for name in ("training", "theory"))
    growing = xr.DataArray(np.exp(np.linspace(0.0, 700.0, training.sizes["step"])), {"step": training.step})
    theory["residual_norm_predicted"] = growing * xr.ones_like(theory["rate_predicted"])
    figure = training_figures.curves(training, theory)
    assert figure is not None
    assert figure.axes[0].get_ylim()[1] < 1e12
    figures.save(figure, tmp_path, "curves")
    beyond = training.assign_coords(learning_rate=[9.0]).assign(status=xr.full_like(training.status, 2))
    both = xr.concat([training, beyond], "learning_rate", data_vars="minimal")
    figure = training_figures.curves(both, theory)
    assert figure is not None
    assert (
        figure.axes[0].get_title(loc="left").endswith(f"learning rate {float(training.learning_rate[0]):g}")
    )


def test_a_curve_is_the_median_over_finished_cells(store: Path) -> None:
    """Four widths; at the narrowest the diverged cell is left out."""
    tree = xr.open_datatree(store, engine="zarr")
    training = tree["training"].to_dataset()
    figure = training_figures.curves(training, xr.Dataset())
    assert figure is not None
    lines = figure.axes[0].get_lines()
    assert len(lines) == 4
    wanted = np.median(training.loss.values[0, 0, 1:, 0], axis=0)
    np.testing.assert_allclose(lines[0].get_ydata(), wanted[wanted > 0])
    assert training_figures.curves(training.drop_vars("loss"), xr.Dataset()) is None
    assert training_figures.curves(training.assign(loss=training.loss * 0.0), xr.Dataset()) is None


def test_maps_need_a_grid_that_trained(store: Path) -> None:
    """Two panels without times; none without training."""
    training = xr.open_datatree(store, engine="zarr")["training"].to_dataset()
    figure = training_figures.maps(training, xr.Dataset())
    assert figure is not None
    assert [axes.get_title("left") for axes in figure.axes] == ["cells done, %", "last loss, median"]
    assert figure.axes[0].texts[0].get_text() == f"{200 / 3:.3g}"
    assert training_figures.maps(xr.Dataset(), xr.Dataset()) is None


def test_everything_that_was_measured_is_listed(store: Path) -> None:
    """Each variable with a number, by its median over the finished cells of the narrowest and widest nets."""
    training = xr.open_datatree(store, engine="zarr")["training"].to_dataset()
    rows = {row.name: row for row in measured.rows(training)}
    last = training.residual_norm.isel(step=-1).values
    assert float(rows["residual_norm"].narrowest) == pytest.approx(np.median(last[0, 0, 1:, 0]), rel=1e-3)
    assert float(rows["residual_norm"].widest) == pytest.approx(np.median(last[-1]), rel=1e-3)
    assert "status" not in rows
    assert measured.rows(xr.Dataset()) == []


def test_a_remote_stores_report_lies_beside_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page and every figure, in the same bucket."""
    monkeypatch.setattr(figures, "DOTS_PER_INCH", 30)  # dots take most of a report's time
    memory = fsspec.filesystem("memory")
    memory.put(str(store), "/bucket/demo.zarr", recursive=True)
    assert beside_store.write("memory://bucket/demo.zarr") == "memory://bucket/demo-report/index.html"
    names = {path.rpartition("/")[2] for path in memory.ls("/bucket/demo-report", detail=False)}
    assert {"index.html", "all_laws.png", "weight_drift.pdf"} <= names
