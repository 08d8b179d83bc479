"""Turns what pydantic found wrong into messages that name file, key, value, wish and next step."""

from __future__ import annotations

import functools
import re
from typing import Any

from pydantic import BaseModel, ValidationError

from widesweep.pipeline.config import intended
from widesweep.pipeline.config.yaml_text import describe
from widesweep.pipeline.errors import CollectedInputError, InputError
from widesweep.theory.registry import nearest

_WANTED = {
    "int_type": "it must be an integer",
    "int_from_float": "it must be an integer",
    "int_parsing_size": "it must be a smaller integer",
    "float_type": "it must be a number",
    "finite_number": "it must be a finite number",
    "string_type": "it must be text",
    "bool_type": "it must be true or false",
    "tuple_type": "it must be a list",
    "list_type": "it must be a list",
    "dict_type": "it must be a mapping",
    "model_type": "it must be a mapping of keys",
    "model_attributes_type": "it must be a mapping of keys",
    "string_too_short": "it must not be empty",
}


_TAGS = ("union_tag_invalid", "union_tag_not_found")
_TELLING = ("duplicate", "value_error", "extra_forbidden", *_TAGS)  # of a union's complaints, these say most


def translate(
    error: ValidationError, raw: dict[str, Any], model: type[BaseModel], file: str, origins: dict[str, str]
) -> InputError:
    """One message for everything that pydantic refused.

    Args:
        error: what pydantic raised.
        raw: the parsed config that it was given.
        model: the config's model, for the valid keys and the words of its fields.
        file: the config's name in messages.
        origins: key paths set by `--set` or by a base, with the assignment or the place.
    """
    schema = _schema(model)
    found: dict[str, list[dict[str, Any]]] = {}
    for item in error.errors(include_url=False):
        path, parts = _path(item["loc"], raw, missing=item["type"] == "missing")
        found.setdefault(path, []).append({**item, "parts": parts})
    inner = {path: items for path, items in found.items() if not _has_inner(path, found)}
    messages = [_message(path, items, schema, file, origins) for path, items in inner.items()]
    return messages[0] if len(messages) == 1 else CollectedInputError(messages)


@functools.cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _has_inner(path: str, found: dict[str, Any]) -> bool:
    """Whether something inside is wrong too: then that is the news."""
    return any(other.startswith((f"{path}.", f"{path}[")) for other in found) if path else False


def _path(location: tuple[Any, ...], raw: Any, missing: bool) -> tuple[str, list[Any]]:
    """The path as a user would write it: pydantic's own marks of union members fall out."""
    path = ""
    parts: list[Any] = []
    for position, part in enumerate(location):
        is_last = position == len(location) - 1
        if isinstance(raw, dict) and isinstance(part, str) and (part in raw or (missing and is_last)):
            path, raw = (f"{path}.{part}" if path else part), raw.get(part)
            parts.append(part)
        elif isinstance(raw, list) and isinstance(part, int) and part < len(raw):
            path, raw = f"{path}[{part}]", raw[part]
            parts.append(part)
    return path, parts


def _message(
    path: str, items: list[dict[str, Any]], schema: dict[str, Any], file: str, origins: dict[str, str]
) -> InputError:
    item = next((each for each in items if each["type"] in _TELLING), items[0])
    kind = item["type"]
    where = _where(f"{path}.{_tag(item)}" if kind in _TAGS else path, file, origins)
    if kind == "extra_forbidden":
        return _unknown_key(where, item["parts"], schema)
    if kind in _TAGS:
        return _unknown_kind(where, item)
    if kind == "missing" and isinstance(item["loc"][-1], int):
        return InputError(where, f"found {describe(item['input'])}", "it has too few values")
    if kind == "missing":
        return InputError(
            where, "it is missing", _words(item["parts"], schema).get("wanted", "give it a value")
        )
    if kind == "value_error":
        found_there, wanted_there = _split(str(item["ctx"]["error"]))
        return InputError(where, found_there, _known_word(item, schema) or wanted_there)
    if kind == "json_invalid":
        return InputError(where, "a value cannot be read", "a config holds plain values")
    words = _words(item["parts"], schema)
    if "noun" in words:
        value = str(item["msg"]) if kind == "duplicate" else describe(item["input"])
        found = value if kind == "duplicate" else f"{value} is not {words['noun']}"
        return InputError(where, found, _with(words["wanted"], intended.value(item["input"], "number")))
    wanted = list(dict.fromkeys(_wanted(each) for each in items))
    likely = intended.value(item["input"], "bool" if kind.startswith("bool") else "number")
    hint = "" if {each["type"] for each in items} & {"literal_error", "string_type"} else likely
    return InputError(where, f"found {describe(item['input'])}", _with(" or ".join(wanted), hint))


def _known_word(item: dict[str, Any], schema: dict[str, Any]) -> str:
    """Our word for a value that another library calls otherwise, where a key has it; else empty."""
    value = item["input"]
    ours = intended.VALUES.get(value.lower()) if isinstance(value, str) else None
    parts = [part for part in item["parts"] if isinstance(part, str)]
    return f"the nearest is '{ours}'" if any(ours in n.get("enum", ()) for n in _nodes(schema, parts)) else ""


