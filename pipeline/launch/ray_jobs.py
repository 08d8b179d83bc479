"""Ray Jobs: the code and the config are sent to a running cluster, and its log is shown here."""

from __future__ import annotations

import http.client
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated

import typer

import widesweep
from widesweep.pipeline.commands.arguments import Config, Settings
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.execution import cluster_address, ray_environment
from widesweep.pipeline.launch import submission
from widesweep.pipeline.launch.options import DryRun, Store
from widesweep.pipeline.launch.submission import Job, RefusedError, Resources

PROGRAM = ("python", "-m", "widesweep")
ANSWER_S = 5.0
_SUBMITTED = "submitted successfully"  # Ray says so of a job that it took; what follows is the job's own log
_ENDED = re.compile(r"exit code (\d+)")


def submit(
    config: Config,
    address: Annotated[
        str,
        typer.Option("--address", metavar="URL", help="The cluster's dashboard, such as http://head:8265."),
    ] = "http://127.0.0.1:8265",
    store: Store = None,
    settings: Settings = None,
    dry_run: DryRun = False,
) -> int:
    """Submit a sweep to a running Ray cluster, follow its log, and end with its exit code."""
    job, sweep = submission.make_job(config, settings, store, Resources())
    submission.absolute_on_cluster(job)
    data = _data_to_carry(sweep.config.data.path if sweep.config.data else "", sweep.base)
    if dry_run:
        print(shlex.join(["ray", *_arguments(job, address, "FOLDER")]))
        return 0
    _check_dashboard(address)
    ray_environment.prepare(local=False)
    with tempfile.TemporaryDirectory(prefix="widesweep-") as folder:
        stage(Path(folder), job.config, data)
        return _follow([_ray_command(), *_arguments(job, address, folder)])


def stage(folder: Path, config: Path, data: Path | None) -> None:
    """Copies what is sent to the cluster into one folder: the package, the config, and data beside it."""
    package = Path(widesweep.__file__).parent
    shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(config, folder / config.name)
    if data is not None:
        source, target = config.parent / data, folder / data
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)


def _data_to_carry(source: str, base_folder: Path) -> Path | None:
    """Path of a data source relative to the config's folder; None for a source that every machine has."""
    path = Path(source)
    if not source or path.is_absolute() or not (base_folder / path).exists():
        return None
    if ".." in path.parts:
        wanted = (
            "what travels with a job lies beside its config; otherwise give an absolute path that all share"
        )
        raise InputError("data.source", f"{source} lies elsewhere", wanted, "Nothing was submitted.")
    return path


def _arguments(job: Job, address: str, folder: str) -> list[str]:
    line = job.shell_line(PROGRAM, job.config.name)
    return ["job", "submit", "--address", address, "--working-dir", folder, "--", "sh", "-c", line]


def _ray_command() -> str:
    """Path of the command `ray` in the running environment."""
    beside = Path(sys.executable).with_name("ray")
    return str(beside) if beside.exists() else submission.program("ray", "it comes with the package ray")


def _check_dashboard(address: str) -> None:
    """Whether a dashboard answers and takes this user's token: `ray` itself would print its stack."""
    wanted = "wanted: the address of a Ray dashboard, such as http://head:8265"
    reason = "it is not http://HOST:PORT"
    if address.startswith(("http://", "https://")):
        try:
            request = urllib.request.Request(f"{address.rstrip('/')}/api/version")
            if token := ray_environment.token():
                request.add_header("Authorization", f"Bearer {token}")
            urllib.request.urlopen(request, timeout=ANSWER_S).close()
            return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (401, 403):
                raise cluster_address.refusal(address, error) from None
            reason = f"what listens there is none: HTTP {error.code}"
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", error))
    found = f"no Ray dashboard answers ({reason})"
    raise InputError(f"--address {address}", found, wanted, "Nothing was submitted.")


def _follow(command: list[str]) -> int:
    """Prints the job's log as it arrives, and returns the exit code of the run on the cluster."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as ray:
        last: list[str] = []
        taken = False
        for line in ray.stdout or ():
            taken = taken or _SUBMITTED in line
            if taken:
                print(line, end="", flush=True)
            last = [*last[-7:], line]
    if ray.returncode == 0:
        return 0
    found = _ENDED.findall("".join(last))
    if not found:
        reason = next((line.strip() for line in reversed(last) if line.strip()), "no answer")[:300]
        help_ = "--address is that of the dashboard, and this user needs the cluster's token."
        raise RefusedError(f"The cluster did not run the job: {reason}\n{help_}")
    return int(found[-1])
