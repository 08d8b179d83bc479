"""From a store to laws: `open_sweep`, `analyze`, `examine`, `table`, and `analysis.report.write`."""

from __future__ import annotations

from analysis.study import Study, analyze, examine
from analysis.sweep import NotASweep, open_sweep
from analysis.text_table import table

__all__ = ["NotASweep", "Study", "analyze", "examine", "open_sweep", "table"]
