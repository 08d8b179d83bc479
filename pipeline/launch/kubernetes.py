"""Kubernetes: a KubeRay RayJob with its config, as one manifest for kubectl."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

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
    _check_reachable(job, sweep.config.data.source if sweep.config.data else "", claim)
    pods = Pods(image, memory_per_node, claim, secret)
    import yaml

    content = json.loads(json.dumps(manifest(job, pods, namespace)))  # YAML then has no anchors
    text = yaml.safe_dump_all(content, sort_keys=False)
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
    """A ConfigMap with the config, and the RayJob that runs it.

    A job that fails is tried again from the blocks that are stored, and the cluster goes when the job ends.
    Ray's token is made by KubeRay, a secret of this cluster.
    """
    place = {"namespace": namespace} if namespace else {}
    labels = {"app.kubernetes.io/name": "widesweep", "app.kubernetes.io/instance": job.name}
    line = job.shell_line(PROGRAM, f"{CONFIG_FOLDER}/{job.config.name}")
    resources = job.resources
    deadline = {"activeDeadlineSeconds": resources.time_limit_s} if resources.time_limit_s else {}
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{job.name}-config", **place, "labels": labels},
            "data": {job.config.name: job.config.read_text()},
        },
        {
            "apiVersion": "ray.io/v1",
            "kind": "RayJob",
            "metadata": {"name": job.name, **place, "labels": labels},
            "spec": {
                "entrypoint": shlex.join(["sh", "-c", line]),
                "submissionMode": "K8sJobMode",
                "backoffLimit": 3,
                "shutdownAfterJobFinishes": True,
                "ttlSecondsAfterFinished": 600,
                **deadline,
                "rayClusterSpec": {
                    "rayVersion": importlib.metadata.version("ray"),
                    "authOptions": {"mode": "token"},
                    "headGroupSpec": {
                        "rayStartParams": {"num-cpus": "0"},
                        "template": _template(job, pods, "ray-head", {"cpu": "1", "memory": "4Gi"}),
                    },
                    "workerGroupSpecs": [
                        {
                            "groupName": "workers",
                            "replicas": resources.nodes,
                            "minReplicas": resources.nodes,
                            "maxReplicas": resources.nodes,
                            "rayStartParams": {},
                            "template": _template(job, pods, "ray-worker", _worker_limits(job, pods)),
                        }
                    ],
                },
            },
        },
    ]


def _worker_limits(job: Job, pods: Pods) -> dict[str, str]:
    limits = {"cpu": str(job.resources.cpus_per_node), "memory": pods.memory}
    if job.resources.gpus_per_node:
        limits["nvidia.com/gpu"] = str(job.resources.gpus_per_node)
    return limits


def _template(job: Job, pods: Pods, name: str, limits: dict[str, str]) -> dict[str, Any]:
    """A pod: not root, a health check without wget, the config, the results, shared memory."""
    mounts = {"config": CONFIG_FOLDER, "shm": "/dev/shm"}
    volumes: list[dict[str, Any]] = [
        {"name": "config", "configMap": {"name": f"{job.name}-config"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "512Mi"}},
    ]
    if pods.claim:
        mounts["results"] = RESULTS
        volumes.append({"name": "results", "persistentVolumeClaim": {"claimName": pods.claim}})
    probe = {"exec": {"command": ["python", "-c", _HEALTHY]}, "periodSeconds": 10, "timeoutSeconds": 10}
    container = {
        "name": name,
        "image": pods.image,
        "resources": {"limits": limits, "requests": limits},
        "readinessProbe": {**probe, "failureThreshold": 10},
        "livenessProbe": {**probe, "initialDelaySeconds": 60, "failureThreshold": 12},
        "volumeMounts": [{"name": key, "mountPath": path} for key, path in mounts.items()],
    }
    if pods.secret:
        container["envFrom"] = [{"secretRef": {"name": pods.secret}}]
    security = {"runAsNonRoot": True, "runAsUser": 10001, "fsGroup": 10001}
    return {"spec": {"securityContext": security, "containers": [container], "volumes": volumes}}


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
