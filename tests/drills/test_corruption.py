"""Every kind of file in a store cut, flipped, deleted, swapped: named and restored, or of no consequence."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from typer.testing import CliRunner

from tests.pipeline.conftest import SMALL, compute_here
from widesweep import analysis
from widesweep.pipeline.cli import app
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.errors import StorageError
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.store import checkpoints, verify
from widesweep.pipeline.store.stream import Stream

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
HARMS = ("emptied", "halved", "flipped", "deleted", "swapped")
SWEEP = {
    **SMALL,
    "grid": {"width": [8, 12], "depth": [1, 2], "seed": 2, "learning_rate": [0.5]},
    "training": {"steps": 20, "records": 6},
    "initialization": {"draws": 1000, "orders": [4]},
    "compute": {"device": "cpu", "cpus": 1, "flush_s": 1e-9},
}
PLACE = "run/block_attempts/"
HARMLESS = (f"{PLACE}claims/", f"{PLACE}checkpoints/")  # an ended run's, and what only speeds up a resume
DERIVED = ("fits/", "laws/")
NOT_COMPARED = ("run", "fits", "laws")  # in what the root gathers: times, and what a later analysis adds
TIMES = "run/"  # what blocks took, which no two runs agree on


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished store with its laws, and one that stopped in its third block."""
    folder = tmp_path_factory.mktemp("corruption")
    with pytest.MonkeyPatch.context() as patch:
        compute_here(patch)
        path = folder / "small.yaml"
        path.write_text(yaml.safe_dump({**SWEEP, "store": "small.zarr"}))
        run(sweep_config.load(path), str(folder / "finished.zarr"))
        analysis.analyze(str(folder / "finished.zarr"))
        flushes = Counter[str]()
        real = Stream.write

        def failing(self: Stream, *arrays: Any) -> None:
            real(self, *arrays)
            flushes[self.key] += 1
            if len(flushes) == 3:
                raise StorageError("small.zarr", "No space left on device")

        patch.setattr(Stream, "write", failing)
        with pytest.raises(StorageError):
            run(sweep_config.load(path), str(folder / "unfinished.zarr"))
        patch.setattr(Stream, "write", real)
        assert checkpoints.names(str(folder / "unfinished.zarr"))
        yield folder


def kind(key: str) -> str:
    """A file's kind: its place without the numbers of chunks and claims."""
    return re.sub(r"[\d.]+(?=$|/|\.json)", "#", re.sub(r"/c([/.]\d+)+$", "/c", key))


def files(store: Path) -> list[str]:
    return sorted(file.relative_to(store).as_posix() for file in store.rglob("*") if file.is_file())


