"""Steps to a tolerance against the condition number: κ for gradient descent, √κ for Nesterov."""

from __future__ import annotations

import numpy as np
import pytest

from widesweep.workers.data import DataConfig, load
from widesweep.workers.networks import FullyConnected
from widesweep.workers.optimizers import GradientDescent, Nesterov, Training
from widesweep.workers.training.block_training import TrainingBlock, run

TOLERANCE, WIDTH = 1e-6, 1024
SAMPLES = (8, 16, 32, 64)


def steps_to_tolerance(training: type[Training], samples: int) -> tuple[float, float]:
    """(κ of the measured kernel, steps until ‖r‖ ≤ 1e-6 ‖r(0)‖) of one wide network on digits."""
    network, data = FullyConnected(weight_variance=2.0), load(DataConfig(samples=samples))
    limit = np.linalg.eigvalsh(network.tangent_kernel(data.x @ data.x.T, 1))
    kappa = limit[-1] / limit[0]
    steps = int(16 * kappa) if training is GradientDescent else int(40 * np.sqrt(kappa))
    config = training(steps=steps, records=200)
    rate = (1.0 / limit[-1],)
    block = TrainingBlock(
        WIDTH, 1, (0,), (1.0,), rate, config.recorded_steps(), network, config, device="cpu"
    )
    cell = run(block, data).squeeze()
    left = np.log((cell.residual_norm / cell.residual_norm[0]).values)
    after = int(np.argmax(left <= np.log(TOLERANCE)))
    assert after > 0, "it never got there"
    measured = float((cell.ntk_max_eigenvalue / cell.ntk_min_eigenvalue)[0])
    between = np.interp(-np.log(TOLERANCE), -left[after - 1 : after + 1], cell.step[after - 1 : after + 1])
    return measured, float(between)


@pytest.mark.slow
def test_descent_needs_kappa_steps_and_nesterov_its_root() -> None:
    """Both exponents within 0.1 of 1 and ½; descent's is outside what Nesterov's may be."""
    slopes = {}
    for training in (GradientDescent, Nesterov):
        kappa, steps = np.array([steps_to_tolerance(training, n) for n in SAMPLES]).T
        slopes[training] = np.polyfit(np.log(kappa), np.log(steps), 1)[0]
    assert slopes[GradientDescent] == pytest.approx(1.0, abs=0.1)
    assert slopes[Nesterov] == pytest.approx(0.5, abs=0.1)
    assert abs(slopes[GradientDescent] - 0.5) > 0.1
