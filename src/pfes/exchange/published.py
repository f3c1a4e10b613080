"""Import of features in the layout of the published code: object arrays of NumPy, read without running what is in them.

Layout taken on
---------------
``features.npy``: an object array with one entry per video, each [T, 17, n, 2]: optical flow of the window of each sampled
frame at n ROIs, (x, y), n >= 10, the first ten in the order of pfes.flow.snippets; px of the aligned crop. float16, 32 or 64.
``annotations.npy`` (optional, as many entries): per video the instances [I, 3] or [I, 4]: onset, offset, class or onset,
apex, offset, class; sampled frames, 0-based, inclusive; class 0 or ``macro``, 1 or ``micro``; the apex of a row of three,
or one outside of its instance, is the midpoint.
``names.npy`` (optional, as many entries): ``subject/video`` of each; without it video k is subject ``s{k}``, video ``{k}``,
which makes every video its own fold.

This is the layout named in the plan of this project. The released files themselves were not at hand: numbers that do not
fit it are refused, not guessed at. Use --first-frame 1 where the frames of annotations count from 1.

Safety
------
An object array is a pickle, and a pickle may run any program. The reader builds arrays, numbers, text and containers and
refuses everything else by name, before any of it runs.

Written
-------
snippets/{video}.h5, videos.parquet, expressions.parquet: what rules snippets and dataset write, all frames valid.
"""

# ruff: noqa: S301

import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.config import build
from pfes.base.errors import InputError
from pfes.base.records import CLASSES, EXPRESSION_COLUMNS, VIDEO_COLUMNS, file_name
from pfes.datasets.points import PointParameters, write_points
from pfes.methods.registry import learned, training_parameters
from pfes.training.fold import FoldInputs, train_fold
from pfes.training.model import ModelParameters
from pfes.workflow.plan import read_config

FPS = 30.0
ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),  # how protocol 2 writes bytes
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


