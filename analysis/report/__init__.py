"""The report: one page that needs no network, and each figure as PNG and PDF beside it."""

from __future__ import annotations

from widesweep.analysis.report.page import settle, write

__all__ = ["settle", "write"]
