"""The compose file and the image: what can be held without an engine."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return content


def test_every_published_port_is_open_to_this_machine_alone(compose: dict[str, Any]) -> None:
    """Each mapping names 127.0.0.1; and there are some."""
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert len(ports) >= 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_service_runs_as_root(compose: dict[str, Any]) -> None:
    """Each service takes the user who owns the secrets; without one, the image's own."""
    assert {service["user"] for service in compose["services"].values()} == {"${WIDESWEEP_USER:-10001:10001}"}
    assert re.search(r"^USER 10001", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE)


def test_the_token_is_a_file_and_never_a_variable(compose: dict[str, Any]) -> None:
    """Ray's services read the token from a secret; no environment holds one."""
    for name in ("ray-head", "ray-worker", "widesweep"):
        service = compose["services"][name]
        assert "ray_token" in service["secrets"]
        assert service["environment"]["RAY_AUTH_MODE"] == "token"
        assert service["environment"]["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray_token"
        assert "RAY_AUTH_TOKEN" not in service["environment"]


def test_everything_that_stays_up_has_a_health_check(compose: dict[str, Any]) -> None:
    """Of the services, only the one that runs a command has none."""
    without = {name for name, service in compose["services"].items() if "healthcheck" not in service}
    assert without == {"widesweep"}


def test_every_node_of_ray_has_shared_memory_for_its_objects(compose: dict[str, Any]) -> None:
    """Docker's own 64 MB would send Ray's objects to the disk."""
    for name in ("ray-head", "ray-worker", "widesweep"):
        assert compose["services"][name]["shm_size"] == "512m"


def test_the_gpu_overlay_changes_every_user_of_the_image(compose: dict[str, Any]) -> None:
    """A cluster whose nodes have different builds of torch would be two clusters."""
    overlay = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text())["services"]
    ours = {
        name for name, service in compose["services"].items() if service["image"].startswith("widesweep:")
    }
    assert ours == set(overlay)
    assert {service["image"] for service in overlay.values()} == {"widesweep:${WIDESWEEP_TAG:-latest}-gpu"}


def test_the_files_work_with_the_oldest_tools() -> None:
    """No syntax line (it would be pulled), no mount in a build (BuildKit alone has it)."""
    for name in ("Dockerfile", "s3.Dockerfile"):
        text = (ROOT / "deploy" / name).read_text()
        assert "# syntax" not in text
        assert "--mount" not in text


def test_secrets_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    """Mode 0600, 32 random bytes, and the second call keeps what the first made."""
    (tmp_path / "deploy").mkdir()
    script = tmp_path / "deploy" / "secrets.sh"
    script.write_bytes((ROOT / "deploy/secrets.sh").read_bytes())
    subprocess.run(["sh", str(script)], check=True)
    token = tmp_path / "deploy/secrets/ray_token"
    first = token.read_text()
    assert re.fullmatch("[0-9a-f]{64}", first)
    for file in [*token.parent.iterdir(), tmp_path / ".env"]:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    owner = f"{token.stat().st_uid}:{token.stat().st_gid}"
    assert (tmp_path / ".env").read_text() == f"WIDESWEEP_USER={owner}\n"
    subprocess.run(["sh", str(script)], check=True)
    assert token.read_text() == first


def test_secrets_are_never_committed() -> None:
    """Git ignores them, and the build context leaves them out."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    for path in ("deploy/secrets/ray_token", ".env"):
        ignored = subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, env=environment, check=False)
        assert ignored.returncode == 0, path
    assert "deploy/secrets" in (ROOT / ".dockerignore").read_text().splitlines()