def harm(store: Path, key: str, how: str, others: list[str]) -> bool:
    """Does it; False where it changes nothing."""
    file = store / key
    before = file.read_bytes()
    if how == "deleted":
        file.unlink()
        return True
    if how == "swapped":
        siblings = [o for o in others if o != key and (kind(o) == kind(key) or same_shape(store, o, key))]
        siblings = [o for o in siblings if (store / o).read_bytes() != before]
        if not siblings:
            return False
        other = store / siblings[zlib.crc32(key.encode()) % len(siblings)]
        file.write_bytes(other.read_bytes())
        other.write_bytes(before)
        return True
    content = bytearray(before)
    if how == "flipped":
        content[zlib.crc32(key.encode()) % len(content)] ^= 1 << (len(content) % 8)
    file.write_bytes({"emptied": b"", "halved": bytes(before[: len(before) // 2])}.get(how, bytes(content)))
    return file.read_bytes() != before


def same_shape(store: Path, one: str, other: str) -> bool:
    """Whether two files are chunks of arrays of one shape and type, or metadata of arrays in one group."""
    if one.endswith("zarr.json") or other.endswith("zarr.json"):
        return one.rpartition("/")[2] == other.rpartition("/")[2] and one.split("/")[0] == other.split("/")[0]
    documents = [store / key.split("/c", 1)[0] / "zarr.json" for key in (one, other)]
    if not all(each.exists() for each in documents):
        return False
    found = [json.loads(each.read_bytes()) for each in documents]
    names = ("shape", "data_type", "chunk_grid")
    return [found[0].get(n) for n in names] == [found[1].get(n) for n in names] and "shape" in found[0]


def numbers(store: Path) -> dict[str, Any]:
    """All that a reader of Zarr sees, but for times."""
    tree = xr.open_datatree(store, engine="zarr")
    found: dict[str, Any] = {"": dict(tree.attrs)}
    for group in tree.children:
        if group == "run":
            continue
        dataset = tree[group].to_dataset()
        found[group] = dict(dataset.attrs)
        for name, array in dataset.variables.items():
            found[f"{group}/{name}"] = (array.dims, dict(array.attrs), np.asarray(array.values).tobytes())
    return found


def bits(store: Path) -> dict[str, bytes]:
    """All files of ours but those of runs."""
    return {key: (store / key).read_bytes() for key in files(store) if not key.startswith(TIMES)}


def differ(found: dict[str, bytes], wanted: dict[str, bytes]) -> list[str]:
    """Keys whose bytes differ; of metadata whose meaning does, as times of runs are in the root's copy."""
    return [
        key for key in sorted(found.keys() | wanted.keys()) if _meaning(key, found) != _meaning(key, wanted)
    ]


def _meaning(key: str, store: dict[str, bytes]) -> Any:
    content = store.get(key)
    if content is None or not key.endswith("zarr.json"):
        return content
    document = json.loads(content)
    gathered = document.pop("consolidated_metadata", None) or {}
    members = gathered.get("metadata", {}) if key == "zarr.json" else {}
    members = {path: each for path, each in members.items() if path.partition("/")[0] not in NOT_COMPARED}
    return document, {path: {**each, "consolidated_metadata": None} for path, each in members.items()}


def said(*arguments: str) -> tuple[int, str]:
    """Exit code and words of a command; no traceback, no warning."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"{arguments}: {result.exception!r}") from result.exception
    return result.exit_code, result.output


def one_case(folder: Path, name: str, key: str, how: str, wanted: dict[str, bytes]) -> str:
    """What became of one harm: `found`, `harmless`, `nothing`, or what went wrong."""
    store = folder / "case.zarr"
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(folder / name, store)
    if not harm(store, key, how, files(store)):
        return "nothing"
    try:
        damages = verify.find(str(store))
        code, words = said("status", str(store), "--verify")
        if damages and not code:
            return f"wrong: status --verify exits {code}: {words}"
        if (
            not key.startswith(DERIVED) and name == "finished.zarr"
        ):  # `analyze` writes the derived groups anew
            said("analyze", str(store))
        fixed, words = said("run", str(folder / "small.yaml"), "--store", str(store), "--repair")
        if fixed:
            return f"wrong: repair exits {fixed}: {words}"
        if left := verify.find(str(store)):
            return f"wrong: after the repair {left}"
        if other := differ(bits(store), wanted):
            return f"wrong: after the repair other bits in {other[:3]}"
    except Exception as error:
        return f"wrong: {error!r}"
    return "found" if damages or code else "harmless"


def role(key: str) -> str:
    """What a file is for: one of each is repaired."""
    group, _, name = key.partition("/")
    if key in ("zarr.json", f"{group}/zarr.json") or group == "run":
        return kind(key)
    array, _, rest = name.partition("/")
    what = "array" if group in ("training", "initialization", "parts", "failures") else group
    if array in ("width", "depth", "seed", "learning_rate", "step", "layer", "order", "sample"):
        what = "coordinate"
    if array in ("status", "learning_rate_absolute", "law"):
        what = array
    return f"{what} {rest.partition('/')[0]}"


@pytest.mark.parametrize("name", ["finished.zarr", "unfinished.zarr"])
def test_harm_to_any_file_is_named_or_changes_nothing_that_is_read(
    name: str, stores: Path, tmp_path: Path
) -> None:
    """Every file, five harms each: `status --verify` names it, or all that Zarr reads is as it was."""
    store, seen = tmp_path / name, numbers(stores / name)
    shutil.copytree(stores / name, store)
    every = files(store)
    counted, wrong = Counter[str](), list[str]()
    for key in every:
        for how in HARMS:
            before = {each: (store / each).read_bytes() for each in every}
            if not harm(store, key, how, every):
                continue
            damages = verify.find(str(store))
            again = (
                name == "unfinished.zarr" and "/status/c" in key and how == "deleted"
            )  # pending: a run's work
            same = bool(damages) or again or key.startswith(HARMLESS) or numbers(store) == seen
            counted["found" if damages else "harmless" if same else "wrong"] += 1
            if not damages:
                print("harmless" if same else "WRONG", key, how)
            wrong += [] if same else [f"{key} {how}"]
            for each, content in before.items():
                if not (store / each).exists() or (store / each).read_bytes() != content:
                    (store / each).write_bytes(content)
    print(name, len(every), "files", dict(counted))
    assert not verify.find(str(store))
    assert not wrong
    assert counted["found"] > 4 * len(every) * 0.8


@pytest.mark.parametrize("name", ["finished.zarr", "unfinished.zarr"])
def test_each_kind_of_file_is_restored_to_the_same_bits(
    name: str, stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file of each kind, five harms each: whatever was found, `run --repair` ends in the same store."""
    compute_here(monkeypatch)
    calm = shutil.copytree(stores / name, tmp_path / "calm.zarr")
    assert said("run", str(stores / "small.yaml"), "--store", str(calm))[0] == 0
    wanted = bits(calm)
    kinds = {role(key): key for key in files(stores / name)}
    results = {
        (key, how): one_case(stores, name, key, how, wanted) for key in kinds.values() for how in HARMS
    }
    print(name, len(kinds), "kinds", dict(Counter(result.partition(":")[0] for result in results.values())))
    wrong = {case: result for case, result in results.items() if result.startswith("wrong")}
    assert not wrong, "\n".join(f"{case}: {result}" for case, result in wrong.items())
