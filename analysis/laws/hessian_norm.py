"""The parameter Hessian, E‖H‖² E[f²]/E[Θ]², and how much it turns the gradient, against L/n: slope 1."""

from __future__ import annotations

from widesweep.analysis.laws.kinds.ratio_law import RatioLaw

READS = ("initialization/hessian_ratio", "initialization/hessian_gradient")

NORM = RatioLaw(
    name="hessian_norm",
    title="The parameter Hessian's squared norm grows like L/n",
    expected=1.0,
    y_label=r"$\mathrm{E}\Vert H\Vert^2\, \mathrm{E}f^2\, /\, (\mathrm{E}\,\Theta)^2$",
    variable="hessian_ratio",
    predicted=None,
)
GRADIENT = RatioLaw(
    name="hessian_gradient",
    title="The parameter Hessian turns the gradient like L/n",
    expected=1.0,
    y_label=r"$\mathrm{E}\Vert H\nabla f\Vert^2\, \mathrm{E}f^2\, /\, (\mathrm{E}\,\Theta)^3$",
    variable="hessian_gradient",
    predicted=None,
)
