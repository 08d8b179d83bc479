"""`python -m widesweep` is the command `widesweep`."""

from __future__ import annotations

from widesweep.pipeline.cli import main

main()
