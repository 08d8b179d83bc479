"""Kubernetes: a KubeRay RayJob with its config, as one manifest for kubectl."""

from __future__ import annotations

import importlib.metadata
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from widesweep.pipeline.commands.arguments import Config, Settings
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.launch import submission
from widesweep.pipeline.launch.options import DryRun, Gpus, Nodes, Store, Time
from widesweep.pipeline.launch.submission import Job, Resources

RESULTS = "/results"
CONFIG_FOLDER = "/config"
PROGRAM = ("widesweep",)
_HEALTHY = (
    "import urllib.request as u; u.urlopen('http://127.0.0.1:52365/api/local_raylet_healthz', timeout=5)"
)


def submit(
    config: Config,
    image: Annotated[str, typer.Option("--image", help="The image, where the cluster pulls it.")],
    nodes: Nodes = 1,
    gpus_per_node: Gpus = 0,
    cpus_per_node: Annotated[int, typer.Option("--cpus-per-node", min=1, help="Cores of each worker.")] = 4,
    memory_per_node: Annotated[
        str, typer.Option("--memory-per-node", metavar="SIZE", help="Memory of each worker.")
    ] = "8Gi",
    time: Time = None,
    claim: Annotated[
        str | None, typer.Option("--claim", help=f"A shared volume claim to mount at {RESULTS}.")
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option("--secret", help="A secret whose keys become variables: an object store's keys."),
    ] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", help="Default: kubectl's own.")] = None,
    store: Store = None,
    settings: Settings = None,
    dry_run: DryRun = False,
) -> None:
    """Submit a sweep to KubeRay (1.5 or later) on Kubernetes."""
    resources = Resources(nodes, gpus_per_node, cpus_per_node, time)
    job, sweep = submission.make_job(config, settings, store, resources)
    _check_reachable(job, sweep.config.data.path if sweep.config.data else "", claim)
    pods = Pods(image, memory_per_node, claim, secret)
    text = yaml.safe_dump_all(manifest(job, pods, namespace), sort_keys=False)
    if dry_run:
        print(text, end="")
        return
    kubectl = submission.program("kubectl", "it comes with Kubernetes")
    print(submission.hand_over([kubectl, "apply", "-f", "-"], text))
    print(f"  store   {job.store}\n  follow  kubectl get rayjob {job.name} --watch")
    print(f"  log     kubectl logs --follow job/{job.name}")


@dataclass(frozen=True)
class Pods:
    """What every pod of a job shares.

    Attributes:
        image: with widesweep and Ray in it.
        memory: of each worker, as Kubernetes writes it.
        claim: a volume claim that all pods can write, mounted at `/results`.
        secret: a secret whose keys become environment variables.
    """

    image: str
    memory: str
    claim: str | None = None
    secret: str | None = None


def manifest(job: Job, pods: Pods, namespace: str | None = None) -> list[dict[str, Any]]:
    """A ConfigMap with the config, and the RayJob that runs it, as `kubernetes.yaml.j2` has them."""
    limits = {"cpu": str(job.resources.cpus_per_node), "memory": pods.memory}
    if job.resources.gpus_per_node:
        limits["nvidia.com/gpu"] = str(job.resources.gpus_per_node)
    text = submission.rendered(
        "kubernetes.yaml.j2",
        job=job,
        pods=pods,
        namespace=namespace,
        worker_limits=limits,
        entrypoint=shlex.join(["sh", "-c", job.shell_line(PROGRAM, f"{CONFIG_FOLDER}/{job.config.name}")]),
        ray_version=importlib.metadata.version("ray"),
        healthy=_HEALTHY,
        config_folder=CONFIG_FOLDER,
        results=RESULTS,
    )
    return list(yaml.safe_load_all(text))


def _check_reachable(job: Job, source: str, claim: str | None) -> None:
    """Every pod must see its data: in the image, in the volume claim, or at a URL."""
    submission.absolute_on_cluster(job)
    if "://" not in job.store and not (claim and job.store.startswith(f"{RESULTS}/")):
        wanted = f"pods share what lies in a --claim, under {RESULTS}/, or behind an address such as s3://…"
        raise InputError(
            "--store", f"{job.store} would be lost with its pod", wanted, "Nothing was submitted."
        )
    if source and not Path(source).is_absolute() and (job.config.parent / source).exists():
        wanted = (
            f"a data file lies in the --claim or the image, under an absolute path such as {RESULTS}/data.npz"
        )
        raise InputError(f"{job.config}, data.source", f"{source} is on this machine only", wanted)