def _with(wanted: str, hint: str) -> str:
    return f"{wanted}; {hint}" if hint else wanted


def _where(path: str, file: str, origins: dict[str, str]) -> str:
    for key, origin in origins.items():
        if path == key or path.startswith((f"{key}.", f"{key}[")):
            return origin if path == key else f"{origin.removesuffix(f', {key}')}, {path}"
    return f"{file}, {path}" if path else file


def _split(message: str) -> tuple[str, str]:
    """A validator's "found; wanted" as two parts."""
    found, separator, wanted = message.rstrip(".").partition("; ")
    return (found, wanted) if separator else (found, "correct it")


def _wanted(item: dict[str, Any]) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind in _WANTED:
        return _WANTED[kind]
    if kind == "literal_error":
        return f"it must be {context['expected']}" + _hint(item.get("input"), str(context["expected"]))
    if kind == "string_too_long":
        return f"it must have at most {context['max_length']} characters"
    limits = {"greater_than": "above", "greater_than_equal": "at least", "less_than": "below"}
    limits["less_than_equal"] = "at most"
    if kind in limits:
        return f"it must be {limits[kind]} {next(iter(context.values()))}"
    message = str(item["msg"]).rstrip(".")
    return re.sub(r"^Input should", "it should", message)


def _tag(item: dict[str, Any]) -> str:
    """The key that names a union's member, as pydantic quotes it: 'kind', or optimizer()."""
    return str(item.get("ctx", {}).get("discriminator", "kind")).strip("'()")


def _unknown_kind(where: str, item: dict[str, Any]) -> InputError:
    context = item.get("ctx", {})
    tags = str(context.get("expected_tags", ""))
    wanted = f"it is one of {tags}{_hint(context.get('tag'), tags)}" if tags else "name its kind"
    found = f"'{context['tag']}' is not known" if "tag" in context else "it is missing"
    return InputError(where, found, wanted)


def _hint(value: Any, expected: str) -> str:
    """The nearest of the words that pydantic quotes: 'a', 'b' or 'c'."""
    near = intended.word(value, re.findall(r"'([^']*)'", expected))
    return f"; the nearest is '{near}'" if near else ""


def _unknown_key(where: str, parts: list[Any], schema: dict[str, Any]) -> InputError:
    """Names the key that was likely meant: beside the unknown one, or anywhere in the config."""
    key = str(parts[-1])
    beside = sorted(_properties(schema, parts[:-1]))
    if key in beside:
        owners = _owners(key, parts, schema)
        return InputError(where, f"'{key}' is not a key of this kind", f"it belongs to {owners}")
    found = f"'{key}' is not a key here"
    if ":" in key and (written := intended.spaced(key)):
        return InputError(where, found, written)
    anywhere = {path.rpartition(".")[2]: path for path in _all_paths(schema)}
    near = anywhere.get(key) or intended.KEYS.get(key.lower()) or nearest(key, beside)
    if near is None and (far := nearest(key, sorted(anywhere), cutoff=0.75)):
        near = anywhere[far]
    if near:
        return InputError(where, found, f"the nearest key is '{near}'")
    return InputError(where, found, f"the keys here are {', '.join(beside)}")


def _owners(key: str, parts: list[Any], schema: dict[str, Any]) -> str:
    """The kinds of a union that have a key: "optimizer sgd or langevin"."""
    names: dict[str, list[str]] = {}
    for node in _nodes(schema, parts[:-1]):
        properties = node.get("properties", {})
        for tag in [name for name, entry in properties.items() if "const" in entry and key in properties]:
            names.setdefault(tag, []).append(str(properties[tag]["const"]))
    return " or ".join(f"{tag} {' or '.join(kinds)}" for tag, kinds in names.items()) or "others"


def _all_paths(schema: dict[str, Any]) -> list[str]:
    top = _properties(schema, [])
    return [*top, *(f"{key}.{child}" for key in top for child in _properties(schema, [key]))]


def _words(parts: list[Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema's entry of the innermost named key: its `noun` and `wanted`, where the field gives them."""
    names = [part for part in parts if isinstance(part, str)]
    return _properties(schema, names[:-1]).get(names[-1], {}) if names else {}


def _properties(schema: dict[str, Any], parts: list[Any]) -> dict[str, dict[str, Any]]:
    """Keys valid under a path, over all members of a union."""
    return {key: entry for node in _nodes(schema, parts) for key, entry in node.get("properties", {}).items()}


def _nodes(schema: dict[str, Any], parts: list[Any]) -> list[dict[str, Any]]:
    """What the schema has under a path: every member of a union."""
    nodes = [schema]
    for part in [None, *(part for part in parts if isinstance(part, str))]:
        reached = (
            nodes
            if part is None
            else [n["properties"][part] for n in nodes if part in n.get("properties", {})]
        )
        nodes = [member for node in reached for member in _members(node, schema)]
    return nodes


def _members(node: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in node:
        return _members(schema["$defs"][node["$ref"].rpartition("/")[2]], schema)
    options = [*node.get("anyOf", []), *node.get("oneOf", []), *node.get("allOf", [])]
    return [member for option in options for member in _members(option, schema)] or [node]
