"""Every key of a config, read off the pydantic models: what it takes, its default, its meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from docs.generate.markdown import attributes, prose, table
from widesweep.pipeline.config.sweep_config import SweepConfig

HEADER = ("key", "takes", "default", "meaning")
_FILLED = {
    "name": "the file's name, without its ending",
    "store": "`results/NAME.zarr`",
}  # by `widesweep.pipeline.config.sweep_config.load`
_LARGE = 2**31 - 1  # bounds from here up keep numbers in range and tell a reader nothing


def page() -> str:
    """The reference: top-level keys first, then a heading for each section.

    >>> "| `draws` |" in page()
    True
    """
    sections = {name: list(models(field.annotation)) for name, field in SweepConfig.model_fields.items()}
    own = [name for name, found in sections.items() if not found]
    parts = [_keys(SweepConfig, own)]
    parts += [_section(name, found) for name, found in sections.items() if found]
    return "\n\n".join(parts)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation allows, however nested in unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for each in get_args(annotation):
        yield from models(each)


def discriminator(found: list[type[BaseModel]]) -> str | None:
    """The key whose single value tells the models of a section apart."""
    if len(found) == 1:
        return None
    return next(name for name in found[0].model_fields if all("const" in _schema(m, name) for m in found))


def _section(name: str, found: list[type[BaseModel]]) -> str:
    optional = "" if SweepConfig.model_fields[name].is_required() else " (optional)"
    if (key := discriminator(found)) is None:
        model = found[0]
        keys = _keys(model, list(model.model_fields))
        return "\n\n".join([f"## `{name}`{optional}", prose(model), keys, *_kinds_of_values(model)])
    shared = [k for k in found[0].model_fields if k != key and _same(found, k)]
    kinds = ", ".join(f"`{_schema(m, key)['const']}`" for m in found)
    parts = [
        f"## `{name}`{optional}",
        f"`{key}` is one of {kinds}. All kinds take:",
        _keys(found[0], shared),
    ]
    for model in found:
        rest = [k for k in model.model_fields if k != key and k not in shared]
        parts.append(f"### `{key}: {_schema(model, key)['const']}`\n\n{prose(model)}")
        parts += [_keys(model, rest)] if rest else []
    return "\n\n".join(parts)


def _kinds_of_values(model: type[BaseModel]) -> list[str]:
    """A heading for each kind of a key's value that is a mapping, as `source` of `data` may be."""
    parts = []
    for name, field in model.model_fields.items():
        for each in models(field.annotation):
            if "kind" in each.model_fields:
                keys = [key for key in each.model_fields if key != "kind"]
                title = f"### `{name}`, `kind: {_schema(each, 'kind')['const']}`"
                parts.append(f"{title}\n\n{prose(each)}\n\n{_keys(each, keys)}")
    return parts


def _same(found: list[type[BaseModel]], key: str) -> bool:
    return all(key in m.model_fields and _schema(m, key) == _schema(found[0], key) for m in found)


def _keys(model: type[BaseModel], names: list[str]) -> str:
    meanings = attributes(model)
    rows = []
    for name in names:
        default = _default(model.model_fields[name].get_default(call_default_factory=True, validated_data={}))
        if model is SweepConfig:
            default = _FILLED.get(name, default)
        rows.append((f"`{name}`", takes(_schema(model, name), model), default, meanings.get(name, "")))
    return table(HEADER, rows)


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    text = json.dumps(value.model_dump(mode="json") if isinstance(value, BaseModel) else value)
    return "none" if value is None else f"`{text.strip(chr(34))}`"


def _schema(model: type[BaseModel], name: str) -> dict[str, Any]:
    content: dict[str, Any] = model.model_json_schema()["properties"][name]
    return content


def takes(schema: dict[str, Any], model: type[BaseModel]) -> str:
    """What a key takes, in words.

    >>> takes({"type": "integer", "minimum": 1}, SweepConfig)
    'integer from 1'
    >>> takes({"type": "array", "items": {"exclusiveMinimum": 0, "type": "number"}}, SweepConfig)
    'list of: number above 0'
    """
    if "$ref" in schema:
        definition = model.model_json_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
        inner = ", ".join(f"{key}: {takes(each, model)}" for key, each in definition["properties"].items())
        return f"`{{{inner}}}`"
    if options := [*schema.get("anyOf", []), *schema.get("oneOf", [])]:
        words = [takes(each, model) for each in options if each.get("type") != "null"]
        return " or ".join(words)
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    if "prefixItems" in schema:
        return f"[{', '.join(takes(each, model) for each in schema['prefixItems'])}]"
    if schema["type"] == "array":
        return f"list of: {takes(schema['items'], model)}"
    names = {"string": "text", "boolean": "`true`, `false`"}
    return " ".join([names.get(schema["type"], schema["type"]), *_bounds(schema)])


def _bounds(schema: dict[str, Any]) -> list[str]:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    found = [
        f"{word} {schema[key]:g}" for key, word in words.items() if abs(schema.get(key, _LARGE)) < _LARGE
    ]
    even = [f"in steps of {schema['multipleOf']}"] if "multipleOf" in schema else []
    return found + even
