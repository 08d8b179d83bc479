"""Points and labels: normalised as the theory assumes, refused with row numbers where they cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.tolerances import EXACT
from workers.data import DataConfig, DataError, dimensions, load


def test_digits_are_centred_over_the_source_and_have_unit_norm() -> None:
    """All 1,797 rows: unit norm, and before scaling their mean is zero."""
    from sklearn.datasets import load_digits

    data = load(DataConfig(samples=200, test_samples=50))
    images, digit = load_digits(return_X_y=True)
    centred = images[data.index] - images.mean(0)
    np.testing.assert_allclose(data.x, centred / np.linalg.norm(centred, axis=1, keepdims=True), atol=EXACT)
    np.testing.assert_array_equal(data.y, np.where(digit[data.index] % 2 == 0, 1.0, -1.0))
    assert len(data.test_x) == 50
    assert not set(map(bytes, data.x)) & set(map(bytes, data.test_x))


def test_training_points_do_not_depend_on_how_many_are_tested_on() -> None:
    """Asking for test points leaves the training points as they are, for every built-in source."""
    for source in ("digits", "sphere"):
        alone = load(DataConfig(source=source, samples=9))
        both = load(DataConfig(source=source, samples=9, test_samples=7))
        np.testing.assert_array_equal(alone.x, both.x)


def test_corruption_flips_just_so_many_signs() -> None:
    """A quarter of 40 labels: ten flipped, the others as they were."""
    clean, corrupt = (load(DataConfig(samples=40, corrupted_fraction=f)).y for f in (0.0, 0.25))
    assert (clean != corrupt).sum() == 10
    np.testing.assert_array_equal(np.abs(clean), np.abs(corrupt))


def test_shuffled_labels_keep_their_balance_over_the_source() -> None:
    """Over all rows, shuffling changes which point has which label, not how many there are."""
    plain, shuffled = (load(DataConfig(samples=1797, labels=rule)).y for rule in ("parity", "shuffled"))
    assert plain.sum() == shuffled.sum()
    assert (plain != shuffled).any()


def test_npz_and_zarr_give_the_same_points(tmp_path: Path) -> None:
    """One array pair in both formats; relative paths start at the base."""
    random = np.random.default_rng(0)
    x, y = random.standard_normal((12, 5)), random.standard_normal(12)
    np.savez(tmp_path / "points.npz", x=x, y=y)
    group = zarr.open_group(str(tmp_path / "points.zarr"), mode="w")
    group.create_array("x", data=x)
    group.create_array("y", data=y)
    first, second = (
        load(DataConfig(source=f"points.{kind}", samples=8), tmp_path) for kind in ("npz", "zarr")
    )
    np.testing.assert_array_equal(first.x, second.x)
    np.testing.assert_array_equal(first.y, y[first.index])
    assert dimensions(DataConfig(source="points.npz", samples=8), tmp_path)[:3] == (8, 5, 1)


def save(tmp_path: Path, **arrays: np.ndarray) -> DataConfig:
    np.savez(tmp_path / "bad.npz", **arrays)
    return DataConfig(source="bad.npz", samples=3)


GOOD = np.eye(5)
BAD_ARRAYS = {
    "no x": {"z": GOOD},
    "one dimension": {"x": np.ones(5)},
    "short y": {"x": GOOD, "y": np.ones(4)},
    "text": {"x": np.full((5, 2), "a")},
    "not finite": {"x": np.where(GOOD == 1, np.nan, GOOD), "y": np.ones(5)},
    "an object": {"x": np.array([[{}] * 2] * 3, dtype=object)},
    "no labels": {"x": GOOD},
    "empty": {"x": np.ones((0, 3)), "y": np.ones(0)},
}


@pytest.mark.parametrize("arrays", BAD_ARRAYS.values(), ids=BAD_ARRAYS.keys())
def test_malformed_arrays_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Each is one DataError that says what was found and what was wanted, with no pickle read."""
    with pytest.raises(DataError, match=";"):
        load(save(tmp_path, **arrays), tmp_path)


def test_parallel_rows_are_named_or_dropped(tmp_path: Path) -> None:
    """Rows 1 and 3 are antipodes: both are named; `drop_parallel` keeps one of them."""
    x = np.random.default_rng(1).standard_normal((5, 3))
    x[3] = -2.0 * x[1]
    np.savez(tmp_path / "p.npz", x=x, y=np.arange(5.0))
    settings = {"source": "p.npz", "normalize": "unit"}
    with pytest.raises(DataError, match=r"rows (1 and 3|3 and 1) are parallel"):
        load(DataConfig(samples=5, **settings), tmp_path)
    kept = load(DataConfig(samples=4, drop_parallel=True, **settings), tmp_path)
    assert len(set(kept.index) & {1, 3}) == 1
    with pytest.raises(DataError, match="4 are left"):
        load(DataConfig(samples=5, drop_parallel=True, **settings), tmp_path)


def test_a_damaged_or_missing_file_and_too_many_rows_are_refused(tmp_path: Path) -> None:
    """Missing path, a file that is no archive, an unknown source, more samples than rows."""
    (tmp_path / "noise.npz").write_bytes(b"\x00\x01 no archive")
    for source in ("missing.npz", "noise.npz", "cifar", "missing.zarr"):
        with pytest.raises(DataError, match="source"):
            load(DataConfig(source=source, samples=2), tmp_path)
    for read in (load, dimensions):
        with pytest.raises(DataError, match="1797"):
            read(DataConfig(samples=1790, test_samples=8))
