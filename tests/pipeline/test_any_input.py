"""Any input: malformed configs, data files and stores at every command end in words, never in a traceback."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.pipeline.conftest import SMALL
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.execution.driver import run

pytestmark = pytest.mark.filterwarnings("ignore")
# ruff: noqa: E501
ODD: list[Any] = [
    None, True, False, -1, 0, 1, 2, 3, 0.5, 1.5, -0.0, 1e-300, 1e300, float("nan"), float("inf"), 2**31, 2**63,
    10**30, "", "x", "1", "1e5", "8GB", "../../etc/passwd", "/dev/null", "\x00", "ü\n\u202e", [], [1], [1, 1],
    [0], ["x"], [[1]], {}, {"a": 1}, {"": None}, "relu", "all", "s3://", "file://", "nope://x",
]  # fmt: skip
TEXTS = [
    b"", b"\x00", b"\xff\xfe", b"a: [", b"{", b"- 1", b"null", b"a: 1\na: 2", b"&a [*a]", b"? [1]: 2", b"%YAML 9",
    b"!!python/object/apply:os.system ['true']", b"grid: !!binary x", b"\t", b"name: |", b"<<: 1", b"9" * 5000,
    b"a: " + b"[" * 2000, b"x: &a [1,1]\ny: &b [*a,*a]\nz: [*b,*b]", b"2001-01-01", b"data: 0o17", b"0x: 1e999",
]  # fmt: skip
CONFIG: dict[str, Any] = {
    **SMALL,
    "network": {
        "kind": "fully_connected", "activation": "relu", "parameterization": "ntk", "weight_variance": 2.0,
        "bias_variance": 0.0, "trains": "all", "output_scale": 1.0, "centered": False,
    },
    "data": {**SMALL["data"], "seed": 0, "test_samples": 0, "labels": "random", "corrupted_fraction": 0.0},
    "training": {
        "optimizer": "gd", "steps": 5, "records": 3, "dtype": "float64", "learning_rate_unit": "relative",
        "measure": ["loss", "kernel"],
    },
    "compute": {"device": "cpu", "cpus": 2, "memory": "8GB", "flush_s": 60},
    "grid": {"width": [4], "depth": [1], "seed": 1, "learning_rate": [0.5]},
    "initialization": {"draws": 1000, "orders": [4]},
}  # fmt: skip
READERS = ("plan", "run", "theory")
SUBMITTERS = ("submit slurm --time 10", "submit kubernetes --image made:1")
STORE_COMMANDS = ("status",) * 5 + ("run", "repair", "analyze", "refine", "report")
PATHS = [(top,) for top in CONFIG] + [
    (top, key) for top, inner in CONFIG.items() if isinstance(inner, dict) for key in inner
]


class Accepted(Exception):  # noqa: N818  (no error)
    """Stands for the start of a cluster: the input was found good."""


@pytest.fixture(scope="module")
def finished_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished store, never changed."""
    from widesweep import analysis

    folder = tmp_path_factory.mktemp("any")
    (folder / "small.yaml").write_text(yaml.safe_dump({**CONFIG, "store": "small.zarr"}))
    run(sweep_config.load(folder / "small.yaml"), str(folder / "small.zarr"))
    analysis.analyze(str(folder / "small.zarr"))
    return folder / "small.zarr"


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    from widesweep.pipeline.execution import driver, ray_scheduler

    def accept(*_: Any) -> None:
        raise Accepted

    monkeypatch.setattr(ray_scheduler, "connect", accept)
    monkeypatch.setattr(driver, "LocalScheduler", accept)


odd = st.sampled_from(ODD)
settings_text = st.tuples(st.sampled_from(PATHS), odd).map(lambda pair: f"{'.'.join(pair[0])}={pair[1]}")