class _ArrayUnpickler(pickle.Unpickler):
    """Builds arrays and plain containers; refuses any other class or function by name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
        return super().find_class(module.replace("numpy._core", "numpy.core"), name)


def read_object_array(path: Path | str) -> list[Any]:
    """Return the entries of a one-dimensional .npy array, also of objects, without running code from it.

    Raises
    ------
    InputError
        No .npy file, damaged, or its pickle asks for anything but arrays.
    """
    try:
        with Path(path).open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            rest = file.read()
        array = _ArrayUnpickler(io.BytesIO(rest)).load() if dtype.hasobject else np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged pickle may raise anything
        raise InputError(
            f"{path}: not read as an array of published features ({error}); it was not executed"
        ) from error
    if not isinstance(array, np.ndarray) or array.ndim == 0 or array.shape != shape:
        raise InputError(
            f"{path}: expected an array with one entry per video, got {type(array).__name__} {np.shape(array)}"
        )
    return list(array)


def import_published(
    features: Path | str,
    out: Path | str,
    *,
    annotations: Path | str | None = None,
    names: Path | str | None = None,
    dataset: str = "published",
    fps: float = FPS,
    first_frame: int = 0,
) -> int:
    """Convert published features to snippets and tables under ``out``; return the number of videos."""
    out = Path(out)
    videos = read_object_array(features)
    labels = _as_many(annotations, features, len(videos)) or [np.zeros((0, 3))] * len(videos)
    titles = _as_many(names, features, len(videos)) or [f"s{k}/{k}" for k in range(len(videos))]
    sources = [Path(path) for path in (features, annotations, names) if path is not None]
    made = provenance.record("import", {"dataset": dataset, "fps": fps, "first_frame": first_frame}, sources)
    rows: list[tuple[Any, ...]] = []
    instances: list[tuple[Any, ...]] = []
    for number, (video, found, title) in enumerate(zip(videos, labels, titles, strict=True)):
        snippets = _snippets(video, f"{features}: video {number}")
        subject, _, name = str(title).rpartition("/")
        if not subject or not name:
            raise InputError(f"{names}: entry {number} is {title!r}, expected subject/video")
        video_id = file_name(f"{subject}_{name}")
        if any(video_id == row[3] for row in rows):
            raise InputError(f"{names}: {video_id} is there twice; every video needs a name of its own")
        count = len(snippets)
        rows.append((dataset, subject, name, video_id, str(features), fps, count, count, fps, ""))
        for row, instance in enumerate(np.atleast_2d(found) if len(found) else ()):
            onset, apex, offset, kind = _instance(
                instance, count, first_frame, f"{annotations}: video {number}, row {row}"
            )
            frames = (onset, apex, offset)
            instances.append((dataset, subject, name, video_id, row, kind, *frames, *frames, row))
        arrays = {"snippets": snippets, "valid": np.ones(count, bool)}
        store.write(out / "snippets" / f"{video_id}.h5", "snippets", arrays, made)
    store.write_table(out / "videos.parquet", "videos", pd.DataFrame(rows, columns=list(VIDEO_COLUMNS)), made)
    table = pd.DataFrame(instances, columns=list(EXPRESSION_COLUMNS))
    store.write_table(out / "expressions.parquet", "expressions", table, made)
    return len(videos)


def train_imported(folder: Path, out: Path, config: Path, *, held_out: Sequence[str], seed: int) -> None:
    """Draw points and train one model on imported features, with the sections points, model and training of ``config``.

    ``config`` may hold what differs from config.yaml beside it.
    """
    settings = read_config(config)
    unknown = sorted(set(held_out) - set(store.read_table(folder / "videos.parquet", "videos")["subject"]))
    if unknown:
        raise InputError(f"{folder / 'videos.parquet'}: no subject {unknown[0]!r} to hold out")
    points = out / "points.parquet"
    write_points(folder / "expressions.parquet", points, build(PointParameters, settings["points"]), seed)
    params = training_parameters(settings["training"])
    snippets = {path.stem: path for path in (folder / "snippets").glob("*.h5")}
    reads = learned(params.method).labels == "intervals"
    expressions = folder / "expressions.parquet" if reads else None
    inputs = FoldInputs(snippets, points, folder / "videos.parquet", held_out, expressions=expressions)
    model = build(ModelParameters, settings["model"])
    train_fold(inputs, out, model, params, seed, "imported", {"spot": settings["spot"]})


def _as_many(path: Path | str | None, features: Path | str, count: int) -> list[Any] | None:
    if path is None:
        return None
    entries = read_object_array(path)
    if len(entries) != count:
        raise InputError(f"{path}: {len(entries)} entries, but {features} has {count} videos; do they belong together?")
    return entries


def _snippets(video: Any, where: str) -> NDArray[np.float32]:
    array = np.asarray(video)
    if array.ndim != 4 or array.shape[1] != 17 or array.shape[2] < 10 or array.shape[3] != 2 or not len(array):
        raise InputError(f"{where}: shape {array.shape}, expected [T, 17, n, 2] with n >= 10 ROIs")
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise InputError(
            f"{where}: expected finite floating-point numbers, got {array.dtype} or values that are not finite"
        )
    return np.ascontiguousarray(array[:, :, :10], np.float32)


def _instance(row: Sequence[Any], count: int, first: int, where: str) -> tuple[int, int, int, str]:
    """Return onset, apex, offset and class of one row of annotations."""
    values = list(row)
    if len(values) not in (3, 4):
        raise InputError(f"{where}: {len(values)} values, expected onset, offset, class or onset, apex, offset, class")
    kind = str(values[-1]).lower()
    known = {str(float(c)): name for c, name in enumerate(CLASSES)} | {str(c): name for c, name in enumerate(CLASSES)}
    kind = known.get(kind, kind)
    if kind not in CLASSES:
        raise InputError(f"{where}: class {values[-1]!r}, expected 0 or macro, 1 or micro")
    try:
        frames = [int(value) - first for value in values[:-1]]
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {values[:-1]}, expected whole frame numbers") from error
    onset, offset = frames[0], frames[-1]
    if not 0 <= onset <= offset < count:
        raise InputError(f"{where}: onset {onset} and offset {offset} (0-based) in a video of {count} frames")
    apex = frames[1] if len(frames) == 3 and onset <= frames[1] <= offset else (onset + offset) // 2
    return onset, apex, offset, kind
