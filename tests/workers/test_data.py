"""Points and labels: normalised as the theory assumes, refused with row numbers where they cannot be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from pydantic import ValidationError

from tests.tolerances import EXACT, MONTE_CARLO_SE
from widesweep.workers.data import DataConfig, DataError, dimensions, load
from widesweep.workers.data.sources import DIGITS


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


def test_digits_as_classes_are_ten_outputs() -> None:
    """One entry of each row is 1, that of the digit; the points are those of any other labels."""
    from sklearn.datasets import load_digits

    config = DataConfig(samples=40, test_samples=5, labels="class")
    data, digit = load(config), load_digits(return_X_y=True)[1]
    np.testing.assert_array_equal(data.y, np.eye(10)[digit[data.index]])
    np.testing.assert_array_equal(data.x, load(DataConfig(samples=40)).x)
    assert data.test_y.shape == (5, 10)
    assert dimensions(config) == (40, 64, 10, 5)


@pytest.mark.parametrize("rule", ["class", "random", "shuffled"])
def test_chosen_classes_keep_their_rows_and_their_order(rule: str) -> None:
    """Three digits: three outputs in the order given, only rows of theirs; random and shuffled ones too."""
    from sklearn.datasets import load_digits

    config = DataConfig(samples=200, labels=rule, classes=(7, 1, 4))
    data, digit = load(config), load_digits(return_X_y=True)[1]
    true = (digit[data.index][:, None] == np.array([7, 1, 4])).astype(float)
    assert set(digit[data.index]) == {7, 1, 4}
    assert (data.y.sum(1) == 1).all()
    agree = (data.y * true).sum(1).mean()
    assert agree == 1.0 if rule == "class" else 0.2 < agree < 0.5
    assert dimensions(config)[:3] == (200, 64, 3)


def test_a_corrupted_class_is_another_one_with_equal_probability() -> None:
    """A share of 0.4 of 800: each of the four other classes within 5 standard errors of a quarter."""
    settings = {"samples": 800, "labels": "class", "classes": (0, 1, 2, 3, 4)}
    clean, corrupt = (load(DataConfig(corrupted_fraction=f, **settings)).y for f in (0.0, 0.4))
    wrong = (clean != corrupt).any(1)
    assert wrong.sum() == 320
    assert (corrupt.sum(1) == 1).all()
    further = (corrupt[wrong].argmax(1) - clean[wrong].argmax(1)) % 5
    shares = np.bincount(further, minlength=5) / 320
    assert shares[0] == 0
    assert (np.abs(shares[1:] - 0.25) < MONTE_CARLO_SE * np.sqrt(0.25 * 0.75 / 320)).all()


def test_labels_of_several_columns_are_taken_as_given(tmp_path: Path) -> None:
    """(rows, K) as it is, one column as a vector; integers of a file as classes."""
    random = np.random.default_rng(0)
    x, y = random.standard_normal((12, 5)), random.standard_normal((12, 3))
    for name, labels in (("three", y), ("one", y[:, :1]), ("class", np.arange(12) % 4 + 3)):
        np.savez(tmp_path / f"{name}.npz", x=x, y=labels)
    three, one = (load(DataConfig(source=f"{name}.npz", samples=8), tmp_path) for name in ("three", "one"))
    np.testing.assert_array_equal(three.y, y[three.index])
    np.testing.assert_array_equal(one.y, y[one.index, 0])
    config = DataConfig(source="class.npz", samples=8, labels="class")
    np.testing.assert_array_equal(load(config, tmp_path).y.argmax(1), load(config, tmp_path).index % 4)
    assert dimensions(config, tmp_path).outputs == 4
    assert dimensions(DataConfig(source="three.npz", samples=8), tmp_path).outputs == 3


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"source": "sphere", "labels": "class"}, "gives no labels"),
        ({"labels": "class", "classes": (0, 11)}, "no class 11"),
        ({"labels": "class", "classes": (0, 1), "samples": 400}, "at most the source's 360"),
    ],
)
def test_classes_that_are_not_there_are_refused(config: dict[str, object], message: str) -> None:
    """By `plan`, which reads the labels alone, as by `run`."""
    for read in (load, dimensions):
        with pytest.raises(DataError, match=message):
            read(DataConfig(**config))
    with pytest.raises(ValidationError, match="two or more different integers"):
        DataConfig(labels="class", classes=(3, 3))


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


def test_the_digits_that_ship_are_scikit_learns_to_the_last_bit() -> None:
    """The package needs no scikit-learn, and stores that were made with it are the same."""
    from sklearn.datasets import load_digits

    pixels, digit = load_digits(return_X_y=True)
    table = np.loadtxt(DIGITS, delimiter=",")
    assert table[:, :-1].tobytes() == np.ascontiguousarray(pixels).tobytes()
    np.testing.assert_array_equal(table[:, -1], digit)
