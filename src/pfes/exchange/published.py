"""Import of features in the layout of the published code of GIM: object arrays, read without running what is in them.

Layout (METHOD 7.4)
-------------------
``CASME2-SLopticalflow.npy`` and the like: an object array with one entry per video, each [T, 17, n, 2]: optical flow of the
window of each sampled frame, (x, y), px. Of n >= 13 channels the ten of CHANNELS are used: 0, 4 and 8 are whole brows and
mouth, 13 and more nose and lids. n = 10 is already reduced. Anything else is refused.
A folder of annotations, one entry per video in each file:
``videoname.npy``         names: ``casme_15_0401girlcrashing`` and ``samm_006_1``, whose subject is the first eight characters;
                          ``NNN_x`` (CAS(ME)^3), whose subject is all but the last two; or subject/video.
``segments.npy``          per instance onset, apex and offset in the order [onset, offset, apex], or [onset, offset]. Without
                          apex, or with one outside of the instance, it is the midpoint.
``labels.npy``            per instance its class: Macro or Micro.
``labels_gau_frame.npy``  optional: the points, in any order. Each belongs to an instance that it lies in. Where an instance is
                          left without one (SAMM-LV: 33 of 502) none are taken, since their classes would be guessed.
Frames count from 1 on CAS(ME)^2, from 0 elsewhere (``first_frame``).

Safety
------
An object array is a pickle, and a pickle may run any program. The reader builds arrays, numbers, text and containers and
refuses everything else by name, before any of it runs.

Written
-------
The folder of a dataset of the workflow (``dataset.name: published``): videos.csv and expressions.csv, as of
pfes.datasets.generic, frames from 0; snippets/{video}.h5, all frames valid; faces/{video}.h5, every face found, without
landmarks; and run.yaml, the configuration of the dataset's own name on these features.
"""

# ruff: noqa: S301

import io
import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.base.names import check_distinct, clean
from pfes.base.place import ROOT
from pfes.base.records import file_name
from pfes.faces.landmarks import USABLE
from pfes.media.clock import FASTEST, SLOWEST

SHEET = ("dataset", "subject", "video", "onset", "apex", "offset", "class")
CHANNELS = (1, 2, 3, 5, 6, 7, 9, 10, 11, 12)  # of 13 and more, in the order of pfes.flow.snippets
REDUCED = 10
FPS = {"casme2": 30.0, "samm_lv": 200 / 7, "casme3": 30.0}
CLASS_NAMES = {"macro": "macro", "micro": "micro", "1": "macro", "2": "micro"}
ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),  # how protocol 2 writes bytes
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


