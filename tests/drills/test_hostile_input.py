"""Configs and data made to harm: one message, within 5 s of a core and 1 GiB, nothing run or written."""

from __future__ import annotations

import io
import os
import pickle
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from tests.drills.test_random_stores import SWEEP
from widesweep.pipeline.cli import app

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
CORE_S, MEMORY_BYTES = 5, 2**30
STRANGE = 70  # an exit code that no command has
MARK = "unpickled"


class Bomb:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (MARK,)


def npy(shape: str, kind: str = "<f8", body: bytes = b"", version: int = 1) -> bytes:
    """A file of NumPy whose header says anything."""
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(header)) + header + body


def npz(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def good(rows: int = 4) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.random.default_rng(0).standard_normal((rows, 3)))
    return buffer.getvalue()


def zeros(count: int) -> bytes:
    """An archive whose x unpacks to so many bytes."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w", force_zip64=True) as file,
    ):
        file.write(npy(f"({count // 24}, 3)"))
        for _ in range(count // 2**24):
            file.write(bytes(2**24))
    return buffer.getvalue()


pickled = pickle.dumps(Bomb())
DATA: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"x,y\n1,2\n",
    "zeros": lambda: bytes(1000),
    "pickle": lambda: pickled,
    "pickled array": lambda: npz(x=npy("(1,)", "|O", pickled), y=good()),
    "pickled y": lambda: npz(x=good(), y=npy("(4,)", "|O", pickled)),
    "2^31 rows": lambda: npz(x=npy(f"({2**31}, 3)")),
    "2^31 columns": lambda: npz(x=npy(f"(4, {2**31})")),
    "2^62 rows": lambda: npz(x=npy(f"({2**62}, 3)")),
    "10^30 rows": lambda: npz(x=npy(f"({10**30}, 3)")),
    "negative rows": lambda: npz(x=npy("(-4, 3)")),
    "1000 axes": lambda: npz(x=npy(f"({'1, ' * 1000})")),
    "code as shape": lambda: npz(x=npy(f"(__import__('os').mkdir('{MARK}'), 3)")),
    "deep header": lambda: npz(x=npy("(" * 5000 + ")" * 5000)),
    "names of dtype": lambda: npz(x=npy("(4,)", "V999999999")),
    "void": lambda: npz(x=npy("(4, 3)", "V8", bytes(96))),
    "version 9": lambda: npz(x=npy("(4, 3)", version=9)),
    "no x": lambda: npz(y=good()),
    "bomb of 4 GiB": lambda: zeros(4 * 2**30),
    "nan": lambda: npz(x=npy("(4, 3)", body=np.full(12, np.nan).tobytes())),
    "inf": lambda: npz(x=npy("(4, 3)", body=np.full(12, np.inf).tobytes())),
    "huge": lambda: npz(x=npy("(4, 3)", body=np.full(12, 1e308).tobytes())),
    "one row, often": lambda: npz(x=npy("(4, 3)", body=np.ones(12).tobytes())),
    "complex": lambda: npz(x=npy("(4, 3)", "<c16", np.ones(12, complex).tobytes())),
    "dates": lambda: npz(x=npy("(4, 3)", "<M8[s]", bytes(96))),
    "names that climb": lambda: npz(**{"../../climbed": good(), "x": good(2), "y": good(3)}),
    "half an archive": lambda: npz(x=good())[:100],
    "y of other length": lambda: npz(x=good(), y=npy("(3,)", body=bytes(24))),
}  # fmt: skip
ALIASES = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
CONFIGS: dict[str, Callable[[], bytes]] = {
    "aliases": lambda: ALIASES.encode(),
    "aliases in the grid": lambda: (ALIASES + "grid: {width: *i, depth: *i}\n").encode(),
    "circle": lambda: b"name: &a [*a]\n",
    "100 MB": lambda: b"name: " + b"x" * 100_000_000,
    "100 MB of lines": lambda: b"a: 1\n" * 20_000_000,
    "deep": lambda: b"a: " + b"[" * 100_000,
    "deep braces": lambda: b"{a: " * 100_000,
    "NUL": lambda: b"name: a\0b\n",
    "UTF-16": lambda: yaml.safe_dump(SWEEP).encode("utf-16"),
    "UTF-32": lambda: yaml.safe_dump(SWEEP).encode("utf-32"),
    "latin": lambda: "name: Größe\n".encode("latin-1"),
    "python tag": lambda: f"name: !!python/object/apply:os.mkdir ['{MARK}']\n".encode(),
    "number": lambda: b"9" * 100_000,
    "exponent": lambda: b"grid: {width: 1e999999999}\n",
    "merge": lambda: b"<<: [{a: 1}, 2]\n",
    "two documents": lambda: b"name: a\n---\nname: b\n",
    "tabs": lambda: b"\tname: a\n",
    "tags": lambda: b"!<tag:x> {name: !binary aGk=}\n",
}
CHANGES: dict[str, dict[str, object]] = {
    "name that climbs": {"name": "../../climbed"},
    "absolute name": {"name": "/climbed"},
    "long name": {"name": "n" * 5000},
    "name with NUL": {"name": "a\0b"},
    "billion seeds": {"grid": {"width": [4], "depth": [1], "seed": 10**9, "learning_rate": [0.5]}},
    "deepest": {"grid": {"width": [4], "depth": [2**55], "seed": 1, "learning_rate": [0.5]}},
    "widest": {"grid": {"width": [2**62], "depth": [1], "seed": 1, "learning_rate": [0.5]}},
    "longest": {"training": {"steps": 10**18, "records": 10**9}},
    "most samples": {"data": {"source": "sphere", "samples": 10**9, "inputs": 10**9}},
    "most draws": {"initialization": {"draws": 10**18, "orders": [4]}},
    "code": {"network": {"kind": "module", "factory": "os:system"}},
    "own activation": {"network": {"kind": "fully_connected", "activation": "os:abort"}},
}
PLACES: dict[str, Callable[[Path], str]] = {
    "device": lambda _: "/dev/zero",
    "null": lambda _: "/dev/null",
    "folder": lambda folder: str(folder),
    "fifo": lambda folder: os.mkfifo(folder / "fifo.npz") or str(folder / "fifo.npz"),  # type: ignore[func-returns-value]
    "circle": lambda folder: (folder / "c.npz").symlink_to(folder / "c.npz") or str(folder / "c.npz"),  # type: ignore[func-returns-value]
    "memory": lambda _: "/proc/self/mem",
}


def in_a_child(arguments: list[str]) -> tuple[int, str]:
    """The command in a process of its own, with 5 s of a core and 1 GiB more than it began with."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code, told = STRANGE, ""
        try:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            memory = pages * resource.getpagesize() + MEMORY_BYTES
            used_s = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])) + 1 + CORE_S
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            resource.setrlimit(resource.RLIMIT_CPU, (used_s, used_s))
            result = CliRunner().invoke(app, arguments)
            known = result.exception is None or isinstance(result.exception, SystemExit)
            code, told = (result.exit_code, result.stderr) if known else (STRANGE, repr(result.exception))
        finally:
            os.write(writer, told.encode(errors="replace")[:4000])
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), told


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder some floors down, so that what climbs is seen."""
    place = tmp_path / "a" / "b" / "c"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    return place


def refused(arguments: list[str], folder: Path) -> None:
    top = folder.parents[2]
    before = sorted(map(str, top.rglob("*")))
    code, told = in_a_child(arguments)
    assert code in (0, 2), (code, told)
    assert code == 0 or 1 <= len(told.strip().splitlines()) <= 5, told
    assert "Traceback" not in told
    assert sorted(map(str, top.rglob("*"))) == before


def config(folder: Path, **changes: object) -> str:
    path = folder / "a.yaml"
    path.write_text(yaml.safe_dump({**SWEEP, **changes}))
    return str(path)


@pytest.mark.parametrize("name", DATA)
def test_a_data_file_that_means_harm_is_refused(name: str, folder: Path) -> None:
    """Exit 2 (0 for one that is merely odd) and one message; nothing is unpickled, nothing climbs."""
    (folder / "d.npz").write_bytes(DATA[name]())
    refused(["plan", config(folder, data={"source": str(folder / "d.npz"), "samples": 4})], folder)


@pytest.mark.parametrize("name", PLACES)
def test_a_source_that_is_no_file_is_refused(name: str, folder: Path) -> None:
    """As data, and as the config itself but for a pipe, for which whoever names it waits."""
    place = PLACES[name](folder)
    refused(["plan", config(folder, data={"source": place, "samples": 4})], folder)
    if name != "fifo":
        refused(["plan", place], folder)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_text_that_means_harm_is_refused(name: str, folder: Path) -> None:
    """Exit 2 and one message."""
    (folder / "a.yaml").write_bytes(CONFIGS[name]())
    refused(["plan", str(folder / "a.yaml")], folder)


@pytest.mark.parametrize("name", CHANGES)
def test_a_value_that_means_harm_is_refused(name: str, folder: Path) -> None:
    """By `plan` and by `theory`, which compute from it; nothing is written anywhere."""
    path = config(folder, **CHANGES[name])
    for command in ("plan", "theory"):
        refused([command, path], folder)
