"""An optimiser of one's own: `package.module:Name` of an update rule."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import Field, JsonValue, StringConstraints, WithJsonSchema

from widesweep.theory.registry import Registry
from widesweep.workers.optimizers.update_rule import RuleTraining, UpdateRule


def _accepted(name: str, found: object) -> Callable[..., UpdateRule]:
    """A class or function that makes a rule, or a rule itself."""
    if isinstance(found, type):
        missing = [each for each in ("arrays", "update") if not hasattr(found, each)]
        if missing:
            raise TypeError(f"it has no {' and no '.join(missing)}; an update rule has arrays and update")
        parameters = list(inspect.signature(found.update).parameters)  # type: ignore[attr-defined]
        if len(parameters) != 6:
            wanted = "(self, parameter, gradient, state, learning_rate, step)"
            raise TypeError(f"its update takes {len(parameters)} arguments; {wanted} are wanted")
    if not callable(found):
        raise TypeError(f"it is {type(found)}, not a class with arrays and update")
    return found


OPTIMIZERS: Registry[Callable[..., UpdateRule]] = Registry("optimizer", _accepted, {})


class CustomOptimizer(RuleTraining):
    """An update rule of one's own: a class with `arrays` and `update(parameter, gradient, state, η, step)`.

    Attributes:
        options: arguments of the class, by name.
    """

    optimizer: Annotated[
        str,
        StringConstraints(pattern=r"^[\w.]+:[\w.]+$"),
        WithJsonSchema({"type": "string", "const": "package.module:Name"}),
    ]
    options: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def rule(self) -> Any:
        """The rule, imported here."""
        return OPTIMIZERS.get(self.optimizer)(**self.options)
