"""Configs made at random from the config's own schema: valid, nearly valid, and extreme."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from widesweep.pipeline.config.sweep_config import SweepConfig
from widesweep.workers.measurements import MEASUREMENTS
from widesweep.workers.random_networks import STATISTICS

SCHEMA = SweepConfig.model_json_schema()
EXTREME: list[Any] = [
    0, 1, 2, -1, 0.0, -0.0, 1e-320, 1e-300, 1e-30, 1e-9, 0.1, 3.0, 50.0, 1e9, 1e30, 1e154, 1e300, 1.7e308,
    1000, 10**5, 10**7, 10**10, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**30,
    [0, 0], [0.0, 0.0], [1e-300, 1e300],
]  # fmt: skip
ODD: list[Any] = [None, True, "", "x", "8", "relu", [], [1], [1, 1], {}, {"a": 1}]
STRINGS = {
    "source": ["sphere", "digits", "sphere", "digits", "nowhere.npz"],
    "name": ["made"],
    "store": ["made.zarr"],
    "memory": ["8GB"],
    "gpu_memory": ["8GB"],
    "factory": [f"tests.workers.my_modules:{name}" for name in ("plain", "normed", "wrong_shape", "nowhere")],
}
SMALL = {"width": [4, 8, 16, 33], "depth": [1, 2, 3], "samples": [2, 3, 6], "test_samples": [0, 3]}
NEVER = {"compute", "name", "store", "kind", "optimizer"}  # not replaced: what they hold is told at once
MEASURED = {
    "training": [*MEASUREMENTS, "tests.workers.my_measurements:nowhere"],
    "initialization": list(STATISTICS),
}
OWN_LOSSES = ["log_cosh", "whole", "nowhere"]
TRACKERS = [[], ["tests.workers.nowhere:Tracker"], "collections:OrderedDict"]


def _resolve(node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        node = SCHEMA["$defs"][node["$ref"].rpartition("/")[2]]
    return node


def _value(node: dict[str, Any], key: str = "") -> st.SearchStrategy[Any]:
    """Values that a schema's node allows, small ones."""
    node = _resolve(node)
    if "const" in node:
        return st.just(node["const"])
    if "enum" in node:
        return st.sampled_from(node["enum"])
    for union in ("anyOf", "oneOf"):
        if union in node:
            return st.one_of([_value(each, key) for each in node[union]])
    kind = node.get("type")
    if kind == "object":
        return _mapping(node)
    if kind == "array":
        return _array(node, key)
    if kind == "integer":
        low = int(node.get("minimum", node.get("exclusiveMinimum", -1) + 1))
        high = int(node.get("maximum", 2**31))
        return st.sampled_from(
            SMALL.get(key) or [v for v in (1, 2, 4, 6, 8, 20) if low <= v <= high] or [low]
        )
    if kind == "number":
        return st.sampled_from(_numbers(node))
    if kind == "boolean":
        return st.booleans()
    return st.none() if kind == "null" else st.sampled_from(STRINGS.get(key, ["x"]))


def _numbers(node: dict[str, Any]) -> list[float]:
    low, high = node.get("minimum", node.get("exclusiveMinimum", -1.0)), node.get("maximum", 4.0)
    high = min(high, node.get("exclusiveMaximum", high))
    ends = (node.get("exclusiveMinimum"), node.get("exclusiveMaximum"))
    inside = [v for v in (0.0, 0.1, 0.5, 1.0, 1.5, 2.0) if low <= v <= high and v not in ends]
    return inside or [low]


def _array(node: dict[str, Any], key: str) -> st.SearchStrategy[Any]:
    if "prefixItems" in node:
        return st.tuples(*(_value(each, key) for each in node["prefixItems"])).map(list)
    least = max(node.get("minItems", 1), 1)
    return st.lists(_value(node.get("items", {}), key), min_size=least, max_size=least + 1, unique_by=repr)


