"""Check a configuration against its schema, and merge an experiment's choices into it."""

import difflib
import os
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml
from jsonschema import Draft202012Validator, ValidationError

from pfes.errors import InputError

T = TypeVar("T")


def check(config: Mapping[str, Any], schema_path: Path | str, name: str) -> None:
    """Raise InputError that lists everything in ``config`` that the schema does not allow; ``name`` says whose it is."""
    schema = yaml.safe_load(Path(schema_path).read_text())
    problems = [line for error in Draft202012Validator(schema).iter_errors(config) for line in _lines(error)]
    if problems:
        raise InputError(f"{name}: " + "; ".join(problems))


def load_experiment(folder: Path | str, name: str, schemas: Path | str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``config`` with what the experiment ``{name}.yaml`` in ``folder`` changes, checked against ``schemas``."""
    path = Path(folder) / f"{name}.yaml"
    if not path.is_file():
        known = sorted(item.stem for item in Path(folder).glob("*.yaml"))
        raise InputError(f"experiments: {path} does not exist; expected one of {', '.join(known) or 'none there'}")
    changes = yaml.safe_load(path.read_text()) or {}
    check(changes, Path(schemas) / "experiment.schema.yaml", str(path))
    result = merged(config, {key: value for key, value in changes.items() if key != "description"})
    check(result, Path(schemas) / "config.schema.yaml", str(path))
    return result


def prepare_jobs() -> None:
    """Let the jobs that this process starts use one thread each, and this very package in whatever environment they run."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    os.environ.update(dict.fromkeys(threads, "1"), PYTHONPATH=str(Path(__file__).resolve().parents[1]))


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes`` laid over it, section by section."""
    result = deepcopy(dict(base))
    for key, value in changes.items():
        inner = result.get(key)
        result[key] = (
            merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else deepcopy(value)
        )
    return result


def build(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return the dataclass ``kind`` made from a section of the config; nested dataclasses from nested sections, tuples from lists."""
    types = get_type_hints(kind)
    made = {}
    for key, value in values.items():
        nested = isinstance(value, Mapping) and is_dataclass(types[key])
        made[key] = build(types[key], value) if nested else _tuples(value)
    return kind(**made)


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _lines(error: ValidationError) -> Iterator[str]:
    place = ".".join(str(part) for part in error.absolute_path)
    if error.validator != "additionalProperties":
        yield f"{place or 'config'}: {error.message}"
        return
    known = list(error.schema.get("properties", {}))
    for key in sorted(set(error.instance) - set(known)):
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
        yield f"unknown key {f'{place}.{key}'.lstrip('.')!r}; {hint}"
