"""Check a configuration against its schema, and merge an experiment's choices into it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

import yaml

from pfes.base.errors import InputError

if TYPE_CHECKING:  # most of what imports this module checks no configuration
    from jsonschema import Draft202012Validator, ValidationError

T = TypeVar("T")
Folders = Path | str | Sequence[Path]  # of experiments; of several, the first that has one counts
REQUIRED: Any = MISSING  # instead of the default of a setting
MOST_LETTERS = 64  # of an experiment's name
ABOUT = ("description", "base", "groups")  # keys of an experiment that change nothing themselves


def check(config: Mapping[str, Any], schema_path: Path | str, name: str) -> None:
    """Raise InputError that lists everything in ``config`` that the schema does not allow; ``name`` says whose it is."""
    schema = _validator(str(schema_path))
    problems = [line for error in schema.iter_errors(config) for line in _lines(error)]
    if problems:
        raise InputError(f"{name}: " + "; ".join(problems))


def expanded(config: Mapping[str, Any], folders: Folders) -> dict[str, Any]:
    """Return ``config`` with ``seeds`` as a list of whole numbers and ``experiments`` as a list of names.

    Both may be given as one value or as text with commas, as ``snakemake --config`` passes them; a name may be that of
    a group, which stands for every experiment in ``folders`` that lists it under ``groups``.
    """
    result = dict(config)
    if "seeds" in result:
        result["seeds"] = [_whole(item) for item in _items(result["seeds"])]
    if "experiments" in result:
        names = [_short(str(item)) for item in _items(result["experiments"])]
        found = [one for name in names for one in ([name] if name in _files(folders) else _group(folders, name))]
        result["experiments"] = list(dict.fromkeys(found))
    return result


def _short(name: str) -> str:
    """Return the name of an experiment; raises InputError for one that no file can have."""
    if len(name) > MOST_LETTERS:
        raise InputError(f"experiments: {name[:20]!r}... has {len(name)} letters; expected {MOST_LETTERS} at most")
    return name


def load_experiment(folders: Folders, name: str, schemas: Path | str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``config`` with what the experiment ``{name}.yaml`` in ``folders`` changes, checked against ``schemas``.

    What ``constants`` of the config says of the experiment's method is part of that, see ``experiment_changes``.
    """
    constants = config.get("constants", {})
    result = merged(config, experiment_changes(folders, name, schemas, constants, config["training"]["method"]))
    check(result, Path(schemas) / "config.schema.yaml", str(_path(folders, name)))
    return result


def experiment_changes(
    folders: Folders, name: str, schemas: Path | str, constants: Mapping[str, Any] | None = None, method: str = ""
) -> dict[str, Any]:
    """Return the sections that an experiment changes, those of its ``base`` included, its own over them.

    Parameters
    ----------
    constants : method -> sections that the dataset sets for it. They lie over the file that chooses the method and under
        those that build on it, so that an ablation keeps what it is about.
    method : of an experiment whose files choose none.
    """
    lineage: list[str] = []
    files: list[dict[str, Any]] = []
    base: str | None = name
    while base is not None:
        if base in lineage:
            raise InputError(f"{_path(folders, name)}: its base leads back to itself: {' -> '.join([*lineage, base])}")
        lineage.append(base)
        files.insert(0, read_experiment(folders, base, schemas))
        base = files[0].get("base")
    chosen = [own.get("training", {}).get("method") for own in files]
    changes = {} if any(chosen) else dict((constants or {}).get(method, {}))
    for own, method_of_file in zip(files, chosen, strict=True):
        changes = merged(changes, {key: value for key, value in own.items() if key not in ABOUT})
        changes = merged(changes, (constants or {}).get(method_of_file, {}))
    return changes


def read_experiment(folders: Folders, name: str, schemas: Path | str) -> dict[str, Any]:
    """Return the content of the experiment file ``{name}.yaml``, checked, without that of its base."""
    path = _path(folders, name)
    if not path.is_file():
        known = ", ".join(sorted(_files(folders))) or "none there"
        groups = ", ".join(sorted(_groups(folders)))
        hint = f", or of the groups {groups}" if groups else ""
        raise InputError(f"experiments: {path} does not exist; expected one of {known}{hint}")
    content: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
    check(content, Path(schemas) / "experiment.schema.yaml", str(path))
    return content


def prepare_jobs() -> None:
    """Let the jobs that this process starts use one thread each, and this very package in whatever environment they run."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    os.environ.update(dict.fromkeys(threads, "1"), PYTHONPATH=str(Path(__file__).resolve().parents[2]))


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``changes`` laid over it, section by section."""
    result = deepcopy(dict(base))
    for key, value in changes.items():
        inner = result.get(key)
        result[key] = (
            merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else deepcopy(value)
        )
    return result


