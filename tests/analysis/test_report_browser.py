"""The report in a browser: points answer, series hide, nothing hostile runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.analysis.chromium import Browser, binary
from tests.analysis.synthetic import SyntheticSweep, write
from widesweep.analysis.report import figures
from widesweep.analysis.report.page import write as write_report

HOSTILE = (
    "</script></title><script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"
)
SWEEP = SyntheticSweep(seeds=3, modes=3, records=24, layers=False, initialization=False, name=HOSTILE)
LAW = "document.querySelector('section[data-law=weight_drift]')"
MARKS = f"{LAW}.querySelectorAll('[id=weight_drift-series-0] use')"
SHOWN = f"[...{LAW}.querySelectorAll('[id*=-series-] use')].filter((e) => e.style.display !== 'none').length"

pytestmark = pytest.mark.skipif(binary() is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report without its PNG and PDF files, which take most of the time."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "save", lambda *_: None)
        return write_report(write(folder / "demo.zarr", SWEEP))


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[Browser]:
    """The page, opened, with the law in sight."""
    program = binary()
    assert program is not None
    with Browser(program, page.parent / "profile") as browser:
        browser.open(page)
        browser.value(f"{LAW}.scrollIntoView()")
        yield browser


def press(browser: Browser, group: str, value: str) -> None:
    """Press the button with that text in the group of that name."""
    buttons = f"[...{LAW}.querySelectorAll('[aria-label=\"show {group}\"] button')]"
    browser.value(f"{buttons}.find((b) => b.textContent === '{value}').click()")


def test_the_page_opens_without_a_complaint(browser: Browser) -> None:
    """No error and no warning on the console; the hostile name is a title, not a script."""
    assert browser.complaints == []
    assert browser.value("document.title") == f"{HOSTILE}: laws of a sweep"
    assert browser.value("document.querySelector('h1').textContent") == HOSTILE


def test_a_script_that_got_in_would_not_run(browser: Browser) -> None:
    """Negative control: the policy stops an element that is not our script, and says so."""
    script = "Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'})"
    browser.value(f"document.body.append({script})")
    assert browser.value("window.ran") is None
    assert any("Content Security Policy" in text for text in browser.complaints)
    browser.complaints.clear()


def test_the_pointer_on_a_point_shows_its_cells(browser: Browser) -> None:
    """The third point of the first series is width 256 at depth 1, a mean over three seeds."""
    box = f"(() => {{ const b = {MARKS}[2].getBoundingClientRect(); return [b.x + 1, b.y + 1] }})()"
    browser.point_at(*browser.value(box))
    text = browser.value(f"{LAW}.querySelector('.tip').innerText.replace(/\\s+/g, ' ')")
    assert text.startswith("width 256 depth 1 η 0.5 seeds 3 y ")
    assert " 95 % interval " in text
    assert browser.value(f"{LAW}.querySelector('.ring').getAttribute('cx') === {MARKS}[2].getAttribute('x')")
    browser.point_at(1, 1)
    assert browser.value(f"{LAW}.querySelector('.tip').hidden") is True


def test_arrow_keys_walk_through_the_points(browser: Browser) -> None:
    """One press goes to the first point, the next to the second, Escape to none."""
    browser.value(f"{LAW}.querySelector('svg').focus()")
    for width in ("64", "128"):
        browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")
        assert browser.value(f"{LAW}.querySelector('.tip b').textContent") == width
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="Escape")
    assert browser.value(f"{LAW}.querySelector('.tip').hidden") is True


def test_a_button_hides_the_points_of_its_value(browser: Browser) -> None:
    """Sixteen points; without depth 2 eight, without width 64 too six; their bars, rows and fit go along."""
    assert browser.value(SHOWN) == 16
    press(browser, "depth", "2")
    assert browser.value(SHOWN) == 8
    assert browser.value(f"{LAW}.querySelector('#weight_drift-fit-2').style.display") == "none"
    assert browser.value(f"{LAW}.querySelector('#weight_drift-fit-1').style.display") == ""
    press(browser, "width", "64")
    assert browser.value(SHOWN) == 6
    assert browser.value(f"{LAW}.querySelectorAll('tr[data-series]:not([hidden])').length") == 6
    bars = f"[...{LAW}.querySelectorAll('[id*=-bars-] path')].filter((e) => e.style.display === '').length"
    assert browser.value(bars) == 6
    press(browser, "depth", "2")
    press(browser, "width", "64")
    assert browser.value(SHOWN) == 16
    assert browser.complaints == []


def test_what_is_hidden_stays_hidden_when_the_page_loads_anew(browser: Browser, page: Path) -> None:
    """As a watched report does every few seconds: points and button are as they were left."""
    press(browser, "depth", "2")
    browser.open(page)
    assert browser.value(SHOWN) == 8
    pressed = f"[...{LAW}.querySelectorAll('[aria-label=\"show depth\"] button')].map((b) => b.ariaPressed)"
    assert browser.value(pressed) == ["true", "false"]
    press(browser, "depth", "2")
    browser.open(page)
    assert browser.value(SHOWN) == 16
    browser.value(f"{LAW}.scrollIntoView()")
    assert browser.complaints == []


@pytest.mark.parametrize(("scheme", "colour"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(29, 32, 35)")])
def test_figures_follow_the_theme(browser: Browser, scheme: str, colour: str) -> None:
    """The figure's ground is that of the page, light and dark."""
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    ground = f"getComputedStyle({LAW}.querySelector('#weight_drift-patch_1 path')).fill"
    assert browser.value(ground) == colour


def test_the_page_reads_without_scripts(browser: Browser, page: Path) -> None:
    """Scripts switched off: figures and lists of points are there, buttons are not."""
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(page)
    assert browser.value("document.querySelectorAll('.law svg path').length") > 100
    assert browser.value("document.querySelectorAll('.points tr').length") > 20
    assert browser.value("document.querySelectorAll('button').length") == 0
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    browser.open(page)
    assert browser.value("document.querySelectorAll('button').length") > 4
