"""`widesweep submit ray` against a real cluster: a head with a dashboard on the loopback, and a token."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BIN = Path(sys.executable).parent
DEMO = Path(__file__).parents[2] / "configs" / "demo.yaml"
SMALL = [
    "grid.width=[8, 16, 32]",
    "grid.depth=[1]",
    "grid.seed=2",
    "training.steps=50",
    "initialization.draws=1000",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Head:
    """A running cluster: the addresses of its dashboard and head, and the environment of a user with its
    token.
    """

    address: str
    cluster: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    folder = tmp_path_factory.mktemp("ray")
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    dashboard, agent, port = free_port(), free_port(), free_port()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    environment |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TMPDIR": f"/tmp/ws-{os.getpid()}",
    }
    environment["PATH"] = f"{BIN}:{environment['PATH']}"  # a cluster's own `python` is the one with Ray
    command = [BIN / "ray", "start", "--head", "--block", "--num-cpus", "2", "--disable-usage-stats"]
    command += ["--port", str(port), "--ray-client-server-port", str(free_port())]
    command += ["--dashboard-host", "127.0.0.1", "--dashboard-port", str(dashboard)]
    command += ["--dashboard-agent-listen-port", str(agent)]
    with (folder / "head.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(f"http://127.0.0.1:{dashboard}/api/version", process)
            wait_for(f"http://127.0.0.1:{agent}/api/local_raylet_healthz", process)
            yield Head(f"http://127.0.0.1:{dashboard}", f"127.0.0.1:{port}", environment)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until a server answers, with or without our token."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"the head did not start, exit code {process.poll()}")


def submit(head: Head, store: Path, *settings: str, **environment: str) -> subprocess.CompletedProcess[str]:
    words = [word for setting in settings for word in ("--set", setting)]
    command = [
        str(BIN / "widesweep"),
        "submit",
        "ray",
        str(DEMO),
        "--address",
        head.address,
        "--store",
        str(store),
    ]
    return subprocess.run(
        [*command, *words],
        env={**head.environment, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )


def test_a_job_runs_analyses_and_reports_with_its_log_at_hand(head: Head, tmp_path: Path) -> None:
    """The code travels, the log comes back, and the exit code is 0."""
    done = submit(head, tmp_path / "a.zarr", *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "convergence_rate" in done.stdout
    assert (tmp_path / "a-report" / "index.html").is_file()
    status = subprocess.run(
        [BIN / "widesweep", "status", tmp_path / "a.zarr", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(status.stdout)["cells"] == {"done": 12, "diverged": 0, "failed": 0, "pending": 0}


def test_a_job_ends_with_the_code_of_the_run(head: Head, tmp_path: Path) -> None:
    """Another config's store is refused there with 2, and so the command ends here."""
    assert submit(head, tmp_path / "a.zarr", *SMALL).returncode == 0
    done = submit(head, tmp_path / "a.zarr", *SMALL, "grid.learning_rate=[0.25]")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "it is not the config of" in done.stdout


def test_without_the_token_the_cluster_takes_no_job(head: Head, tmp_path: Path) -> None:
    """One message, exit code 2, and nothing was started."""
    other = tmp_path / "token"
    other.write_text(secrets.token_hex(32))
    other.chmod(0o600)
    done = submit(head, tmp_path / "a.zarr", *SMALL, RAY_AUTH_TOKEN_PATH=str(other))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "token" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize("mode", ["token", "disabled"])
def test_a_wrong_token_is_refused_before_ray_starts(head: Head, mode: str, tmp_path: Path) -> None:
    """One line, exit 2, nothing written; with `ray.init` out of order, as it would ask for a minute."""
    (tmp_path / "token").write_text(secrets.token_hex(32))
    program = "import ray, sys; ray.init = None; from widesweep.pipeline.cli import main; main()"
    command = ["run", str(DEMO), "--address", head.cluster, "--store", str(tmp_path / "a.zarr")]
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        env={**head.environment, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"), "RAY_AUTH_MODE": mode},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 2, done.stderr
    assert "does not let this user in" in done.stderr
    assert ("RAY_AUTH_MODE=token" in done.stderr) == (mode == "disabled")
    assert len(done.stderr.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == [tmp_path / "token"]