@st.composite
def configs(draw: st.DrawFn) -> bytes:
    """A config with up to three keys replaced, removed or added; or a text that is hardly YAML."""
    if draw(st.integers(0, 4)) == 0:
        text = yaml.safe_dump(CONFIG).encode()
        place = draw(st.integers(0, len(text)))
        return text[:place] + draw(st.sampled_from(TEXTS) | st.binary(max_size=8)) + text[place:]
    content = copy.deepcopy(CONFIG)
    for _ in range(draw(st.integers(1, 3))):
        *parents, key = draw(st.sampled_from(PATHS))
        inside: Any = content
        for parent in parents:
            inside = inside.get(parent, {}) if isinstance(inside, dict) else {}
        if not isinstance(inside, dict):
            continue
        what = draw(st.integers(0, 5))
        if what == 0:
            inside.pop(key, None)
        elif what == 1:
            inside[draw(st.sampled_from(["widht", "", "seed", "kind", "batch_size"]))] = draw(odd)
        else:
            inside[key] = draw(odd)
    return yaml.safe_dump(content, allow_unicode=True).encode()


@st.composite
def data_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """An .npz whose arrays are odd, whose bytes are, or which is something else."""
    shapes = [(), (0,), (4,), (4, 5), (5, 4), (0, 5), (4, 0), (1, 1), (2, 2, 2)]
    types = ["float64", "float32", "int8", "bool", "complex64", "U3", "M8[s]", "object"]
    arrays: dict[str, np.ndarray] = {}
    for name in draw(st.lists(st.sampled_from(["x", "y", "z"]), max_size=3, unique=True)):
        shape, kind = draw(st.sampled_from(shapes)), draw(st.sampled_from(types))
        values = np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape) + 0.5
        if kind.startswith("float") and draw(st.booleans()):
            values = values * draw(st.sampled_from([0.0, float("nan"), float("inf"), 1e300]))
        arrays[name] = values.astype("int64").astype(kind) if kind == "M8[s]" else values.astype(kind)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    content = bytearray(buffer.getvalue())
    if draw(st.booleans()) and content:
        for _ in range(draw(st.integers(1, 3))):
            content[draw(st.integers(0, len(content) - 1))] ^= draw(st.integers(1, 255))
        del content[draw(st.integers(0, len(content))) :]
    name = draw(st.sampled_from(["d.npz", "d.npz", "d.npz", "d.zarr", "d.csv", "d"]))
    return name, bytes(content)


def harm(draw: st.DrawFn, store: Path) -> None:
    """Up to two files of a store flipped, cut, removed, made a folder, or their JSON changed."""
    for _ in range(draw(st.integers(1, 2))):
        files = sorted(file for file in store.rglob("*") if file.is_file())
        metadata = [file for file in files if file.name == "zarr.json"]
        file = draw(st.sampled_from(metadata if draw(st.booleans()) else files))
        content = bytearray(file.read_bytes())
        what = draw(st.integers(0, 5))
        if what == 0:
            file.unlink()
        elif what == 1:
            del content[draw(st.integers(0, len(content))) :]
            file.write_bytes(bytes(content))
        elif what == 2:
            file.unlink()
            file.mkdir()
        elif what == 3 and content:
            content[draw(st.integers(0, len(content) - 1))] ^= draw(st.integers(1, 255))
            file.write_bytes(bytes(content))
        elif what == 4:
            shutil.rmtree(file.parent)
            if not store.exists():
                return
        else:
            words = [
                b"training",
                b"float64",
                b'"c"',
                b"1",
                b"width",
                b"config",
                b"zstd",
                b"null",
                b"{",
                b"crc32c",
            ]
            old, new = (
                draw(st.sampled_from(words)),
                draw(st.sampled_from([*words, b"-7", b'"x"', b"[]", b"9e99"])),
            )
            file.write_bytes(bytes(content).replace(old, new, 1))


def told(arguments: list[str], *, codes: tuple[int, ...]) -> None:
    """The command is accepted, or says in at most five lines what is wrong."""
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, Accepted):
        return
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"{arguments}: {result.exception!r}") from result.exception
    assert result.exit_code in codes, result.output
    if result.exit_code:
        assert 1 <= len(result.stderr.strip().splitlines()) <= 5, result.stderr
    assert "Traceback" not in result.output


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Any]:
    """What is malformed, and how."""
    kind = draw(st.sampled_from(["config"] * 5 + ["set"] + ["data"] * 3 + ["store"] * 4))
    made: Any = None
    if kind == "config":
        made = (draw(st.sampled_from([*READERS, *SUBMITTERS])), draw(configs()))
    elif kind == "set":
        made = (draw(st.sampled_from(["plan", "run"])), draw(settings_text | st.text(max_size=20)))
    elif kind == "data":
        made = (draw(st.sampled_from(READERS)), *draw(data_files()))
    return kind, made


