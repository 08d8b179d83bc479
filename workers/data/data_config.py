"""The config's section `data`, and the error that its reading may raise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from widesweep.workers.data.drawn_sources import DrawnSource


class DataConfig(BaseModel):
    """Which points are trained on, with which labels.

    `source`: digits (scikit-learn's, 8 × 8 pixels), sphere (uniform on the unit sphere of `inputs`
    dimensions), or a path to .npz or .zarr with arrays x (rows, inputs) and y (rows) or (rows, K),
    or to the files of MNIST (IDX) or CIFAR-10. Of K labels in a row each is one output of the network. A
    mapping draws points of `inputs` dimensions with labels of their own: `{kind: teacher, width, depth,
    activation, seed}`, a fixed random network on the sphere; `{kind: power_law, exponent, target_exponent}`,
    Gaussian points whose variances, and the power of a linear target along them, fall like powers;
    `{kind: sphere_polynomial, degree}`, a Gegenbauer polynomial on the sphere.

    Attributes:
        source: `digits`, `sphere`, a mapping with a `kind` as above, or a path to a .npz or .zarr; a relative
            one starts from the config's folder, `~` and `$VARIABLE` are expanded.
        samples: n, training points, drawn from the source's rows without replacement.
        test_samples: points beside them that are never trained on.
        labels: `given` (a file's y or a drawn source's own, their default), `parity` of the digit (its
            default), `class` (an integer label as one of K outputs: 1 there, 0 elsewhere), `teacher` (a
            random two-layer network of eight neurons, the sphere's default), `random` signs, or `shuffled`
            ones.
        classes: keeps the rows of these classes alone; outputs are in their order, `random` and `shuffled`
            labels are classes too. Default: all rows.
        corrupted_fraction: share of the training labels that are wrong: the other one of two values, another
            class, or for a teacher's labels the other sign.
        noise: standard deviation of Gaussian noise on the training labels; test labels have none.
        normalize: `sphere` subtracts the mean over the source and scales each row to norm 1, `unit` scales.
        drop_parallel: whether of two parallel inputs the first is kept; without it they are an input error.
        inputs: dimension of the `sphere` and of drawn sources; default 10.
        seed: of the choice of rows, of the sphere, and of labels that are drawn.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str | DrawnSource = "digits"
    samples: Annotated[int, Field(ge=1, strict=True)] = 32
    test_samples: Annotated[int, Field(ge=0, strict=True)] = 0
    labels: Literal["given", "parity", "class", "teacher", "random", "shuffled"] | None = None
    classes: tuple[Annotated[int, Field(strict=True)], ...] | None = None
    corrupted_fraction: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.0
    noise: Annotated[float, Field(ge=0, le=1e100, allow_inf_nan=False)] = 0.0
    normalize: Literal["sphere", "unit"] = "sphere"
    drop_parallel: bool = False
    inputs: Annotated[int, Field(ge=2, strict=True)] | None = None
    seed: Annotated[int, Field(ge=0, strict=True)] = 0

    @field_validator("classes")
    @classmethod
    def _several(cls, classes: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if classes is not None and (len(classes) < 2 or len(set(classes)) < len(classes)):
            raise ValueError(f"{list(classes)} are no classes; two or more different integers are wanted")
        return classes

    @property
    def label_rule(self) -> str:
        """The labels' rule, with each source's default filled in."""
        return self.labels or {"digits": "parity", "sphere": "teacher"}.get(self.source_name, "given")

    @property
    def source_name(self) -> str:
        """The source's name or path, or the kind of one that is drawn."""
        return self.source if isinstance(self.source, str) else self.source.kind

    @property
    def is_drawn(self) -> bool:
        """Whether points are drawn from a distribution, whose mean is 0, one after another."""
        return self.source == "sphere" or not isinstance(self.source, str)

    @property
    def path(self) -> str:
        """Of the source's file; empty for one that the config alone defines."""
        built_in = self.is_drawn or self.source == "digits"
        return "" if built_in else self.source_name

    @property
    def classifies(self) -> bool:
        """Whether every label is one of K classes, one output for each."""
        rule = self.label_rule
        return rule == "class" or (self.classes is not None and rule in ("random", "shuffled"))


@dataclass
class DataError(ValueError):
    """The data cannot be used as asked.

    Attributes:
        field: the config's key that is at fault, such as "samples".
        found: what was found.
        wanted: what was wanted.
        hint: the next step.
    """

    field: str
    found: str
    wanted: str
    hint: str = ""
    exit_code = 2

    def __str__(self) -> str:
        """One sentence with all four parts."""
        return f"data.{self.field}: {self.found}; {self.wanted}." + (f" {self.hint}" if self.hint else "")


class ImagesError(DataError):
    """The points are images, and the network takes rows of numbers."""
