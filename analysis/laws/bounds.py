"""The bounds that theorems claim, as laws: each holds, is broken, or could not fail."""

from __future__ import annotations

from widesweep.analysis.laws.kinds.bound_law import BoundLaw
from widesweep.analysis.laws.kinds.regime import (
    NTK,
    STABLE,
    STANDARD,
    scaled,
    trained_by,
)
from widesweep.analysis.reading.margins import CONDITIONS

LAZY = scaled((NTK, STANDARD), "; the theorem is of lazy networks")
DESCENT = trained_by(("gd",), "the theorem is of plain gradient descent")
FLOW = trained_by(("gradient_flow",), "the theorem is of gradient flow")
CLAIMS = {
    "du_start": "λ_min(G^(H)(0)) ≥ ¾λ0",
    "du_kernel": "‖G^(H)(k) − G^(H)(0)‖₂ ≤ λ0/4",
    "du_loss": "loss(k) ≤ (1 − ηλ0/2)^k loss(0)",
    "du_drift": "‖W^(h)(k) − W^(h)(0)‖_F ≤ 4√n‖r(0)‖/λ0",
    "du_second_order": "‖I₂‖ ≤ ηλ0‖r(k)‖/8",
    "du_output_step": "‖u(k+1) − u(k)‖² ≤ ηλ0‖r(k)‖²/8",
}
BOUND_LAWS = {
    law.name: law
    for law in (
        BoundLaw(
            name="du_convergence",
            title="The residual falls at least as fast as Du's bound (1 − ηλ0/2)^k",
            variable="du_convergence_room",
            y_label="decay over the decay that the bound asks for",
            limits=(LAZY, DESCENT, STABLE),
            asks="du_convergence_asked",
            source="Du et al. 2018, arXiv:1810.02054, arXiv:1811.03804",
        ),
        BoundLaw(
            name="flow_loss",
            title="The loss of gradient flow falls at least like exp(−2λt)",
            variable="flow_loss_room",
            y_label="decay over the decay that the bound asks for",
            limits=(FLOW,),
            source="Chizat et al. 2018, arXiv:1812.07956",
        ),
        BoundLaw(
            name="flow_drift",
            title="Gradient flow moves at most (2λ_max R(0))^½/λ",
            variable="flow_drift_room",
            y_label="bound over movement",
            limits=(FLOW,),
            source="Chizat et al. 2018, arXiv:1812.07956",
        ),
        BoundLaw(
            name="oymak_residual",
            title="The residual stays below Oymak's (1 − ηα²)^k ‖Π_I r(0)‖ + ‖Π_N r(0)‖",
            variable="oymak_residual_room",
            y_label="bound over residual",
            limits=(LAZY, DESCENT, STABLE),
            asks="oymak_residual_asked",
            source="Oymak et al. 2019, arXiv:1906.05392",
        ),
        *(
            BoundLaw(
                name=f"condition_{name}",
                title=f"Du's condition {CLAIMS[name]} is true at every record",
                variable=f"{name}_room",
                y_label="1 where the condition holds throughout",
                limits=(LAZY, DESCENT),
                source="Du et al. 2018, arXiv:1811.03804",
            )
            for name in CONDITIONS
        ),
    )
}
