"""The published results, in the order of their subject."""

from __future__ import annotations

from difflib import get_close_matches

from widesweep.pipeline.errors import InputError
from widesweep.pipeline.gallery.entry import Claim, Control, Entry

MEAN_FIELD = ("network.parameterization=mean_field",)
NESTEROV = ("training.optimizer=nesterov", "training.momentum=optimal")

ENTRIES = (
    Entry(
        name="du-neurons",
        title="The farthest neuron moves, and activation patterns flip, like 1/√m",
        claim=(
            "Gradient descent on a two-layer ReLU network of width m, output weights fixed to signs, "
            "moves every neuron by at most a constant over √m, so that the share of activation patterns"
            " that change falls alike. That is why the tangent kernel keeps its least eigenvalue."
        ),
        formula="max_r ‖w_r(k) − w_r(0)‖₂ ∝ m^−½",
        source="Du, Zhai, Poczos, Singh 2018, arXiv:1810.02054, the experiments",
        claims=(Claim("weight_drift"), Claim("pattern_change")),
        control=Control(
            MEAN_FIELD,
            (
                "Scaled like 1/m instead of 1/√m, with its rate in units of its own kernel, neurons move as"
                " far at any width."
            ),
            ("weight_drift", "pattern_change"),
        ),
        differs="Digits, odd against even, where the paper draws Gaussian inputs and labels.",
        small=("grid.width=[64, 128, 256, 512, 1024]", "training.steps=400"),
    ),
    Entry(
        name="arora-trajectory",
        title="The residual follows the infinite-width trajectory, and true labels are fitted first",
        claim=(
            "A wide, centred two-layer network's residual follows the trajectory that the "
            "infinite-width kernel gives to its labels. Labels along large eigenvalues are fitted "
            "sooner: corrupting them costs steps, by a ratio that the kernel predicts."
        ),
        formula="‖y − u(k)‖₂ = √(Σ_i (1 − ηλ_i)^{2k} (v_i·y)²) ± ε",
        source="Arora, Du, Hu, Li, Wang 2019, arXiv:1901.08584, the trajectory theorem and section 4",
        claims=(Claim("trajectory"), Claim("label_corruption")),
        control=Control(
            MEAN_FIELD,
            "In mean-field scaling the kernel moves, and the residual leaves the trajectory at any width.",
            ("trajectory",),
        ),
        differs=(
            "Digits, odd against even, 32 of them; steps to 1 % of the residual stand for the paper's "
            "loss curves."
        ),
        small=("grid.width=[256, 1024, 4096]", "grid.seed=8"),
    ),
    Entry(
        name="jacot-kernel",
        title="The tangent kernel stays as it was, the more so the wider",
        claim=(
            "In the infinite-width limit the tangent kernel is constant in training. At finite width a "
            "smooth activation's kernel changes between 1/√m, which is proved, and 1/m, which is "
            "observed."
        ),
        formula="‖Θ(k) − Θ(0)‖_F / ‖Θ(0)‖_F ∝ m^−s, ½ ≤ s ≤ 1",
        source="Jacot, Gabriel, Hongler 2018, arXiv:1806.07572; Lee et al. 2019, arXiv:1902.06720",
        claims=(Claim("kernel_drift"),),
        control=Control(
            MEAN_FIELD,
            "In the mean-field scaling features are learnt at every width: the kernel changes by as much.",
            ("kernel_drift",),
        ),
        differs="Digits; the spread of the kernel at initialisation is the subject of hanin-kernel.",
        small=("grid.width=[64, 128, 256, 512]", "grid.depth=[1]", "training.steps=300"),
    ),
    Entry(
        name="lee-linearization",
        title="A wide network follows its linearisation, on new points too",
        claim=(
            "The outputs of a wide network under gradient descent stay near those of its linearisation "
            "at the start, on training and on test points, and each layer moves like 1/√m relative to "
            "its size: the hidden ones like 1/m in Frobenius norm."
        ),
        formula="sup_k ‖f(k) − f_lin(k)‖₂ = O(m^−½)",
        source=(
            "Lee, Xiao, Schoenholz, Bahri, Novak, Sohl-Dickstein, Pennington 2019, arXiv:1902.06720, "
            "section 2"
        ),
        claims=(
            Claim("linearization"),
            Claim("linearization_test"),
            Claim("layer_drift_operator_1"),
            Claim("layer_drift_operator_2"),
            Claim("layer_drift_frobenius_2"),
            Claim("layer_drift_operator_3"),
        ),
        control=Control(
            MEAN_FIELD,
            "In the mean-field scaling a network leaves its linearisation at every width.",
            ("linearization", "linearization_test", "layer_drift_frobenius_2"),
        ),
        differs="Digits and an erf network of depth 2 beside the paper's fully connected ones.",
        small=("grid.width=[64, 128, 256, 512]", "training.steps=300"),
    ),
    Entry(
        name="chizat-scale",
        title="Lazy training is a matter of scale: at fixed width parameters move like 1/α",
        claim=(
            "The model αf, centred at its start and trained at a rate in units of its own kernel, moves"
            " its parameters by 1/α, whatever its width."
        ),
        formula="‖θ(k) − θ(0)‖₂ ∝ 1/α",
        source="Chizat, Oyallon, Bach 2018, arXiv:1812.07956",
        claims=(Claim("movement_by_scale"), Claim("kernel_change_by_scale")),
        control=Control(
            ("network.centered=false",),
            (
                "Not centred, the residual grows with α as the outputs do, and parameters move as far at "
                "every scale."
            ),
            ("movement_by_scale", "kernel_change_by_scale"),
        ),
        differs=(
            "Digits and a tanh network of width 128; the paper's are a two-layer ReLU network and image"
            " classifiers."
        ),
        small=("grid.seed=4", "grid.depth=[1]", "training.steps=400"),
    ),
    Entry(
        name="oymak-subspaces",
        title="The residual falls fast on the information space and slowly on the nuisance space",
        claim=(
            "The Jacobian of a network has few large singular values. The residual's part along them "
            "falls at the rate of the least of these or faster, its other part at most as fast."
        ),
        formula="‖Π_I r(k)‖ ≤ (1 − ηα²)^k ‖Π_I r(0)‖",
        source="Oymak, Fabian, Li, Soltanolkotabi 2019, arXiv:1906.05392",
        claims=(Claim("information_decay"), Claim("nuisance_decay")),
        control=Control(
            NESTEROV,
            "Nesterov's method, claimed to be gradient descent: the nuisance part falls faster than it can.",
            ("nuisance_decay",),
        ),
        differs=(
            "Digits, odd against even, and a fully connected network; the paper's images and residual "
            "network are larger."
        ),
        small=("data.samples=60", "data.test_samples=40", "training.steps=1000"),
    ),
    Entry(
        name="condition-number",
        title="Gradient descent takes steps in proportion to κ, Nesterov's method to √κ",
        claim=(
            "The late-time steps per e-fold of the residual are proportional to the condition number κ "
            "of the kernel under gradient descent and to its square root under Nesterov's method with "
            "the best momentum."
        ),
        formula="T_gd ∝ κ, T_Nesterov ∝ √κ",
        source="Nesterov 2004, Introductory Lectures on Convex Optimization, sections 2.1.5 and 2.2.1",
        claims=(Claim("iterations", run="gradient descent"), Claim("iterations", run="Nesterov")),
        control=Control(
            (),
            "Gradient descent, claimed to be Nesterov's method.",
            ("iterations",),
            run="gradient descent",
            claimed="Nesterov",
        ),
        differs="The quadratic is a lazy network of growing depth, whose κ runs from 27 to 200.",
        runs={"gradient descent": (), "Nesterov": (*NESTEROV, "training.steps=1000")},
        small=("grid.seed=4", "grid.width=[128]"),
    ),
    Entry(
        name="hanin-cumulants",
        title="Cumulants of the output of random networks collapse in L/n",
        claim=(
            "At initialisation the normalised cumulants of a ReLU network's output of orders 4, 6 and 8"
            " are functions of depth over width and grow like its first, second and third power."
        ),
        formula="κ_{2k}(z) / K^k ∝ (L/n)^{k−1}",
        source="Hanin 2022, arXiv:2204.01058",
        claims=(Claim("cumulant_4"), Claim("cumulant_6"), Claim("cumulant_8")),
        control=Control(
            ("network.activation=linear", "network.weight_variance=1"),
            (
                "A linear network at its own critical variance, claimed to be a ReLU network: its κ4 is 2/n"
                " a layer, not 5/n."
            ),
            ("cumulant_4", "cumulant_6", "cumulant_8"),
        ),
        differs="The slopes expected are those of the exact values on this grid, not of the limit.",
        small=("initialization.draws=200000", "grid.width=[64, 128, 256, 512]", "grid.depth=[1, 2, 4, 8]"),
    ),
    Entry(
        name="hanin-gradients",
        title="Gradients of random networks fluctuate like L/n",
        claim=(
            "The squared norm of a random ReLU network's gradient by its input has a relative variance "
            "that grows in proportion to depth over width."
        ),
        formula="Var ‖∂z/∂x‖² / (E ‖∂z/∂x‖²)² ∝ L/n",
        source="Hanin, Nica 2018, arXiv:1812.05994",
        claims=(Claim("gradient_variance"),),
        control=Control(
            ("network.activation=linear", "network.weight_variance=1"),
            "A linear network, claimed to be a ReLU network: its gradient fluctuates less.",
            ("gradient_variance",),
        ),
        differs="The relative variance is measured and not the distribution of the logarithm.",
        small=("initialization.draws=200000", "grid.width=[64, 128, 256]", "grid.depth=[1, 2, 4, 8]"),
    ),
    Entry(
        name="hanin-kernel",
        title="The tangent kernel at initialisation fluctuates like L/n",
        claim=(
            "The relative variance of a random ReLU network's tangent kernel grows with depth over "
            "width, so that its spread over initialisations falls like 1/√n: infinite width makes it "
            "one kernel, infinite depth does not."
        ),
        formula="Var Θ / (E Θ)² ∝ L/n",
        source="Hanin, Nica 2019, arXiv:1909.05989; Jacot et al. 2018, arXiv:1806.07572",
        claims=(Claim("ntk_variance"),),
        control=Control(
            ("network.activation=tanh", "network.weight_variance=1"),
            "A tanh network, claimed to be a ReLU network: of another class, it fluctuates less with depth.",
            ("ntk_variance",),
        ),
        differs="The diagonal of the kernel, with the exact expression of this grid as the slope expected.",
        small=("initialization.draws=50000", "grid.width=[32, 64, 128]"),
    ),
    Entry(
        name="roberts-criticality",
        title="tanh at criticality: the kernel falls like 1/(2L)",
        claim=(
            "At its critical weight variance 1 the kernel of a tanh network falls like one over twice "
            "the depth and the squared slope of its output like one over the depth: another class than "
            "ReLU, where both stay."
        ),
        formula="K^(L) → 1/(2L)",
        source="Roberts, Yaida, Hanin 2021, arXiv:2106.10165",
        claims=(Claim("depth_criticality"), Claim("depth_criticality_derivative")),
        control=Control(
            ("network.weight_variance=0.9",),
            "A tenth below the critical variance the kernel falls exponentially.",
            ("depth_criticality", "depth_criticality_derivative"),
        ),
        differs="The slope expected is that of the recursion on these depths with its 1/n correction.",
        small=("grid.depth=[1, 2, 4, 8, 16]", "initialization.draws=4000"),
    ),
)


def named(name: str) -> Entry:
    """The entry of a name.

    Raises:
        InputError: there is none; the nearest name is given.

    >>> named("du-neurons").config.name
    'du-neurons.yaml'
    """
    known = {entry.name: entry for entry in ENTRIES}
    if name not in known:
        near = get_close_matches(name, known, n=1, cutoff=0.0)[0]
        wanted = f"the nearest name is {near!r}, and `widesweep gallery` lists all"
        raise InputError(f"gallery {name}", "it is no published result here", wanted)
    return known[name]