def ordered(section: Any) -> Any:
    """Return ``section`` with the keys of every mapping in it sorted: what a file says, whatever the order it says it in."""
    if isinstance(section, Mapping):
        return {key: ordered(section[key]) for key in sorted(section)}
    return [ordered(item) for item in section] if isinstance(section, list) else section


def setting(default: Any, about: str, *, changes_results: bool = True, **rules: Any) -> Any:
    """Return a field of a dataclass of parameters: all that is ever said of a setting, in one place.

    Its type is the annotation. The JSON schema, the commented configuration and the reference in docs are made from it.

    Parameters
    ----------
    default : value where a configuration says nothing; REQUIRED for none.
    about : what it is, with its unit; one line.
    changes_results : False where no array and no table of a run depends on it, so that nothing is computed anew.
    rules : keywords of JSON schema (minimum, exclusiveMinimum, enum, pattern, minItems, items, ...).
    """
    metadata = {"about": about, "changes_results": changes_results, "rules": rules}
    if isinstance(default, dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def build(kind: type[T], values: Mapping[str, Any], sections: Iterable[type] = ()) -> T:
    """Return the dataclass ``kind`` made from a section of the config; nested dataclasses from nested sections, tuples from lists.

    Parameters
    ----------
    sections : dataclasses of nested sections that are no fields of ``kind``; they go into its field ``sections``.
    """
    types = get_type_hints(kind)
    own = {one.section: one for one in sections}  # type: ignore[attr-defined]
    made: dict[str, Any] = {}
    for key, value in values.items():
        if key not in own:
            nested = isinstance(value, Mapping) and is_dataclass(types[key])
            made[key] = build(types[key], value) if nested else _tuples(value)
    if own:
        made["sections"] = tuple(build(one, values[name]) for name, one in own.items() if name in values)
    return kind(**made)


def values_of(params: Any) -> dict[str, Any]:
    """Return the section of the config, plain types, that ``build`` makes ``params`` from."""
    values = {item.name: getattr(params, item.name) for item in fields(params) if item.name != "sections"}
    plain = {key: values_of(value) if is_dataclass(value) else value for key, value in values.items()}
    return plain | {type(own).section: values_of(own) for own in getattr(params, "sections", ())}


@dataclass(frozen=True)
class Sections:
    """Parameters that have, beside their own, those of methods: one dataclass each, whose ``section`` is its name."""

    sections: tuple[Any, ...] = field(default=(), kw_only=True)

    def of(self, kind: type[T]) -> T:
        """Return the section that is a ``kind``; its defaults where there is none."""
        return next((own for own in self.sections if type(own) is kind), kind())


@cache
def _validator(path: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(yaml.safe_load(Path(path).read_text()))


def _files(folders: Folders) -> dict[str, Path]:
    """Return name -> file of every experiment."""
    places = [Path(folders)] if isinstance(folders, Path | str) else folders
    return {path.stem: path for place in reversed(places) for path in sorted(place.glob("*.yaml"))}


def _path(folders: Folders, name: str) -> Path:
    """Return the file of an experiment; where there is none, where it would be."""
    first = Path(folders) if isinstance(folders, Path | str) else folders[0]
    return _files(folders).get(name, first / f"{name}.yaml")


def _group(folders: Folders, name: str) -> list[str]:
    """Return the experiments of a group; a name that is no group stays, for ``read_experiment`` to refuse."""
    return _groups(folders).get(name, [name])


def _groups(folders: Folders) -> dict[str, list[str]]:
    """Return group -> names of the experiments in ``folders`` that list it, both in order of name."""
    groups: dict[str, list[str]] = {}
    for _, path in sorted(_files(folders).items()):
        content = yaml.safe_load(path.read_text())
        for group in content.get("groups", []) if isinstance(content, dict) else []:
            groups.setdefault(str(group), []).append(path.stem)
    return groups


def _items(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [item.strip() for item in value.strip("[] ").split(",") if item.strip()]
    return list(value) if isinstance(value, list | tuple) else [value]


def _whole(item: Any) -> Any:
    """Return text of a whole number as that number; anything else as it is, for the schema to refuse."""
    return int(item) if isinstance(item, str) and re.fullmatch(r"-?\d+", item.strip()) else item


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
    for key in sorted(map(str, set(error.instance) - set(known))):
        near = difflib.get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
        yield f"unknown key {f'{place}.{key}'.lstrip('.')!r}; {hint}"