class Imported(NamedTuple):
    """What was imported: numbers of videos and instances, of rows left out that repeat another, whether points were taken."""

    videos: int
    instances: int
    repeated: int
    points: bool
    dataset: str


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
    annotations: Path | str,
    out: Path | str,
    *,
    dataset: str | None = None,
    fps: float | None = None,
    first_frame: int | None = None,
) -> Imported:
    """Convert published features and their folder of annotations to a dataset of the workflow in the folder ``out``.

    Parameters
    ----------
    dataset : casme2, samm_lv or casme3; None reads it from the names of the videos.
    fps : sampled frames per second; None for those of the dataset.
    first_frame : number of the first frame in the annotations; None for 1 on casme2, else 0.

    Raises
    ------
    InputError
        A file that is missing or no array, entries that do not belong together, a shape, frame or class that does not fit.
    """
    folder, out = Path(annotations), Path(out)
    videos = read_object_array(features)
    names = [clean(str(name)) for name in _entries(folder / "videoname.npy", features, len(videos))]
    segments, labels = (_entries(folder / f"{name}.npy", features, len(videos)) for name in ("segments", "labels"))
    points_path = folder / "labels_gau_frame.npy"
    points = _entries(points_path, features, len(videos)) if points_path.exists() else [[]] * len(videos)
    dataset = dataset or _dataset(names, folder / "videoname.npy")
    fps = fps or FPS.get(dataset, 30.0)
    first = int(dataset == "casme2") if first_frame is None else first_frame
    titles = [_named(title, f"{folder / 'videoname.npy'}: entry {number}") for number, title in enumerate(names)]
    check_distinct((subject for subject, _ in titles), str(folder / "videoname.npy"), "or so that they differ by more")
    if not SLOWEST <= fps <= FASTEST:
        raise InputError(f"--fps {fps:g}, expected frames per second of the features, such as 30")
    settings = {"dataset": dataset, "fps": fps, "first_frame": first}
    made = provenance.record("import", settings, [features, *folder.glob("*.npy")])
    rows: list[tuple[Any, ...]] = []
    instances: list[list[Any]] = []
    for number, (video, title) in enumerate(zip(videos, names, strict=True)):
        subject, name = titles[number]
        video_id = file_name(f"{subject}_{name}")
        if any(video_id == row[-1] for row in rows):
            raise InputError(f"{folder / 'videoname.npy'}: {video_id} is there twice; every video needs its own name")
        snippets = _snippets(video, f"{features}: video {number} ({title})")
        own = _instances(segments[number], labels[number], first, f"{folder}: video {number} ({title})")
        clicks = [int(np.rint(float(point))) - first for point in np.ravel(np.asarray(points[number], object))]
        instances += [[dataset, subject, name, *one] for one in _with_points(own, clicks)]
        rows.append((dataset, subject, name, f"snippets/{video_id}.h5", fps, video_id))
        arrays = {"snippets": snippets, "valid": np.ones(len(snippets), bool)}
        store.write(out / "snippets" / f"{video_id}.h5", "snippets", arrays, made)
        store.write(out / "faces" / f"{video_id}.h5", "faces", _faces(len(snippets)), made, fps=fps, cuts=0)
    table = pd.DataFrame(instances, columns=[*SHEET, "point"])
    complete = len(table) > 0 and bool(table["point"].notna().all())
    repeated = table.duplicated([name for name in SHEET if name != "apex"])
    table = table[~repeated] if complete else table[~repeated].drop(columns="point")
    table.to_csv(out / "expressions.csv", index=False)
    pd.DataFrame(rows, columns=["dataset", "subject", "video", "path", "fps", "video_id"]).drop(
        columns="video_id"
    ).to_csv(out / "videos.csv", index=False)
    (out / "run.yaml").write_text(_configuration(dataset, out, complete))
    return Imported(len(rows), len(table), int(repeated.sum()), complete, dataset)


def _entries(path: Path, features: Path | str, count: int) -> list[Any]:
    if not path.exists():
        raise InputError(f"{path} is missing; expected the folder of annotations that was published with {features}")
    entries = read_object_array(path)
    if len(entries) != count:
        raise InputError(f"{path}: {len(entries)} entries, but {features} has {count} videos; do they belong together?")
    return entries


def _dataset(names: Sequence[str], path: Path) -> str:
    """Return the dataset that the names of videos are of."""
    for dataset, prefix in (("casme2", "casme_"), ("samm_lv", "samm_")):
        if all(name.startswith(prefix) for name in names):
            return dataset
    if all(re.fullmatch(r"\d+_\w", name) for name in names):
        return "casme3"
    raise InputError(f"{path}: names such as {names[0]!r} are of no known dataset; say which with --dataset")


def _named(title: str, where: str) -> tuple[str, str]:
    """Return subject and video of a published name."""
    if "/" in title:
        subject, _, name = title.rpartition("/")
    elif title.startswith(("casme_", "samm_")):
        subject, name = title[:8], title[8:].lstrip("_")
    else:
        subject, name = title[:-2], title[-1:]
    if not subject or not name:
        raise InputError(f"{where} is {title!r}, expected casme_NN_video, samm_NNN_V, NNN_x or subject/video")
    return subject, name


