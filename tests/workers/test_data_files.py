"""Files as other libraries write them: names, packed values, missing values, scales, label values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from widesweep.workers.data import DataConfig, DataError, load

X = np.random.default_rng(0).standard_normal((6, 6)).round(3)
Y = np.arange(6.0)
PACKED = {"dtype": "int16", "scale_factor": 0.001, "add_offset": 1.0, "_FillValue": -32767}


def read(path: Path, **settings: object) -> np.ndarray:
    """Training inputs in the file's own order."""
    data = load(DataConfig(source=str(path), samples=6, normalize="unit", **settings))
    return data.x[np.argsort(data.index)]


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_packed_integers_are_read_as_the_numbers_that_they_stand_for(tmp_path: Path) -> None:
    """int16 with scale_factor and add_offset, written by xarray, gives back x to half the scale."""
    dataset = xr.Dataset({"x": (("sample", "feature"), X), "y": (("sample",), Y)})
    dataset.to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False, encoding={"x": PACKED})
    np.testing.assert_allclose(read(tmp_path / "a.zarr"), unit(X), atol=1e-3)


def test_a_missing_value_is_named_by_its_row(tmp_path: Path) -> None:
    """A value equal to _FillValue is missing; it is refused with its row, never trained on."""
    x = X.copy()
    x[4, 1] = np.nan
    dataset = xr.Dataset({"x": (("sample", "feature"), x), "y": (("sample",), Y)})
    dataset.to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False, encoding={"x": PACKED})
    with pytest.raises(DataError, match=r"row 4: x\[4, 1\] is missing"):
        read(tmp_path / "a.zarr")


@pytest.mark.parametrize("names", [("feature", "sample"), ("a", "b")])
def test_a_square_array_is_read_by_the_names_of_its_dimensions(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    """x stored as (feature, sample) is transposed: its samples are the dimension that y has too."""
    xr.Dataset({"x": (names, X.T), "y": ((names[1],), Y)}).to_zarr(
        tmp_path / "a.zarr", zarr_format=3, consolidated=False
    )
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), unit(X))


def test_a_square_array_that_shares_no_dimension_with_its_labels_is_refused(tmp_path: Path) -> None:
    """Neither name says which dimension the samples are."""
    xr.Dataset({"x": (("a", "b"), X), "y": (("c",), Y)}).to_zarr(
        tmp_path / "a.zarr", zarr_format=3, consolidated=False
    )
    with pytest.raises(DataError, match="one dimension in common"):
        read(tmp_path / "a.zarr")


def test_dates_are_refused_as_inputs(tmp_path: Path) -> None:
    """Numbers with CF units of time are dates."""
    x = xr.DataArray(X.round(), dims=("sample", "feature"), attrs={"units": "days since 2000-01-01"})
    xr.Dataset({"x": x, "y": (("sample",), Y)}).to_zarr(
        tmp_path / "a.zarr", zarr_format=3, consolidated=False
    )
    with pytest.raises(DataError, match="datetime64"):
        read(tmp_path / "a.zarr")


@pytest.mark.parametrize("names", [("X", "y"), ("x_train", "y_train"), ("data", "target")])
def test_names_of_other_libraries_are_read(tmp_path: Path, names: tuple[str, str]) -> None:
    """Keras' and scikit-learn's names; a Keras file's test points are left alone."""
    extra = {"x_test": X[:2], "y_test": Y[:2]}
    np.savez(tmp_path / "a.npz", **{names[0]: X, names[1]: Y}, **extra)
    np.testing.assert_array_equal(read(tmp_path / "a.npz"), unit(X))
    assert load(DataConfig(source=str(tmp_path / "a.npz"), samples=6)).y.max() == 5.0


def test_two_arrays_of_inputs_are_refused(tmp_path: Path) -> None:
    """x and x_train in one file: which is meant is not guessed."""
    np.savez(tmp_path / "a.npz", x=X, x_train=X, y=Y)
    with pytest.raises(DataError, match="has x, x_train, y; one array of inputs"):
        read(tmp_path / "a.npz")


def test_images_are_refused_with_what_to_do(tmp_path: Path) -> None:
    """Keras' x_train of shape (6, 2, 3) is one of images."""
    np.savez(tmp_path / "a.npz", x_train=X.reshape(6, 2, 3), y_train=Y)
    with pytest.raises(DataError, match=r"shape \(6, 2, 3\), as images have.*reshape"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e300])
@pytest.mark.parametrize("normalize", ["unit", "sphere"])
def test_inputs_of_any_scale_have_unit_norm(tmp_path: Path, scale: float, normalize: str) -> None:
    """The unit of the inputs is arbitrary: 1e±200 of it gives the same points."""
    points = []
    for factor in (1.0, scale):
        np.savez(tmp_path / "a.npz", x=X * factor, y=Y)
        points.append(load(DataConfig(source=str(tmp_path / "a.npz"), samples=6, normalize=normalize)).x)
    np.testing.assert_allclose(points[1], points[0], rtol=1e-12)


def test_integers_that_float64_does_not_hold_are_refused(tmp_path: Path) -> None:
    """2^53 + 1 would be rounded in silence."""
    np.savez(tmp_path / "a.npz", x=np.full((6, 2), 2**53 + 3, dtype=np.uint64), y=Y)
    with pytest.raises(DataError, match="integers beyond"):
        read(tmp_path / "a.npz")


def test_home_and_variables_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """~/a.npz and $POINTS/a.npz are that file, whatever the config's folder."""
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("POINTS", str(tmp_path))
    for source in ("~/a.npz", "$POINTS/a.npz"):
        assert load(DataConfig(source=source, samples=6), Path("/nowhere")).x.shape == (6, 6)


def corrupted(tmp_path: Path, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels of eight rows, given and half corrupted."""
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(1).standard_normal((8, 4)), y=y)
    config = DataConfig(source=str(tmp_path / "a.npz"), samples=8)
    wrong = config.model_copy(update={"corrupted_fraction": 0.5})
    return load(config).y, load(wrong).y


@pytest.mark.parametrize("values", [(0.0, 1.0), (-1.0, 1.0), (3.0, 8.0)])
def test_of_two_label_values_each_becomes_the_other(tmp_path: Path, values: tuple[float, float]) -> None:
    """Half of eight labels are wrong, and there is no third value."""
    clean, wrong = corrupted(tmp_path, np.array(values * 4))
    assert (clean != wrong).sum() == 4
    assert set(wrong) == set(values)


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_a_corrupted_one_hot_row_is_another_class(tmp_path: Path, low: float) -> None:
    """Every row keeps exactly one high entry, in four of eight rows at another place."""
    clean, wrong = corrupted(tmp_path, np.where(np.eye(4)[np.arange(8) % 4] == 1, 1.0, low))
    assert ((wrong == 1.0).sum(axis=1) == 1).all()
    assert set(np.unique(wrong)) == {low, 1.0}
    assert (clean.argmax(axis=1) != wrong.argmax(axis=1)).sum() == 4


@pytest.mark.parametrize("y", [np.arange(8) % 3, np.linspace(0.0, 1.0, 8), np.arange(16.0).reshape(8, 2)])
def test_labels_without_a_wrong_value_are_not_corrupted(tmp_path: Path, y: np.ndarray) -> None:
    """Three numbers, real values, columns that are no classes: refused, with what would do."""
    with pytest.raises(DataError, match=r"corrupted_fraction.*labels: class"):
        corrupted(tmp_path, y)
