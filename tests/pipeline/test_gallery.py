"""Every published result is regenerated, and told from a control in which it does not hold."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from docs.generate import gallery_page
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.gallery import page
from widesweep.pipeline.gallery.catalogue import FOLDER, Entry, entries, named
from widesweep.pipeline.gallery.reproduction import Number, Reproduction, reproduce

NAMES = [entry.name for entry in entries()]
QUICK = "hanin-cumulants"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    entry = named(QUICK)
    return reproduce(entry, tmp_path_factory.mktemp("gallery"), entry.small)


def number(slope: float, verdict: str) -> Number:
    return Number("drift", "", "", slope, slope - 0.1, slope + 0.1, -0.5, -0.6, -0.4, verdict, "")


@pytest.mark.parametrize("entry", entries(), ids=NAMES)
def test_every_result_has_a_config_of_its_own_that_runs_in_every_variation(entry: Entry) -> None:
    """The config, each run, the small one and the control are valid; a control changes something."""
    for settings in (*entry.runs.values(), (*entry.runs[entry.control.run], *entry.control.settings)):
        for more in ((), entry.small):
            configs.load(entry.config, (*more, *settings))
    assert entry.control.settings or entry.control.claimed not in (None, entry.control.run)
    assert set(entry.control.refutes) <= {claim.law for claim in entry.claims}
    assert {claim.run for claim in entry.claims} == set(entry.runs)


def test_every_config_of_the_gallery_is_a_result() -> None:
    """No config lies there unused."""
    assert sorted(file.stem for file in FOLDER.glob("*.yaml")) == sorted(NAMES)


def test_the_page_of_the_gallery_has_the_numbers_of_every_result() -> None:
    """Each claim and each law of a control, as the catalogue has them, with the verdicts that it wants."""
    stored = json.loads(gallery_page.RESULTS.read_text(encoding="utf-8"))
    for entry in entries():
        found = stored[entry.name]
        assert [one["law"] for one in found["claims"]] == [claim.law for claim in entry.claims]
        assert [one["law"] for one in found["control"]] == list(entry.control.refutes)
        assert {one["verdict"] for one in found["control"]} <= {"inconsistent", "broken"}
        assert found["verdict"] == "reproduced"


@pytest.mark.slow
def test_a_result_is_told_from_its_control(quick: Reproduction) -> None:
    """ReLU networks' cumulants grow as published; linear networks', claimed to be theirs, do not."""
    assert quick.verdict == "reproduced"
    assert quick.control_fails
    assert all(abs(one.distance) < 2 for one in quick.numbers)
    assert all(abs(one.distance) > 2 for one in quick.control)


def test_a_control_that_holds_is_said_so() -> None:
    """A result as its own control passes for the result, which then is not as published."""
    numbers = (number(-0.5, "consistent"),)
    unable = Reproduction(named(QUICK), numbers, numbers, ())
    assert not unable.control_fails
    assert not unable.as_published
    assert "cannot tell" in unable.text()


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (("consistent", "consistent"), "reproduced"),
        (("consistent", "inconclusive"), "undecided"),
        (("inconclusive", "inconsistent"), "not reproduced"),
        (("consistent", "not applicable"), "undecided"),
        (("consistent", "holds"), "reproduced"),
        (("consistent", "broken"), "not reproduced"),
        (("consistent", "vacuous"), "undecided"),
    ],
)
def test_one_claim_that_fails_refutes_the_result(verdicts: tuple[str, str], expected: str) -> None:
    """Reproduced is only what is consistent in every claim."""
    numbers = tuple(number(-0.5, verdict) for verdict in verdicts)
    assert Reproduction(named(QUICK), numbers, (), ()).verdict == expected


def test_distances_count_from_the_nearest_slope_allowed() -> None:
    """Zero inside what is allowed, standard errors outside; an interval of 0.2 is 3.92 of them."""
    assert number(-0.45, "consistent").distance == 0.0
    assert number(-0.2, "inconsistent").distance == pytest.approx(0.2 / (0.2 / 3.92))
    assert number(-0.8, "inconsistent").distance == pytest.approx(-0.2 / (0.2 / 3.92))
    assert math.isnan(
        Number("drift", "", "", *(math.nan,) * 3, -0.5, -0.5, -0.5, "inconclusive", "").distance
    )


@pytest.mark.slow
def test_pages_show_the_numbers_and_the_control(quick: Reproduction, tmp_path: Path) -> None:
    """One page a result with its numbers, figures and config; an index with the comparison."""
    path = page.write([quick], tmp_path)
    text = path.read_text(encoding="utf-8")
    assert path.name == f"{QUICK}.html"
    for part in (quick.entry.title, quick.entry.source, quick.entry.control.reason, "inconsistent", "<svg"):
        assert part.split("'")[0] in text
    assert page.line(quick.numbers[0]).slope in text
    assert json.loads((tmp_path / f"{QUICK}.json").read_text())["control_fails"] is True
    index = page.write([quick, quick], tmp_path)
    assert index.name == "index.html"
    assert (tmp_path / "comparison.png").stat().st_size > 0


def test_the_command_lists_what_there_is_and_refuses_what_is_not(tmp_path: Path) -> None:
    """Without a name the results are listed; a wrong one gets the nearest and writes nothing."""
    listed = CliRunner().invoke(app, ["gallery", "--json"])
    assert list(json.loads(listed.stdout)) == NAMES
    refused = CliRunner().invoke(app, ["gallery", "du-neuron", "--output", str(tmp_path / "new")])
    assert refused.exit_code == 2
    assert "'du-neurons'" in refused.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.parametrize("entry", [entry for entry in entries() if entry.name != QUICK], ids=lambda e: e.name)
def test_a_small_version_reproduces_each_result_and_refutes_its_control(entry: Entry, tmp_path: Path) -> None:
    """Every claim consistent, every law of the control inconsistent."""
    found = reproduce(entry, tmp_path, entry.small)
    assert found.as_published, found.text()
