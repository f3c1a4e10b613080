"""The cache of a run: files of the costly stages, each set in a folder named after all that computes it.

Conventions
-----------
``results/<run>/faces/<key>/{video}.h5`` and ``results/<run>/flow/<key>/{video}.h5``. A key is a name for people and eight
hex digits of a digest over the parameters, the code of the package that computes, the versions of the libraries that
compute, and the format of the files; a key of flow also over the key of its faces. The recording is no part of it: its
digest is in the provenance of each file, and Snakemake makes the file anew when the recording changes.

So a run that goes back to earlier parameters finds the files of then. Whatever no run wants any more stays until it is
pruned.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.provenance import modules_used, version

STAGES = ("faces", "flow")
LAST_RUN = "cache.json"  # in the folder of a run: the keys that its last run wanted
PLUMBING = {"pfes.base.store", "pfes.base.provenance", "pfes.base.errors"}  # modules that compute nothing
LIBRARIES = ("av", "numpy", "opencv-contrib-python", "scipy")  # of both stages
BACKENDS = {"mediapipe": "mediapipe", "dlib": "dlib-bin", "file": "pandas"}  # faces.backend -> its library


@dataclass(frozen=True)
class Entry:
    """The files of one key: ``folder`` is below the folder of the run, ``parameters`` those of its first file."""

    stage: str
    key: str
    folder: Path
    files: int
    bytes: int
    parameters: str
    in_use: bool


def faces_key(sampling: Mapping[str, Any], faces: Mapping[str, Any]) -> str:
    """Return the key of stage faces from its parameters: the sections ``sampling`` and ``faces`` of the config."""
    backend = str(faces.get("backend", "mediapipe"))
    return _key(backend, "pfes.faces.landmarks", {"sampling": sampling, "faces": faces}, BACKENDS[backend])


def flow_key(flow: Mapping[str, Any], faces: str) -> str:
    """Return the key of stage flow from its parameters, without the device, and the key of its ``faces``."""
    return _key(str(flow["method"]), "pfes.flow.sw_mro", {"flow": flow, "after": faces}, "numba")


def _key(name: str, module: str, parameters: Mapping[str, Any], library: str) -> str:
    code = {name: text for name, text in modules_used(module).items() if name not in PLUMBING}
    parts = {
        "parameters": parameters,
        "code": {name: hashlib.sha256(text).hexdigest() for name, text in code.items()},
        "libraries": {name: version(name) for name in (*LIBRARIES, library)},
        "format": store.VERSION,
    }
    return f"{name}-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:8]}"


def note(run: Path, keys: Mapping[str, str]) -> None:
    """Write down which key of each stage (``faces``, ``flow``) a run that begins now wants."""
    with store.atomic(run / LAST_RUN) as temporary:
        temporary.write_text(json.dumps(dict(keys)))


def entries(run: Path) -> list[Entry]:
    """Return what is cached in the folder of a run, by stage and key.

    In use is what the last run wanted, and what the snippets that are there were made from.

    Raises
    ------
    InputError
        ``run`` is not the folder of a run.
    """
    if not any((run / stage).is_dir() for stage in STAGES):
        raise InputError(f"{run}: no folder {' or '.join(STAGES)} there; expected the folder of a run, results/<run>")
    used = _used(run)
    found = []
    for stage in STAGES:
        for folder in sorted(path for path in (run / stage).glob("*") if path.is_dir()):
            files = sorted(folder.glob("*.h5"))
            size = sum(file.stat().st_size for file in files)
            in_use = (stage, folder.name) in used
            found.append(Entry(stage, folder.name, folder, len(files), size, _parameters(files), in_use))
    return found


def prunable(run: Path, key: str | None = None) -> list[Entry]:
    """Return the entries that pruning would delete: those not in use, or the one called ``key`` (also ``stage/key``).

    Raises
    ------
    InputError
        There is no such key.
    """
    there = entries(run)
    if key is None:
        return [entry for entry in there if not entry.in_use]
    named = [entry for entry in there if key in (entry.key, f"{entry.stage}/{entry.key}")]
    if not named:
        known = ", ".join(f"{entry.stage}/{entry.key}" for entry in there) or "none"
        raise InputError(f"{run}: no key {key!r} in its cache; expected one of {known}")
    return named


def delete(chosen: Iterable[Entry]) -> None:
    """Delete the folders of these entries."""
    for entry in chosen:
        shutil.rmtree(entry.folder)


def _used(run: Path) -> set[tuple[str, str]]:
    """Return (stage, key) of the last run, of the flow behind the snippets, and of the faces behind that flow."""
    last = run / LAST_RUN
    used = set(json.loads(last.read_text()).items()) if last.exists() else set()
    for snippets in sorted((run / "snippets").glob("*.h5")):
        for flow in _sources(snippets):
            used.add(("flow", flow.parent.name))
            used |= {("faces", faces.parent.name) for faces in _sources(run / "flow" / flow.parent.name / flow.name)}
    return used


def _sources(path: Path) -> Iterator[Path]:
    if path.exists():
        yield from map(Path, store.describe(path)["provenance"]["sources"])


def _parameters(files: list[Path]) -> str:
    """Return the parameters of the first file as text, sections left out."""
    if not files:
        return ""
    found: dict[str, Any] = {}
    for name, value in store.describe(files[0])["provenance"]["parameters"].items():
        found |= value if isinstance(value, Mapping) else {name: value}
    return ", ".join(f"{name} {value}" for name, value in found.items())
