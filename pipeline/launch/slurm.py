"""Slurm: a batch script that starts Ray on its nodes, runs the sweep to its end, and analyses it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from widesweep.pipeline.commands.arguments import Config, Settings
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.launch import submission
from widesweep.pipeline.launch.options import DryRun, Gpus, Nodes, Store, Time
from widesweep.pipeline.launch.submission import Job, Resources

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
    store: Store = None,
    settings: Settings = None,
    dry_run: DryRun = False,
) -> None:
    """Submit a sweep to Slurm; the job requeues itself at its time limit until the sweep is finished."""
    job, _ = submission.make_job(
        config, settings, store, Resources(nodes, gpus_per_node, cpus_per_node, time)
    )
    script = batch_script(job, partition, account)
    if dry_run:
        print(script, end="")
        return
    sbatch = submission.program("sbatch", "it comes with Slurm; submit from a machine of the cluster")
    Path(log_path(job)).parent.mkdir(parents=True, exist_ok=True)  # Slurm itself makes no folder for a log
    number = submission.hand_over([sbatch, "--parsable"], script).partition(";")[0]
    print(f"job {number}\n  log     {log_path(job).replace('%j', number)}\n  store   {job.store}")
    print(f"  follow  widesweep status {shlex.quote(job.store)} --watch")


def batch_script(job: Job, partition: str | None = None, account: str | None = None) -> str:
    """The script that sbatch takes; it needs this folder and this environment on every node.

    Raises:
        InputError: a text would end the comment in which Slurm reads it, and be run.
    """
    for where, text in (("--partition", partition), ("--account", account), ("--store", log_path(job))):
        if text is not None and not text.isprintable():
            raise InputError(where, f"{text!r} has line breaks or control characters", WANTED, UNSENT)
    limit_s = job.resources.time_limit_s
    return submission.rendered(
        "slurm.sh.j2",
        job=job,
        resources=job.resources,
        partition=partition,
        account=account,
        log=log_path(job),
        log_prefix=log_path(job).removesuffix("%j.log"),
        idle_starts=IDLE_STARTS,
        grace_s=min(GRACE_S, limit_s // 4) if limit_s else None,
        directory=str(Path.cwd()),
        path=str(Path(sys.executable).parent),
        command=job.commands(["widesweep"], str(job.config)),
    )


def log_path(job: Job) -> str:
    """The log lies beside a local store, and in the working folder for a remote one; %j is the job."""
    if "://" in job.store:
        return str(Path.cwd() / f"{job.name}-slurm-%j.log")
    store = Path(job.store).absolute()
    return str(store.with_name(f"{store.stem}-slurm-%j.log"))
