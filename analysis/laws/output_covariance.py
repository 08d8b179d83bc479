"""Cov(z₁², z₂²)/K² of two outputs of one random network, against L/n: slope 1."""

from __future__ import annotations

from widesweep.analysis.laws.kinds.ratio_law import RatioLaw

READS = ("initialization/output_covariance", "theory/output_covariance_predicted")

LAW = RatioLaw(
    name="output_covariance",
    title="Squares of two outputs are correlated like L/n",
    expected=1.0,
    y_label=r"$\mathrm{Cov}(z_1^2, z_2^2)\, /\, K^2$",
    variable="output_covariance",
    predicted="output_covariance_predicted",
)
