"""How much the parameter Hessian turns the gradient, E‖H∇f‖² E[f²]/E[Θ]³, against L/n: slope 1."""

from __future__ import annotations

from analysis.laws.ratio_law import RatioLaw

READS = ("initialization/hessian_gradient",)

LAW = RatioLaw(
    name="hessian_norm",
    title="The parameter Hessian turns the gradient like L/n",
    expected=1.0,
    y_label=r"$\mathrm{E}\Vert H\nabla f\Vert^2\, \mathrm{E}f^2\, /\, (\mathrm{E}\,\Theta)^3$",
    variable="hessian_gradient",
    predicted=None,
)
