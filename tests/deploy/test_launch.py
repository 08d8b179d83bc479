"""`widesweep submit`: what each launcher would hand over, and how it answers what is wrong."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner, Result

from widesweep.pipeline.cli import app
from widesweep.pipeline.errors import InputError
from widesweep.pipeline.launch import LAUNCHERS
from widesweep.pipeline.launch.kubernetes import Pods, manifest
from widesweep.pipeline.launch.ray_jobs import stage
from widesweep.pipeline.launch.submission import Job, Resources

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "configs" / "demo.yaml"
SCHEMA = Path(__file__).with_name("rayjob.schema.json")


def submit(*words: str) -> Result:
    return CliRunner().invoke(app, ["submit", *words])


def directives(script: str) -> dict[str, str]:
    """The #SBATCH lines of a batch script."""
    lines = [line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH --")]
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def job(**changes: Any) -> Job:
    values = {"name": "demo", "config": DEMO, "settings": (), "store": "/results/demo.zarr"}
    return Job(**{**values, "resources": Resources(2, 1, 4, "1:00:00"), **changes})


# --- the shared model


def test_a_dry_run_of_every_launcher_prints_and_submits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No launcher starts a process when it only prints."""
    monkeypatch.setattr(subprocess, "Popen", None)
    monkeypatch.setattr(subprocess, "run", None)
    extra = {"kubernetes": ["--image", "widesweep:1", "--claim", "data"]}
    for name in LAUNCHERS:
        result = submit(name, str(DEMO), "--dry-run", "--store", "/results/a.zarr", *extra.get(name, []))
        assert result.exit_code == 0, result.output
        assert "/results/a.zarr" in result.output


def test_a_wrong_config_is_told_before_anything_is_queued(tmp_path: Path) -> None:
    """Exit code 2 and the message of `run`, from every launcher."""
    bad = tmp_path / "bad.yaml"
    bad.write_text(DEMO.read_text().replace("samples: 32", "samples: 99999"))
    for name in LAUNCHERS:
        extra = ["--image", "x"] if name == "kubernetes" else []
        result = submit(name, str(bad), "--store", "s3://bucket/a.zarr", *extra)
        assert result.exit_code == 2
        assert "data.samples" in result.output
        assert "Traceback" not in result.output


def test_settings_survive_every_shell() -> None:
    """A list with blanks and quotes reaches the command as it was typed."""
    setting = 'grid.width=[64, 128]; echo "$HOME"'
    line = job(settings=(setting,)).commands(["widesweep"], "/config/demo.yaml")["run"]
    assert shlex.split(line) == [
        "widesweep", "run", "/config/demo.yaml", "--set", setting, "--store", "/results/demo.zarr",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["soon", "1:2:3:4", "-5", "1h"])
def test_a_time_that_no_scheduler_reads_is_refused(text: str) -> None:
    """The message names the option and the forms that work."""
    with pytest.raises(InputError, match="--time"):
        Resources(time_limit=text)


@pytest.mark.parametrize(
    ("run_code", "analysis_code", "expected"), [(0, 0, 0), (1, 0, 1), (2, 0, 2), (0, 7, 1)]
)
def test_one_line_ends_with_the_code_of_what_went_wrong(
    tmp_path: Path, run_code: int, analysis_code: int, expected: int
) -> None:
    """Failed cells are still analysed; wrong input is not; a failed analysis is not hidden."""
    fake = tmp_path / "fake"
    fake.write_text(
        f'#!/bin/sh\necho "$1"\ncase $1 in run) exit {run_code};; *) exit {analysis_code};; esac\n'
    )
    fake.chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", job().shell_line([str(fake)], "demo.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == expected
    assert ("analyze" in done.stdout) == (run_code <= 1)


# --- Slurm


def slurm_script(*words: str) -> str:
    result = submit("slurm", str(DEMO), "--dry-run", *words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_batch_script_is_valid_shell() -> None:
    """bash reads it without running it, with every option and with none."""
    full = ["--nodes", "2", "--gpus-per-node", "4", "--cpus-per-node", "8", "--time", "2:00:00"]
    for script in (slurm_script(), slurm_script(*full, "--partition", "gpu", "--account", "me")):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


ODD = [
    "it's", 'a"b', "$(touch owned)", "`touch owned`", "a; touch owned", "a & b | c > owned", "$HOME ~ *",
    "no", "null", "1e3", "- a: b # c", "{a: b}", "λ \\ü\\", "%j", "a\ttab", "a\nb: c", "a\r\nb",
    "\x1b[31m", "a\u202eb",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD)
def test_odd_words_reach_the_commands_as_they_are_or_are_refused(text: str, tmp_path: Path) -> None:
    """In each field of a batch script: bash reads the same words, runs nothing else; breaks are refused."""
    folder = tmp_path / "bin"
    folder.mkdir()
    fake = folder / "widesweep"
    fake.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    fake.chmod(0o755)
    line = job(settings=(f"name={text}",), store=f"/r/{text}.zarr").commands([str(fake)], f"/c/{text}.yaml")[
        "run"
    ]
    done = subprocess.run(["bash", "-c", line], capture_output=True, cwd=tmp_path, check=True)
    assert done.stdout.decode().split("\0")[:-1] == [
        "run", f"/c/{text}.yaml", "--set", f"name={text}", "--store", f"/r/{text}.zarr",
    ]  # fmt: skip
    assert not (tmp_path / "owned").exists()
    for option in ("--partition", "--account", "--mem", "--qos", "--constraint", "--gres", "--store"):
        result = submit("slurm", str(DEMO), "--dry-run", option, text)
        assert result.exit_code == (0 if text.isprintable() else 2), result.output
        if result.exit_code == 0:
            directive = {"--store": "output"}.get(option, option.removeprefix("--"))
            assert text in shlex.split(directives(result.stdout)[directive])[0]
    result = submit("slurm", str(DEMO), "--dry-run", "--sbatch", f"--comment={text}")
    assert result.exit_code == (0 if text.isprintable() else 2), result.output
    if result.exit_code == 0:
        subprocess.run(["bash", "-n"], input=result.stdout, text=True, check=True)
        assert shlex.split(directives(result.stdout)["comment"]) == [text]


@pytest.mark.parametrize(
    "text", ["reservation=x", "-p x", "--", "--a b", "--mem=", "$(x)", "--a;touch owned"]
)
def test_what_is_no_directive_is_refused(text: str) -> None:
    """Exit code 2 and the form that is wanted; an empty partition is none either."""
    for words in (["--sbatch", text], ["--partition", ""]):
        result = submit("slurm", str(DEMO), "--dry-run", *words)
        assert result.exit_code == 2
        assert words[0] in result.output


def test_a_prolog_runs_before_all_else_and_is_refused_where_bash_cannot_read_it(tmp_path: Path) -> None:
    """Its lines are in the script as they are, before the environment's own PATH."""
    prolog = tmp_path / "modules.sh"
    prolog.write_text("module load 'cuda/12'\nexport A=\"$(hostname); it's\"\n")
    script = slurm_script("--prolog", str(prolog))
    assert prolog.read_text() in script
    assert script.index("module load") < script.index("export PATH=")
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    for broken in ("if true; then\n", "cat <<END\n", "echo 'a\n", "a\0b"):
        prolog.write_text(broken)
        result = submit("slurm", str(DEMO), "--dry-run", "--prolog", str(prolog))
        assert result.exit_code == 2, broken
        assert "bash cannot read it" in result.output
    assert submit("slurm", str(DEMO), "--dry-run", "--prolog", str(tmp_path / "none")).exit_code == 2


@pytest.mark.parametrize("text", ODD)
def test_odd_words_reach_a_manifest_as_they_are(text: str) -> None:
    """In each field of a manifest, YAML read back."""
    made = manifest(job(settings=(f"name={text}",)), Pods(text, text, text, text), text)
    config, ray_job = yaml.safe_load_all(yaml.safe_dump_all(made))
    assert config["metadata"]["namespace"] == ray_job["metadata"]["namespace"] == text
    pod = ray_job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["template"]["spec"]
    assert pod["containers"][0]["image"] == pod["containers"][0]["resources"]["limits"]["memory"] == text
    assert pod["containers"][0]["envFrom"][0]["secretRef"]["name"] == text
    line = shlex.split(ray_job["spec"]["entrypoint"])[2]
    assert f"name={text}" in shlex.split(line.partition("; code=")[0])


def test_a_batch_script_asks_for_what_was_asked() -> None:
    """Each option is one directive; the job may be requeued, and is warned two minutes before its limit."""
    script = slurm_script(
        "--nodes", "2", "--gpus-per-node", "4", "--cpus-per-node", "8", "--time", "2:00:00",
        "--partition", "gpu", "--mem", "64G", "--qos", "low", "--constraint", "a100&nvlink",
        "--gres", "gpu:a100:4", "--sbatch", "--reservation=night shift", "--sbatch", "--spread-job",
    )  # fmt: skip
    found = directives(script)
    assert found["mem"] == "64G"
    assert found["qos"] == "low"
    assert found["constraint"] == "'a100&nvlink'"
    assert found["gres"] == "gpu:a100:4"
    assert found["reservation"] == "'night shift'"
    assert {"spread-job", "no-kill"} <= set(found)
    assert found["nodes"] == "2"
    assert found["gpus-per-node"] == "4"
    assert found["cpus-per-task"] == "8"
    assert found["time"] == "2:00:00"
    assert found["partition"] == "gpu"
    assert found["signal"] == "B:USR1@120"
    assert "requeue" in found
    assert "exclusive" not in found


def test_what_was_not_asked_for_is_not_in_the_script() -> None:
    """Without cores a job takes whole machines; the word before a time limit comes in any case."""
    found = directives(slurm_script())
    assert "exclusive" in found
    assert found["signal"] == "B:USR1@120"  # a partition has a limit of its own
    left_out = {"time", "gpus-per-node", "partition", "account", "cpus-per-task", "mem", "qos", "gres"}
    assert not left_out & set(found)


def test_a_short_limit_leaves_most_of_its_time_to_the_sweep() -> None:
    """A quarter of the limit at most goes to stopping."""
    assert directives(slurm_script("--time", "4"))["signal"] == "B:USR1@60"


def test_the_log_lies_beside_a_local_store_and_in_the_working_folder_for_a_remote_one() -> None:
    """Where a user looks first."""
    local = directives(slurm_script("--store", "/data/wide.zarr"))
    assert local["output"] == "/data/wide-slurm-%j.log"
    remote = directives(slurm_script("--store", "s3://bucket/wide.zarr"))
    assert remote["output"] == str(Path.cwd() / "demo-slurm-%j.log")


def test_where_slurm_is_missing_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2; nothing is written."""
    monkeypatch.setenv("PATH", "")
    result = submit("slurm", str(DEMO))
    assert result.exit_code == 2
    assert "sbatch" in result.output
    assert "--dry-run" in result.output


# --- Ray Jobs


def test_what_travels_runs_by_itself(tmp_path: Path) -> None:
    """The staged folder holds a whole widesweep: it plans the config without the checkout."""
    stage(tmp_path, DEMO, None)
    program = "import widesweep; from widesweep.pipeline.cli import main; print(widesweep.__file__); main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "plan", "demo.yaml", "--json"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(str(tmp_path))


def test_data_beside_a_config_travel_with_it(tmp_path: Path) -> None:
    """The relative path stays the same."""
    (tmp_path / "here" / "data").mkdir(parents=True)
    (tmp_path / "here" / "data" / "points.npz").write_bytes(b"points")
    (tmp_path / "here" / "a.yaml").write_text("name: a\n")
    stage(tmp_path / "there", tmp_path / "here" / "a.yaml", Path("data/points.npz"))
    assert (tmp_path / "there" / "data" / "points.npz").read_bytes() == b"points"


def test_a_relative_store_is_refused_where_machines_share_no_folder() -> None:
    """Results would lie in one machine's temporary folder."""
    for words in (["ray"], ["kubernetes", "--image", "x"]):
        result = submit(*words, str(DEMO))
        assert result.exit_code == 2
        assert "--store" in result.output


# --- Kubernetes


def rayjob(**changes: Any) -> dict[str, Any]:
    made = manifest(job(**changes), Pods("widesweep:1", "8Gi", "data", "keys"), "research")
    return dict(json.loads(json.dumps(made[1])))


def test_a_manifest_has_only_fields_that_kuberay_knows() -> None:
    """Names, types and required fields as in KubeRay's own schema; a misspelt field is refused."""
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    validator.validate(rayjob())
    wrong = rayjob()
    wrong["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["container"] = []
    assert not validator.is_valid(wrong)
    wrong = rayjob()
    wrong["spec"]["rayClusterSpec"]["authOptions"]["mode"] = "none"
    assert not validator.is_valid(wrong)


def test_a_manifest_carries_the_same_job_as_the_other_launchers() -> None:
    """Nodes, GPUs and the limit come from the shared model; the token is on; nothing runs as root."""
    spec = rayjob()["spec"]
    workers = spec["rayClusterSpec"]["workerGroupSpecs"][0]
    assert workers["replicas"] == 2
    container = workers["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "1"}
    assert spec["activeDeadlineSeconds"] == 3600
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert workers["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
    assert shlex.split(spec["entrypoint"])[:2] == ["sh", "-c"]


def test_the_config_is_in_the_manifest_word_for_word() -> None:
    """The pods read what the user wrote, under the same file name, so that the name of the sweep stays."""
    result = submit("kubernetes", str(DEMO), "--image", "x", "--store", "s3://bucket/a.zarr", "--dry-run")
    config, made = yaml.safe_load_all(result.stdout)
    assert config["data"] == {"demo.yaml": DEMO.read_text()}
    assert made["kind"] == "RayJob"


def test_a_store_that_would_go_with_its_pod_is_refused() -> None:
    """A local path needs a claim that all pods mount."""
    result = submit("kubernetes", str(DEMO), "--image", "x", "--store", "/results/a.zarr")
    assert result.exit_code == 2
    assert "--claim" in result.output