def _snippets(video: Any, where: str) -> NDArray[np.float32]:
    array = np.asarray(video)
    if array.dtype == object:
        array = np.asarray(array.tolist())
    n = array.shape[2] if array.ndim == 4 else 0
    if array.ndim != 4 or array.shape[1] != 17 or array.shape[3] != 2 or not len(array):
        raise InputError(f"{where}: shape {array.shape}, expected [T, 17, n, 2]")
    if n != REDUCED and n <= max(CHANNELS):
        raise InputError(f"{where}: {n} channels, expected 13 or more, of which {list(CHANNELS)} are used, or these 10")
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise InputError(f"{where}: expected finite floating-point numbers, got {array.dtype} or others")
    return np.ascontiguousarray(array if n == REDUCED else array[:, :, CHANNELS], np.float32)


def _instances(segments: Any, labels: Any, first: int, where: str) -> list[list[Any]]:
    """Return onset, apex, offset and class of every instance of a video, frames from 0."""
    found = []
    rows, classes = list(segments), [str(label) for label in np.ravel(np.asarray(labels, object))]
    if len(rows) != len(classes):
        raise InputError(f"{where}: {len(rows)} rows in segments.npy, {len(classes)} in labels.npy")
    for number, (row, label) in enumerate(zip(rows, classes, strict=True)):
        try:
            numbers = [float(value) for value in np.ravel(np.asarray(row, object))]
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}, instance {number}: {row}, expected frame numbers") from error
        if not all(value.is_integer() for value in numbers):
            raise InputError(f"{where}, instance {number}: {row}, expected whole frame numbers")
        values = [int(value) - first for value in numbers]
        if len(values) not in (2, 3) or label.lower() not in CLASS_NAMES:
            raise InputError(
                f"{where}, instance {number}: {len(values)} numbers and class {label!r}, expected onset, offset and maybe "
                "apex, and Macro or Micro"
            )
        onset, offset = values[:2]
        if not 0 <= onset <= offset:
            raise InputError(f"{where}, instance {number}: onset {onset + first}, offset {offset + first}")
        apex = values[2] if len(values) == 3 and onset <= values[2] <= offset else (onset + offset) // 2
        found.append([onset, apex, offset, CLASS_NAMES[label.lower()]])
    return found


def _with_points(instances: list[list[Any]], points: list[int]) -> list[list[Any]]:
    """Return the instances [onset, apex, offset, class, point or None], each point in one that it lies in, shortest first."""
    free, point_of = sorted(points), dict[int, int]()
    for number in sorted(range(len(instances)), key=lambda own: instances[own][2] - instances[own][0]):
        onset, apex, offset, _ = instances[number]
        inside = [point for point in free if onset <= point <= offset]
        if inside:
            point_of[number] = min(inside, key=lambda point: abs(point - apex))
            free.remove(point_of[number])
    return [[*own, point_of.get(number)] for number, own in enumerate(instances)]


def _faces(count: int) -> dict[str, NDArray[Any]]:
    """Return a file of faces of ``count`` frames, in all of which there is a usable face of which nothing else is known."""
    unknown = np.full(count, np.nan, np.float32)
    return {
        "landmarks": np.full((count, 68, 2), np.nan, np.float32),
        "native_frame": np.arange(count),
        "found": np.ones(count, bool),
        "state": np.full(count, USABLE, np.uint8),
        "cut": np.zeros(count, bool),
        "faces": np.ones(count, np.int16),
        "confidence": unknown,
        "interocular": unknown,
        "pose": np.full((count, 3), np.nan, np.float32),
        "blur": unknown,
    }


def _configuration(dataset: str, out: Path, points: bool) -> str:
    """Return a configuration of the workflow on the imported features, with the constants of the dataset's own."""
    own = ROOT / "config" / f"{dataset}.yaml"
    config = yaml.safe_load(own.read_text()) if own.is_file() else {}
    config |= {"run": f"{dataset}_published", "dataset": {"name": "published", "root": str(out), "of": dataset}}
    config["points"] = {"mode": "given" if points else "gaussian"}
    return f"# Written by pfes import-features.\n{yaml.safe_dump(config, sort_keys=False)}"
