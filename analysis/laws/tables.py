"""The laws that need no code of their own, by the form that they take: one entry is one law."""

from __future__ import annotations

import numpy as np

from widesweep.analysis.laws.kinds.ratio_law import RatioLaw
from widesweep.analysis.laws.kinds.regime import BY_DESCENT, MUP, STABLE, STANDARD, Limit, Outside
from widesweep.analysis.laws.kinds.scale_law import ScaleLaw
from widesweep.analysis.laws.kinds.subspace_decay import SubspaceDecay
from widesweep.analysis.laws.kinds.width_law import SHALLOW, Exponent, WidthLaw
from widesweep.analysis.reading.cell_summary import CellSummary

BETWEEN = Exponent(-0.5, (-1.0, -0.5))
# Standard with η ∝ 1/m is ntk with the first layer's rate divided by m. At depth 1 that layer alone moves
# what the kernel is made of, by m^(−3/2); the signs of the output weights average that down by m^(−1/2) more.
# Its movement J₁ᵀΘ⁻¹r(0) has one more power of Θ^(−1/2) than (rᵀΘ⁻¹r)^(1/2), the movement of all that trains:
# hence two powers of what finite width does to Θ.
SLOWER = {STANDARD: BETWEEN, SHALLOW: Exponent(-2.0, (-2.0, -2.0), powers=2)}
EXACT = "The model is linear in what trains: its distance from the linearisation is 0 to rounding, exact."
NEAR_LINEAR = "; kernel_drift speaks of it"
SMOOTH = ("linear", "tanh", "erf", "gelu")


def _kinked(summary: CellSummary) -> Outside | None:
    """Where the activation has a kink the kernel also jumps as neurons cross it.

    It does so by a few flips at moderate α and by none at large α: between the two no single exponent holds
    at a finite width, so there is no law.
    """
    smooth = summary.network.get("activation", "relu") in SMOOTH
    return None if smooth else Outside("neurons that cross the activation's kink make the kernel jump")


