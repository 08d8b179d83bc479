"""`widesweep refine`: a sweep that goes on where a law learns most, in rounds that the store records."""

from __future__ import annotations

from widesweep.pipeline.refine.rounds import refine, text

__all__ = ["refine", "text"]
