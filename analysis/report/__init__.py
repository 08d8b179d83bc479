"""The report: one page that needs no network, and each figure as PNG and PDF beside it."""

from __future__ import annotations

from analysis.report.page import write

__all__ = ["write"]
