"""Known vulnerabilities of what is installed, by pip-audit: one found fails, a silent service is a word."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SILENT = "audit: no advisory service answers here; nothing was audited"
LIMIT_S = 120.0


def main() -> int:
    """Runs pip-audit on this environment."""
    options = ["--format=json", "--skip-editable", "--progress-spinner=off"]
    command = [sys.executable, "-m", "pip_audit", *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        print(SILENT)
        return 0
    return judged(done.stdout)


def judged(output: str) -> int:
    """What pip-audit's output means.

    >>> judged('{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}')
    audit: 1 packages, no known vulnerability
    0
    >>> flaw = '{"id": "X-1", "fix_versions": ["2"]}'
    >>> judged('{"dependencies": [{"name": "a", "version": "1", "vulns": [%s]}]}' % flaw)
    audit: a 1 has X-1; fixed in 2
    1
    >>> judged('{"dependencies": [{"name": "a", "skip_reason": "not found"}]}')
    audit: no advisory service answers here; nothing was audited
    0
    >>> judged("")
    audit: no advisory service answers here; nothing was audited
    0
    """
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        print(SILENT)
        return 0
    packages = [package for package in packages if "vulns" in package]  # the others were not looked up
    if not packages:
        print(SILENT)
        return 0
    found = [(package, flaw) for package in packages for flaw in package["vulns"]]
    for package, flaw in found:
        fixed = ", ".join(flaw.get("fix_versions", ())) or "no version yet"
        print(f"audit: {package['name']} {package['version']} has {flaw['id']}; fixed in {fixed}")
    if not found:
        print(f"audit: {len(packages)} packages, no known vulnerability")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
