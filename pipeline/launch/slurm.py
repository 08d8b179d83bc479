"""Slurm: a batch script that starts Ray on its nodes, runs the sweep to its end, and analyses it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from widesweep.pipeline.commands.arguments import Config, Settings
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.launch import submission
from widesweep.pipeline.launch.options import DryRun, Gpus, Nodes, Store, Time
from widesweep.pipeline.launch.submission import Job, Resources

_DIRECTIVE = re.compile(r"--(?P<name>[a-z][a-z0-9-]*)(?:=(?P<value>.+))?")
GRACE_S = 120  # before the time limit the driver is told to stop; it needs seconds
WANTED, UNSENT = "what Slurm reads is one line of text", "Nothing was submitted."
IDLE_STARTS = 5  # starts in a row that finish no block before a job gives up


def submit(
    config: Config,
    nodes: Nodes = 1,
    gpus_per_node: Gpus = 0,
    cpus_per_node: Annotated[
        int | None, typer.Option("--cpus-per-node", min=1, help="Cores of each; default: whole machines.")
    ] = None,
    time: Time = None,
    partition: Annotated[str | None, typer.Option("--partition", help="Slurm's partition.")] = None,
    account: Annotated[str | None, typer.Option("--account", help="Slurm's account.")] = None,
    mem: Annotated[
        str | None, typer.Option("--mem", metavar="SIZE", help="Memory of each node, such as 64G.")
    ] = None,
    qos: Annotated[str | None, typer.Option("--qos", help="Slurm's quality of service.")] = None,
    constraint: Annotated[
        str | None, typer.Option("--constraint", help="Features that nodes must have.")
    ] = None,
    gres: Annotated[str | None, typer.Option("--gres", help="Generic resources, such as gpu:a100:4.")] = None,
    sbatch: Annotated[
        list[str] | None,
        typer.Option("--sbatch", metavar="TEXT", help="A further directive: --NAME or --NAME=VALUE."),
    ] = None,
    prolog: Annotated[
        Path | None,
        typer.Option(
            "--prolog", metavar="FILE", help="Shell lines to run first, such as `module load cuda`."
        ),
    ] = None,
    store: Store = None,
    settings: Settings = None,
    dry_run: DryRun = False,
) -> None:
    """Submit a sweep to Slurm; the job requeues itself until the sweep is finished.

    It does so at its time limit, when it is preempted, and when its first node or Ray is lost.
    """
    job, _ = submission.make_job(
        config, settings, store, Resources(nodes, gpus_per_node, cpus_per_node, time)
    )
    wanted = {
        "partition": partition, "account": account, "mem": mem, "qos": qos, "constraint": constraint,
        "gres": gres,
    }  # fmt: skip
    directives = {name: value for name, value in wanted.items() if value is not None}
    script = batch_script(job, directives, sbatch or (), _prolog(prolog))
    if dry_run:
        print(script, end="")
        return
    program = submission.program("sbatch", "it comes with Slurm; submit from a machine of the cluster")
    Path(log_path(job)).parent.mkdir(parents=True, exist_ok=True)  # Slurm itself makes no folder for a log
    number = submission.hand_over([program, "--parsable"], script).partition(";")[0]
    print(f"job {number}\n  log     {log_path(job).replace('%j', number)}\n  store   {job.store}")
    print(f"  follow  widesweep status {shlex.quote(job.store)} --watch")


def batch_script(job: Job, directives: Mapping[str, str], further: Sequence[str], prolog: str = "") -> str:
    """The script that sbatch takes; it needs this folder and this environment on every node.

    Args:
        job: what to run.
        directives: Slurm's options by name, with their values.
        further: more of them, as `--NAME` or `--NAME=VALUE`; what they say counts.
        prolog: shell lines to run first.

    Raises:
        InputError: a text would end the comment in which Slurm reads it, and be run.
    """
    lines = {f"--{name}": value for name, value in directives.items()}
    for where, text in (
        *lines.items(),
        *(("--sbatch", each) for each in further),
        ("--store", log_path(job)),
    ):
        if not text.isprintable() or not text:
            raise InputError(where, f"{text!r} is empty or has control characters", WANTED, UNSENT)
    limit_s = job.resources.time_limit_s
    return submission.rendered(
        "slurm.sh.j2",
        job=job,
        resources=job.resources,
        directives=directives,
        further=[_directive(each) for each in further],
        prolog=prolog,
        log=log_path(job),
        log_prefix=log_path(job).removesuffix("%j.log"),
        idle_starts=IDLE_STARTS,
        grace_s=min(GRACE_S, limit_s // 4) if limit_s else GRACE_S,
        directory=str(Path.cwd()),
        path=str(Path(sys.executable).parent),
        command=job.commands(["widesweep"], str(job.config)),
    )


def _directive(text: str) -> str:
    """`--NAME=VALUE` with its value as Slurm reads it.

    >>> _directive("--comment=two words"), _directive("--spread-job")
    ("--comment='two words'", '--spread-job')
    """
    match = _DIRECTIVE.fullmatch(text)
    if match is None:
        wanted = "a directive is --NAME or --NAME=VALUE, such as --reservation=maintenance"
        raise InputError("--sbatch", f"{text!r} is none", wanted, UNSENT)
    return f"--{match['name']}" + (f"={shlex.quote(match['value'])}" if match["value"] is not None else "")


def _prolog(path: Path | None) -> str:
    """The lines of a prolog, which bash can read to their end."""
    if path is None:
        return ""
    wanted = "a prolog is a text file with shell lines, such as `module load cuda`"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"--prolog {path}", str(error), wanted, UNSENT) from None
    bash = submission.program("bash", "a batch script needs it")
    read = subprocess.run([bash, "-n"], input=text, text=True, capture_output=True, check=False)
    if "\0" in text or read.returncode or read.stderr:
        found = " ".join(read.stderr.split())[:200] or "it holds NUL characters"
        raise InputError(f"--prolog {path}", f"bash cannot read it ({found})", wanted, UNSENT)
    return text.rstrip("\n")


def log_path(job: Job) -> str:
    """The log lies beside a local store, and in the working folder for a remote one; %j is the job."""
    if "://" in job.store:
        return str(Path.cwd() / f"{job.name}-slurm-%j.log")
    store = Path(job.store).absolute()
    return str(store.with_name(f"{store.stem}-slurm-%j.log"))