def _mapping(node: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    needed, optional = {}, {}
    for key, child in node.get("properties", {}).items():
        always = key in node.get("required", ()) or "const" in _resolve(child)
        (needed if always else optional)[key] = _value(child, key)
    return st.fixed_dictionaries(needed, optional=optional)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """A config; in two of three, one or two of its values are replaced by extreme or odd ones."""
    properties = {key: node for key, node in SCHEMA["properties"].items() if key not in NEVER}
    content: dict[str, Any] = draw(_mapping({"properties": properties, "required": list(properties)}))
    content["compute"] = {"cpus": 1, "device": "cpu", "memory": "8GB"}
    content["compute"] |= {} if draw(st.booleans()) else {"callbacks": draw(st.sampled_from(TRACKERS))}
    content = {key: value for key, value in content.items() if value is not None}
    _together(draw, content)
    how = draw(st.sampled_from(["valid", "extreme", "extreme", "extreme", "odd"]))
    for _ in range(draw(st.integers(1, 2)) if how != "valid" else 0):
        _replace_one(draw, content, like=how == "extreme")
    return copy.deepcopy(content)


def _together(draw: st.DrawFn, content: dict[str, Any]) -> None:
    """Mends what the sections say of each other, so that most configs are taken."""
    for section, names in MEASURED.items():
        if "measure" in content.get(section, {}):
            content[section]["measure"] = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3))
    if "training" not in content:
        content.setdefault("initialization", {"draws": 1000})
        content["grid"].pop("corrupted_fraction", None)
    else:
        content.setdefault("data", {"source": "sphere", "samples": 4})
        if content["grid"].get("seed") is None:
            content["grid"]["seed"] = 1
        if content["grid"].get("learning_rate") is None:
            content["grid"]["learning_rate"] = [0.5]
    if content["network"]["kind"] in ("two_layer", "random_features"):
        content["grid"]["depth"] = [1]
    if content["network"]["kind"] == "resnet" and "training" in content:
        content.pop("initialization", None)
    if content["network"].get("parameterization") == "du":
        content["network"].pop("weight_variance", None)
        content["network"].pop("bias_variance", None)
    data, digits = content.get("data", {}), content.get("data", {}).get("source", "digits") == "digits"
    data.pop("inputs" if digits else "classes", None)
    if "labels" in data and data["labels"] in (("teacher",) if digits else ("given", "parity", "class")):
        del data["labels"]
    if data.get("classes") is not None:
        data["classes"] = [1, 7]
    if "batch_size" in content.get("training", {}):
        content["training"]["batch_size"] = 1
    _with_its_loss(draw, content)
    if content["network"]["kind"] == "module":
        content["network"] = {
            key: value for key, value in content["network"].items() if key not in ("activation", "trains")
        }
        content.pop("initialization", None)
        content["training"] = content.get("training", {"optimizer": "gd", "steps": 2})
        content["training"].pop("measure", None)
    if content.get("training", {}).get("optimizer") == "package.module:Name":
        content["training"]["optimizer"] = f"tests.workers.my_rules:{draw(st.sampled_from(['Plain', 'No']))}"
        content["training"].pop("options", None)
    if content["network"].get("activation") == "package.module:name":
        del content["network"]["activation"]


def _with_its_loss(draw: st.DrawFn, content: dict[str, Any]) -> None:
    """Labels and images as the loss and the network take them, in most configs."""
    training, data = content.get("training", {}), content.get("data", {})
    if training.get("loss") == "package.module:name":
        training["loss"] = f"tests.workers.my_losses:{draw(st.sampled_from(OWN_LOSSES))}"
    if training.get("loss") == "cross_entropy" and data.get("source", "digits") == "digits":
        data["labels"] = "class"
    if training.get("loss") == "logistic":
        data["labels"] = "parity" if data.get("source", "digits") == "digits" else "random"
        data.pop("classes", None)
    if content["network"]["kind"] == "convolutional" and draw(st.integers(0, 3)):
        content["network"].pop("image", None)
        if data.get("source", "digits") == "sphere":
            data["inputs"], content["network"]["image"] = 12, draw(st.sampled_from([[3, 4], [2, 2, 3]]))


def _replace_one(draw: st.DrawFn, content: dict[str, Any], *, like: bool) -> None:
    """One leaf, chosen from the top; by a number of its own type if `like`."""
    inside: Any = content
    while True:
        keys = (
            [k for k in sorted(inside) if k not in NEVER] if isinstance(inside, dict) else range(len(inside))
        )
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        child = inside[key]
        if not isinstance(child, dict | list) or not child:
            numbers = [v for v in EXTREME if type(v) is type(child)]
            inside[key] = draw(st.sampled_from(numbers if like and numbers else [*ODD, *EXTREME]))
            return
        inside = child
