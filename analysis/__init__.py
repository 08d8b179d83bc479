"""From a store to laws: `open_sweep`, `analyze`, `examine`, `write`, `table`, and `report.page.write`."""

from __future__ import annotations

from widesweep.analysis.analysis_result import AnalysisResult, analyze, examine, write
from widesweep.analysis.errors import AnalysisError, NoScheduler, NotASweep, NotWritable
from widesweep.analysis.reading.sweep import open_sweep
from widesweep.analysis.report.text_table import table

__all__ = [
    "AnalysisError",
    "AnalysisResult",
    "NoScheduler",
    "NotASweep",
    "NotWritable",
    "analyze",
    "examine",
    "open_sweep",
    "table",
    "write",
]