# Where `allowed` is a range, theory proves its upper end and networks are seen to reach the lower one.
WIDTH_LAWS = {
    law.name: law
    for law in (
        WidthLaw(
            name="kernel_drift",
            title="Tangent kernel changes less as width grows",
            variable="ntk_relative_change",
            y_label=r"kernel change, $\Vert\Delta G\Vert_F / \Vert G(0)\Vert_F$",
            expected=-0.5,
            allowed=(-1.0, -0.5),
            rivals=(0.0,),
            elsewhere=SLOWER
            | {MUP: Exponent(0.0, (0.0, 0.0), "Tangent kernel changes as much at every width")},
        ),
        WidthLaw(
            name="pattern_change",
            title="Fewer activation patterns flip, like 1/√m",
            variable="pattern_change",
            y_label="share of (neuron, sample) signs flipped",
            expected=-0.5,
            allowed=(-0.5, -0.5),
            rivals=(0.0, -1.0),
            elsewhere={
                STANDARD: Exponent(
                    -1.5, (-1.5, -1.5), "Fewer activation patterns flip, like m^(−3/2)", powers=2
                ),
                MUP: Exponent(0.0, (0.0, 0.0), "The same share of activation patterns flips at every width"),
            },
        ),
        WidthLaw(
            name="linearization",
            title="The network follows its linearisation more closely as width grows",
            variable="linearized_distance_largest",
            y_label=r"$\sup_k \Vert u(k) - u_{lin}(k)\Vert_2$, training points",
            expected=-0.5,
            allowed=(-1.0, -0.5),
            rivals=(0.0,),
            elsewhere=SLOWER,
            instead=NEAR_LINEAR,
            limits=(BY_DESCENT, STABLE),
            zero=EXACT,
        ),
        WidthLaw(
            name="linearization_test",
            title="The network follows its linearisation on new points too",
            variable="linearized_test_distance_largest",
            y_label=r"$\sup_k \Vert u(k) - u_{lin}(k)\Vert_2$, test points",
            expected=-0.5,
            allowed=(-1.0, -0.5),
            rivals=(0.0,),
            elsewhere=SLOWER,
            instead=NEAR_LINEAR,
            limits=(BY_DESCENT, STABLE),
            zero=EXACT,
        ),
        WidthLaw(
            name="sharpness_transfer",
            title="The loss's sharpness changes less as width grows",
            variable="sharpness_growth",
            y_label=r"$|\log \lambda_{\max}(\nabla^2 L)|$, end over start",
            expected=-0.5,
            allowed=(-1.0, -0.5),
            rivals=(0.0,),
            elsewhere={
                STANDARD: BETWEEN,
                MUP: Exponent(0.0, (0.0, 0.0), "The loss's sharpness changes as much at every width"),
            },
        ),
        WidthLaw(
            name="trajectory",
            title="The residual follows the infinite-width trajectory more closely as width grows",
            variable="trajectory_gap",
            y_label=r"$\sup_k\, |\Vert r(k)\Vert - \Vert r(k)\Vert_\infty| / \Vert r(0)\Vert$",
            expected=-0.5,
            allowed=(-1.0, -0.5),
            rivals=(0.0,),
            elsewhere={STANDARD: BETWEEN},
            instead=NEAR_LINEAR,
            limits=(BY_DESCENT, STABLE),
        ),
    )
}
RATIO_LAWS = {
    law.name: law
    for law in (
        RatioLaw(
            name="output_covariance",
            title="Squares of two outputs are correlated like L/n",
            expected=1.0,
            y_label=r"$\mathrm{Cov}(z_1^2, z_2^2)\, /\, K^2$",
            variable="output_covariance",
            predicted="output_covariance_predicted",
        ),
        RatioLaw(  # what layers after the first add to the relative variance of ‖∂z/∂x‖²
            name="gradient_variance",
            title="The input gradient fluctuates like L/n",
            expected=1.0,
            y_label=r"excess variance of $\Vert\partial z/\partial x\Vert^2$",
            variable="input_gradient_excess",
            predicted="input_gradient_excess_predicted",
        ),
        RatioLaw(
            name="ntk_variance",
            title="The tangent kernel fluctuates like L/n",
            expected=1.0,
            y_label=r"$\mathrm{Var}\,\Theta\, /\, \mathrm{E}[\Theta]^2$",
            variable="ntk_variance",
            predicted="ntk_variance_predicted",
        ),
        RatioLaw(
            name="hessian_norm",
            title="The parameter Hessian's squared norm grows like L/n",
            expected=1.0,
            y_label=r"$\mathrm{E}\Vert H\Vert^2\, \mathrm{E}f^2\, /\, (\mathrm{E}\,\Theta)^2$",
            variable="hessian_ratio",
            predicted=None,
        ),
        RatioLaw(
            name="hessian_gradient",
            title="The parameter Hessian turns the gradient like L/n",
            expected=1.0,
            y_label=r"$\mathrm{E}\Vert H\nabla f\Vert^2\, \mathrm{E}f^2\, /\, (\mathrm{E}\,\Theta)^3$",
            variable="hessian_gradient",
            predicted=None,
        ),
    )
}
SUBSPACE_LAWS = {
    law.name: law
    for law in (SubspaceDecay("information", (1.0, np.inf)), SubspaceDecay("nuisance", (-np.inf, 1.0)))
}
SCALE_LAWS = {
    law.name: law
    for law in (
        ScaleLaw(
            name="movement_by_scale",
            title="Parameters of the centred model move like 1/α",
            variable="parameter_change",
            y_label=r"movement, $\Vert\theta - \theta_0\Vert_2$",
        ),
        ScaleLaw(
            name="kernel_change_by_scale",
            title="Tangent kernel of the centred model changes like 1/α",
            variable="ntk_relative_change",
            y_label=r"kernel change, $\Vert\Delta G\Vert_F / \Vert G(0)\Vert_F$",
            limits=(Limit(f"with a smooth activation ({', '.join(SMOOTH)})", _kinked), BY_DESCENT),
        ),
    )
}
