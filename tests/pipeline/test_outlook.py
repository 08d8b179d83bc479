"""What `widesweep theory` adds for a theorist, each number by another route."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tolerances import EXACT
from widesweep.pipeline.config import sweep_config as configs
from widesweep.pipeline.plan import data as data_source
from widesweep.pipeline.predict import prediction as predict
from widesweep.pipeline.predict import tables
from widesweep.pipeline.predict.limits import Limits

TEXT = """
name: outlook
network: {kind: KIND, activation: ACTIVATION}
data: {source: sphere, inputs: 4, samples: 7}
grid: {width: [32, 64], depth: [1, 2], seed: 1, learning_rate: [0.5, 1.0]}
training: {steps: 5}
store: never.zarr
"""


def found(
    tmp_path: Path, activation: str, kind: str = "fully_connected"
) -> tuple[configs.SweepConfig, dict, predict.Prediction, np.ndarray]:
    path = tmp_path / "c.yaml"
    path.write_text(TEXT.replace("ACTIVATION", activation).replace("KIND", kind))
    sweep = configs.load(path, ())
    data = data_source.load_data(sweep)
    prediction = predict.predict(sweep.config, data)
    result = predict.summary(sweep.config, prediction)
    result |= tables.outlook(sweep.config, data, prediction, Limits(data.x))
    return sweep.config, result, prediction, data.y


def test_predicted_steps_are_the_first_that_reach_the_tolerance(tmp_path: Path) -> None:
    """Plain iteration r ← (I − ηΘ) r crosses 1e-6 at that very step."""
    config, result, prediction, y = found(tmp_path, "relu")
    kernel = prediction.values["infinite_ntk"][1]
    eta = 0.5 / np.linalg.eigvalsh(kernel)[-1]
    r, steps = -y, 0
    while np.linalg.norm(r) > tables.TOLERANCE * np.linalg.norm(y):
        r, steps = r - eta * kernel @ r, steps + 1
    assert result["steps_predicted"]["2"]["0.5"] == steps
    assert "steps to 1e-6, η = 0.5" in tables.text(config, result)


def test_a_rate_in_units_of_stability_is_where_the_linearised_model_stops_converging(tmp_path: Path) -> None:
    """At 0.99 of 2/λ_max plain iteration r ← (I − ηΘ) r shrinks, at 1.01 it grows, whatever the depth."""
    text = TEXT.replace("[0.5, 1.0]", "[0.99, 1.01]").replace(
        "{steps: 5}", "{steps: 5, learning_rate_unit: stability}"
    )
    path = tmp_path / "c.yaml"
    path.write_text(text.replace("ACTIVATION", "tanh").replace("KIND", "fully_connected"))
    sweep = configs.load(path, ())
    prediction = predict.predict(sweep.config, data_source.load_data(sweep))
    for depth, kernel in enumerate(prediction.values["infinite_ntk"]):
        for rate, grows in zip(prediction.learning_rate_absolute[0, depth], (False, True), strict=True):
            top = np.linalg.eigh(kernel)[1][:, -1]
            after = np.linalg.matrix_power(np.eye(len(kernel)) - rate * kernel, 100) @ top
            assert (np.linalg.norm(after) > 1.0) == grows


def test_the_laws_that_will_speak_are_named_with_their_regimes(tmp_path: Path) -> None:
    """Laws of drift speak of ntk and mup; the convergence rate not of mup, with the reason."""
    path, seen = tmp_path / "c.yaml", {}
    for name in ("ntk", "mup"):
        kind = f"fully_connected, parameterization: {name}"
        path.write_text(TEXT.replace("ACTIVATION", "tanh").replace("KIND", kind))
        sweep = configs.load(path, ())
        found = tables.predictions(sweep.config, data_source.load_data(sweep))
        seen[name] = found["laws"]
        shown = tables.text(sweep.config, found)
        assert "weight_drift" in shown
        assert "Speaks of networks parameterised as ntk or du" in shown
    assert seen["ntk"]["convergence_rate"]["speaks"]
    assert not seen["mup"]["convergence_rate"]["speaks"]
    assert "learns features" in seen["mup"]["convergence_rate"]["reason"]
    assert seen["mup"]["kernel_drift"]["speaks"]
    assert "linearization" not in seen["ntk"]
    assert "cumulants" not in seen["ntk"]


def test_the_required_width_is_that_of_the_theorem(tmp_path: Path) -> None:
    """n⁶/(λ0⁴δ³) with λ0 of H^∞ from its arccosine formula; the condition number from the stored spectrum."""
    config, result, prediction, y = found(tmp_path, "relu")
    path = tmp_path / "c.yaml"
    x = data_source.load_data(configs.load(path, ())).x
    cosine = np.clip(x @ x.T, -1, 1)
    least = np.linalg.eigvalsh(cosine * (np.pi - np.arccos(cosine)) / (2 * np.pi))[0]
    assert result["width_required"]["1"] == pytest.approx(len(y) ** 6 / (least**4 * 0.1**3), rel=1e-6)
    values = prediction.values
    assert result["condition_number"]["2"] == pytest.approx(
        values["lambda_max"][1] / values["lambda_min"][1], rel=EXACT
    )
    assert result["fourth_cumulant"]["64"]["1"] == pytest.approx(15 / 64, rel=EXACT)
    assert result["depth_over_width"]["32"]["2"] == 2 / 32
    assert "this grid's largest is 64" in tables.text(config, result)


def test_residual_networks_have_no_width_of_fully_connected_ones(tmp_path: Path) -> None:
    """The 2^H formula is of fully connected networks: others have neither number nor legend."""
    config, result, _, _ = found(tmp_path, "relu", "resnet")
    assert result["width_required"] == {"1": None, "2": None}
    assert "what the theorem asks for" not in tables.text(config, result)
    assert "what the theorem asks for" in tables.text(*found(tmp_path, "relu")[:2])


def test_a_least_eigenvalue_within_rounding_of_zero_gives_no_rate(tmp_path: Path) -> None:
    """Linear networks on 7 points in 4 dimensions: the kernel has rank 4, and no rate or time is quoted."""
    config, result, prediction, _ = found(tmp_path, "linear")
    assert result["condition_number"] == {"1": None, "2": None}
    assert np.isnan(prediction.values["rate_predicted"]).all()
    assert result["steps_predicted"]["1"] == {"0.5": None, "1": None}
    assert "0 to rounding" in tables.text(config, result)


def test_each_kernel_is_decomposed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One eigendecomposition for each depth, however many learning rates and shares of wrong labels."""
    path, solve, sizes = tmp_path / "c.yaml", np.linalg.eigh, []
    text = TEXT.replace("ACTIVATION", "relu").replace("KIND", "fully_connected")
    path.write_text(text.replace("[0.5, 1.0]", "[0.5, 1.0, 1.5], corrupted_fraction: [0.0, 0.3]"))
    sweep = configs.load(path, ())
    data = data_source.load_data(sweep)
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (sizes.append(len(matrix)), solve(matrix))[1])
    result = tables.predictions(sweep.config, data)
    assert sizes == [7, 7]
    assert result["steps_predicted"]["1"]["0"] != result["steps_predicted"]["1"]["0.3"]
