"""From a store to laws: `open_sweep`, `analyze`, `examine`, `table`, and `analysis.report.write`."""

from __future__ import annotations

from analysis.errors import AnalysisError, NoScheduler, NotASweep, NotWritable
from analysis.study import Study, analyze, examine
from analysis.sweep import open_sweep
from analysis.text_table import table

__all__ = [
    "AnalysisError",
    "NoScheduler",
    "NotASweep",
    "NotWritable",
    "Study",
    "analyze",
    "examine",
    "open_sweep",
    "table",
]
