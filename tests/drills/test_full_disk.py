"""A disk without room or inodes, or read-only: one message, nothing lost, the same bits afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.drills.test_odd_places import said
from tests.drills.test_random_stores import SWEEP
from tests.pipeline.conftest import compute_here, measured_bytes
from widesweep import analysis
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store import verify

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk"),
]
GROWN = ["--set", "grid.seed=3"]
PAGE_BYTES, ROOM = 4096, "64m"
LIMITS = [*(("size", pages) for pages in (0, 1, 8, 40, 120)), *(("inodes", n) for n in (0, 3, 30)), ("ro", 0)]
LIMIT_NAMES = [f"{kind}+{more}" for kind, more in LIMITS]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The config, a finished and analysed store, and one with a third seed, made on a calm disk."""
    folder = tmp_path_factory.mktemp("calm")
    with pytest.MonkeyPatch.context() as patch:
        compute_here(patch)
        path = folder / "small.yaml"
        path.write_text(yaml.safe_dump({**SWEEP, "store": "small.zarr"}))
        for name, settings in (("two.zarr", []), ("three.zarr", []), ("three.zarr", [GROWN[1]])):
            run(sweep_config.load(path, settings), str(folder / name))
    analysis.analyze(str(folder / "two.zarr"))
    return folder


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk of its own."""
    compute_here(monkeypatch)
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("this machine does not let root mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def limit(disk: Path, kind: str, more: int) -> None:
    """Leaves room for so many pages or inodes more; or makes the disk read-only."""
    used = os.statvfs(disk)
    options = {
        "size": f"size={max(1, used.f_blocks - used.f_bfree + more) * PAGE_BYTES}",
        "inodes": f"nr_inodes={used.f_files - used.f_ffree + more}",
        "ro": "ro",
        "free": f"rw,size={ROOM},nr_inodes=100k",
    }
    subprocess.run(["mount", "-o", f"remount,{options[kind]}", str(disk)], check=True)


def one_message(arguments: list[str], codes: tuple[int, ...]) -> int:
    code, told = said(*arguments)
    assert code in codes, (arguments, code, told)
    lines = [line for line in told.strip().splitlines() if "blocks" not in line]
    assert len(lines) <= 3, told
    return code


@pytest.mark.parametrize(("kind", "more"), LIMITS, ids=LIMIT_NAMES)
@pytest.mark.parametrize("settings", [[], GROWN], ids=["new", "grown"])
def test_a_run_on_a_full_disk_goes_on_to_the_same_bits(
    settings: list[str], kind: str, more: int, disk: Path, calm: Path
) -> None:
    """Exit 1 or 2 with one message, or 0 where it fits; with room the same command ends in the same bits."""
    url, wanted = disk / "a.zarr", calm / ("three.zarr" if settings else "two.zarr")
    if settings:
        shutil.copytree(calm / "two.zarr", url)
    limit(disk, kind, more)
    command = ["run", str(calm / "small.yaml"), "--store", str(url), *settings]
    one_message(command, (0, 1, 2))
    if url.exists():
        one_message(["status", str(url)], (0, 1))
    limit(disk, "free", 0)
    assert one_message(command, (0,)) == 0
    chunks = {k: v for k, v in measured_bytes(url).items() if "/c" in k}
    assert {k.replace(".", "/"): v for k, v in chunks.items()} == {
        k.replace(".", "/"): v for k, v in measured_bytes(wanted).items() if "/c" in k
    }
    assert not [each for each in verify.find(str(url)) if each.key.partition("/")[0] not in ("fits", "laws")]
    assert {each.name for each in disk.iterdir()} <= {"a.zarr", "a.log"}


@pytest.mark.parametrize(("kind", "more"), LIMITS, ids=LIMIT_NAMES)
def test_an_analysis_on_a_full_disk_keeps_the_older_laws(
    kind: str, more: int, disk: Path, calm: Path
) -> None:
    """Exit 0 or 1, the laws on the terminal; /fits and /laws are the older ones or the new ones, whole."""
    url = disk / "a.zarr"
    shutil.copytree(calm / "two.zarr", url)
    limit(disk, kind, more)
    code = one_message(["analyze", str(url)], (0, 1))
    assert kind == "ro" or code or more > 8
    assert verify.find(str(url)) == []
    limit(disk, "free", 0)
    assert one_message(["analyze", str(url)], (0,)) == 0
    assert verify.find(str(url)) == []
    assert {each.name for each in disk.iterdir()} <= {"a.zarr", "a.log"}


@pytest.mark.parametrize(("kind", "more"), LIMITS, ids=LIMIT_NAMES)
def test_a_report_on_a_full_disk_leaves_no_half_page(kind: str, more: int, disk: Path, calm: Path) -> None:
    """Exit 2 with one message, or a page that is whole; afterwards one is."""
    limit(disk, kind, more)
    command = ["report", str(calm / "two.zarr"), "--output", str(disk / "page")]
    one_message(command, (0, 2))
    page = disk / "page" / "index.html"
    assert not page.exists() or page.read_text().rstrip().endswith("</html>")
    limit(disk, "free", 0)
    assert one_message(command, (0,)) == 0
    assert page.read_text().rstrip().endswith("</html>")
