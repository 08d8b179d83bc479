"""Peers live in virtual environments of their own under build/peers, made when first asked for."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(__file__).with_name("peers")


def peer_python(name: str, requirements: Sequence[str]) -> Path:
    """The interpreter of a peer's environment; a file written last says that it is complete."""
    environment = ROOT / "build" / "peers" / name
    python, ready = environment / "bin" / "python", environment / "ready"
    wanted = "\n".join(requirements)
    if not ready.exists() or ready.read_text() != wanted:
        print(f"making {environment.relative_to(ROOT)}", file=sys.stderr)
        venv.create(environment, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
        ready.write_text(wanted)
    return python


def run_peer(python: Path, program: str, *arguments: object, environment: dict[str, str]) -> None:
    """Runs one of the programs in `peers/` to its end."""
    command = [str(part) for part in (python, PEERS / program, *arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{program} failed:\n{done.stderr[-2000:]}")
