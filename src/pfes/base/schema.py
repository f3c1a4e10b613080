"""What the declarations of settings say, in other forms: JSON schema, commented YAML, rows of a reference.

A declaration is a dataclass whose fields are ``pfes.base.config.setting``; a field that is such a dataclass is a section,
and so is each of its ``sections`` (those of methods), whose docstring begins with what it is.
"""

import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import yaml

PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}


class Setting(NamedTuple):
    """One setting: its path in the configuration, default, declaration and JSON schema."""

    path: str
    default: Any
    about: str
    changes_results: bool
    schema: Mapping[str, Any]


def schema_of(default: Any, about: str = "") -> dict[str, Any]:
    """Return the JSON schema of a section from its dataclass with default values, ``default``."""
    properties: dict[str, Any] = {}
    for item in _declared(default):
        if item.kind is None:
            properties[item.name] = schema_of(item.value, item.about)
        else:
            own = _type(item.kind) | {"description": item.about, "default": _plain(item.value)}
            properties[item.name] = own | {key: _plain(rule) for key, rule in _merged_rules(own, item.rules)}
    head = {"description": about} if about else {}
    return {"type": "object", **head, "additionalProperties": False, "properties": properties}


def settings_of(default: Any, path: str = "") -> Iterator[Setting]:
    """Yield every setting of a section, those of its sections included, in their order."""
    for item in _declared(default):
        place = f"{path}.{item.name}".lstrip(".")
        if item.kind is None:
            yield from settings_of(item.value, place)
        else:
            own = _type(item.kind)
            schema = own | dict(_merged_rules(own, item.rules))
            yield Setting(place, _plain(item.value), item.about, item.changes_results, schema)


def yaml_of(default: Any, indent: int = 0) -> str:
    """Return a section as YAML, every setting with its default and a comment that says what it is."""
    lines: list[str] = []
    margin = "  " * indent
    for item in _declared(default):
        if item.kind is None:
            lines += [""] * (not indent) + [f"{margin}{item.name}:  # {item.about}", yaml_of(item.value, indent + 1)]
        else:
            lines.append(f"{margin}{item.name}: {_flow(item.value)}  # {item.about}")
    return "\n".join(lines)


class _Declared(NamedTuple):
    """A setting of a section with its type, or a section in it (``kind`` None)."""

    name: str
    value: Any
    about: str
    changes_results: bool
    rules: Mapping[str, Any]
    kind: Any


def _declared(default: Any) -> Iterator[_Declared]:
    """Yield what a section declares: its fields in their order, then the sections of methods."""
    hints = get_type_hints(type(default))
    for item in fields(default):
        if "about" in item.metadata:
            said, value = item.metadata, getattr(default, item.name)
            kind = None if is_dataclass(value) else hints[item.name]
            yield _Declared(item.name, value, said["about"], said["changes_results"], said["rules"], kind)
    for own in getattr(default, "sections", ()):
        about = (type(own).__doc__ or "").partition("\n")[0].rstrip(".")
        yield _Declared(type(own).section, own, about[:1].lower() + about[1:], True, {}, None)


def _merged_rules(own: Mapping[str, Any], rules: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, rule in rules.items():
        yield key, {**own.get(key, {}), **rule} if isinstance(rule, Mapping) else rule


def _type(kind: Any) -> dict[str, Any]:
    """Return the JSON schema of an annotation."""
    origin, args = get_origin(kind), get_args(kind)
    if kind in PLAIN:
        return {"type": PLAIN[kind]}
    if origin is Literal:
        return {"type": "string", "enum": list(args)}
    if origin in (Union, types.UnionType):
        parts = [_type(arg) for arg in args if arg is not type(None)]
        optional = type(None) in args
        names = [name for part in parts for name in ([part["type"]] if isinstance(part["type"], str) else part["type"])]
        joined = {key: value for part in parts for key, value in part.items() if key != "type"}
        return {"type": names + ["null"] * optional if len(names) > 1 or optional else names[0], **joined}
    if origin is tuple:
        if args[-1] is Ellipsis:
            return {"type": "array", "items": _type(args[0])}
        return {"type": "array", "items": _type(args[0]), "minItems": len(args), "maxItems": len(args)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", **({} if args[1] is Any else {"additionalProperties": _type(args[1])})}
    raise TypeError(f"no JSON schema for {kind}")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if value is MISSING:
        return None
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(_plain(value), default_flow_style=True, width=10_000, sort_keys=False).removesuffix("...\n")
    return text.strip()