def on_config(command: str) -> list[str]:
    """A command's arguments for the config a.yaml."""
    dry = ["--store", "s3://bucket/a.zarr", "--dry-run"]
    return [*command.split(), "a.yaml", *(dry if command in SUBMITTERS else [])]


def on_store(command: str) -> list[str]:
    """A command's arguments for the store a.zarr, whose config is a.yaml."""
    special = {
        "run": ["run", "a.yaml"],
        "repair": ["run", "a.yaml", "--repair"],
        "refine": ["refine", "a.zarr", "--budget", "1m", "--dry-run"],
        "report": ["report", "a.zarr", "--output", "page"],
    }
    return special.get(command, [command, "a.zarr"])


def one_case(data: st.DataObject, store: Path) -> None:
    """One malformed input at one command, in a folder of its own."""
    kind, made = data.draw(cases())
    with tempfile.TemporaryDirectory() as name:
        folder, before = Path(name), os.getcwd()
        os.chdir(folder)
        try:
            path = folder / "a.yaml"
            if kind == "store":
                shutil.copytree(store, folder / "a.zarr")
                harm(data.draw, folder / "a.zarr")
                path.write_text(yaml.safe_dump({**CONFIG, "store": "a.zarr"}))
                told(on_store(data.draw(st.sampled_from(STORE_COMMANDS))), codes=(0, 1, 2))
                return
            if kind == "config":
                path.write_bytes(made[1])
                told(on_config(made[0]), codes=(0, 2))
            elif kind == "set":
                path.write_text(yaml.safe_dump(CONFIG))
                told([made[0], "a.yaml", "--set", made[1]], codes=(0, 2))
            else:
                command, file, content = made
                (folder / file).write_bytes(content)
                changed = {**CONFIG, "data": {"source": file, "samples": 4}}
                path.write_text(yaml.safe_dump(changed))
                told([command, "a.yaml"], codes=(0, 2))
            assert not list(folder.rglob("zarr.json")), "a partial store"
        finally:
            os.chdir(before)


QUIET = {"deadline": None, "database": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=10, phases=[Phase.generate], **QUIET)
@given(data=st.data())
def test_ten_malformed_inputs_end_in_words(data: st.DataObject, finished_store: Path) -> None:
    """Exit 0 or 2 (1 for a damaged store) and one message: no traceback, no partial store."""
    one_case(data, finished_store)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=2000, **QUIET)
@given(data=st.data())
def test_two_thousand_malformed_inputs_end_in_words(data: st.DataObject, finished_store: Path) -> None:
    """The same at length."""
    one_case(data, finished_store)


def _shorter(text: bytes) -> bytes:
    metadata = json.loads(text)
    metadata["shape"][0] += 1
    return json.dumps(metadata).encode()


@pytest.mark.parametrize(
    "command", ["run", *(pytest.param(name, marks=pytest.mark.slow) for name in ("status", "analyze"))]
)
@pytest.mark.parametrize(
    ("node", "change"),
    [
        ("run", None),
        ("training", None),
        ("training/loss", None),
        ("training/step", None),
        ("training/loss", lambda text: b"\xfb" + text[1:]),
        ("training/loss", _shorter),
        ("training/loss", lambda text: text.replace(b'"float64"', b'"int64"')),
        ("initialization/cumulant", lambda text: text.replace(b'"order"', b'"part"')),
    ],
    ids=["no run", "no group", "no array", "no coordinate", "no text", "shape", "type", "dimension"],
)
def test_damaged_metadata_are_told_by_name(
    node: str, change: Callable[[bytes], bytes] | None, command: str, finished_store: Path, tmp_path: Path
) -> None:
    """A zarr.json deleted or altered: whoever needs it exits 2 and names the node; the others work."""
    shutil.copytree(finished_store, tmp_path / "a.zarr")
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({**CONFIG, "store": "a.zarr"}))
    file = tmp_path / "a.zarr" / node / "zarr.json"
    before = file.read_bytes()
    file.unlink() if change is None else file.write_bytes(change(before))
    assert not file.exists() or file.read_bytes() != before
    with contextlib.chdir(tmp_path):
        result = CliRunner().invoke(app, on_store(command))
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    if command == "run" or result.exit_code:
        assert result.exit_code == 2, result.output
        assert node in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
