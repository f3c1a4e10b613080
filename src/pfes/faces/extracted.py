"""Backend ``file``: the 68 points that OpenFace or py-feat wrote for a recording, read from the CSV file beside it.

The file of ``film.mp4`` is ``film.csv``, that of a folder of images ``frames`` is ``frames.csv`` next to the folder.

Layouts
-------
OpenFace 2 (``FeatureExtraction -2Dfp``): frame (from 1), face_id, confidence, success, x_0 .. x_67, y_0 .. y_67, px.
py-feat (``Detector.detect_video``): frame (from 0), FaceScore, x_0 .. x_67, y_0 .. y_67, px.
Column names may have blanks around them. Both number the points as 300-W does, the order of ``geometry``.

A row is a face where ``success`` is 1, or ``FaceScore`` at least ``faces.min_confidence``; a frame may have several rows, or
none with a face. Every frame of the recording must have a row, and in pictures spread over the recording the points must
lie where MediaPipe sees a face: an extraction of another cut, size or rotation of the recording would pass otherwise.

References
----------
Baltrusaitis et al., "OpenFace 2.0: Facial Behavior Analysis Toolkit", FG 2018, doi 10.1109/FG.2018.00019.
Cheong et al., "Py-Feat: Python Facial Expression Analysis Toolbox", doi 10.1007/s42761-023-00191-4.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pfes.base.errors import InputError
from pfes.faces import facemesh, geometry
from pfes.faces.geometry import Face, Frame

POINTS = [f"{axis}_{i}" for axis in "xy" for i in range(68)]
FAR = 0.5  # eye distances between the middle of the points and that of a face that is seen, median of the pictures
LOOKS = 7  # pictures that are compared

Known = Mapping[int, list[Face]]


def points_path(recording: Path | str) -> Path:
    """Return where the points of a recording lie, whether they are there or not."""
    recording = Path(recording)
    return recording.parent / f"{recording.name if recording.is_dir() else recording.stem}.csv"


def points_file(recording: Path | str) -> Path:
    """Return the file with the points of a recording; raises InputError where it is missing."""
    path = points_path(recording)
    if not path.is_file():
        raise InputError(
            f"{recording}: no {path.name} beside it; faces.backend: file takes the 68 points from there, as OpenFace or py-feat"
            " write them"
        )
    return path


def read_points(path: Path, n_frames: int, min_confidence: float) -> Known:
    """Return native frame (from 0) -> faces of a file of OpenFace or py-feat; a frame without a face has no entry.

    Raises
    ------
    InputError
        Neither layout, a frame of the recording's ``n_frames`` without a row, a row beyond its end, or points that are no
        numbers in px.
    """
    try:
        table = pd.read_csv(path, skipinitialspace=True, low_memory=False).rename(
            columns=lambda name: str(name).strip()
        )
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error})") from error
    sure, first = _layout(path, table)
    missing = [name for name in ("frame", *POINTS) if name not in table]
    if missing:
        raise InputError(
            f"{path}: no column {missing[0]}; expected frame and the 68 points x_0 .. x_67, y_0 .. y_67 in px"
        )
    numbers = table[["frame", sure, *POINTS]].apply(pd.to_numeric, errors="coerce")
    frames = numbers["frame"].to_numpy() - first
    _check_frames(path, frames, n_frames)
    points = numbers[POINTS].to_numpy(np.float32).reshape(-1, 2, 68).transpose(0, 2, 1)
    face = numbers[sure].to_numpy() >= (1 if sure == "success" else min_confidence)
    face &= np.isfinite(points).all((1, 2))
    if face.any() and np.abs(points[face]).max() <= 2:
        raise InputError(f"{path}: no point is beyond 2 px; are they shares of the picture? expected px")
    scores = pd.to_numeric(table.get("confidence", table[sure]), errors="coerce")
    known: dict[int, list[Face]] = {}
    for row in np.flatnonzero(face):
        known.setdefault(int(frames[row]), []).append(Face(points[row], float(scores.iloc[row])))
    return known


def _layout(path: Path, table: pd.DataFrame) -> tuple[str, int]:
    """Return the column that says whether a row is a face, and the number of the first frame."""
    if "success" in table:
        return "success", 1
    if "FaceScore" in table:
        return "FaceScore", 0
    raise InputError(
        f"{path}: neither a column success, as OpenFace writes, nor FaceScore, as py-feat does; found {', '.join(table.columns[:8])} ..."
    )


def _check_frames(path: Path, frames: np.ndarray, n_frames: int) -> None:
    if not np.isfinite(frames).all() or (frames != np.round(frames)).any():
        raise InputError(f"{path}: a cell of column frame is no whole number")
    seen = np.unique(frames)
    if len(seen) != n_frames or (n_frames and (seen[0] != 0 or seen[-1] != n_frames - 1)):
        raise InputError(
            f"{path}: rows of {len(seen)} frames, the last one {int(seen[-1]) if len(seen) else 'none'} counted from 0, but the"
            f" recording has {n_frames}; extract the points of this recording again, without skipping frames"
        )


def check_place(path: Path, pictures: Iterable[tuple[int, Frame]], known: Known) -> None:
    """Raise InputError where the points of frames lie elsewhere than MediaPipe sees a face, or have another size.

    ``pictures``: (native frame, picture) of some frames spread over the recording. A picture in which either sees no face
    says nothing.
    """
    away = []
    with facemesh.detector(5, 0.5) as detect:
        for frame, picture in pictures:
            seen = [face.points for face in detect(picture)]
            given = [face.points for face in known.get(frame, [])]
            if seen and given:
                away.append(min(_apart(one, other) for one in seen for other in given))
    if away and np.median(away) > FAR:
        raise InputError(
            f"{path}: its points lie {np.median(away):.1f} eye distances from the face in the picture, expected at most {FAR};"
            " was another cut, size or rotation of the recording extracted?"
        )


def _apart(first: geometry.Points, second: geometry.Points) -> float:
    """Return how far two faces [68, 2] are apart, in eye distances of the first: of their points, root mean square."""
    distance = np.sqrt(((first - second) ** 2).sum(axis=1).mean())
    return float(distance / geometry.interocular(first))
