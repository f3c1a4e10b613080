"""How well stages faces, flow and snippets recover the motion that the demo renders.

Conventions
-----------
Videos of the demo dataset are rendered with head motion and without, everything else the same (identity, expressions,
blinks, talking, noise, H.264). True motion is that of the landmark in the middle of each ROI from the reference of a window
to its frame k, px of the crop: *whole*, or *against the nose* (the mean of landmarks 29 and 30). Compared are all k >= 1 and
the ten ROIs of SpotFormer, in the frames of an expression, by its class, and in the frames outside of any (``none``).

What a ROI measures is a mean over its strongest pixels, its truth one point of it: a rest of the error is that difference.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base import store
from pfes.base.logs import to_file
from pfes.base.records import CLASSES, HALF
from pfes.commands.extract import ExtractParameters, extract, stage_paths
from pfes.datasets.demo import DemoParameters, plan
from pfes.datasets.demo_render import render
from pfes.faces import align
from pfes.faces.align import ROIS
from pfes.faces.landmarks import Points
from pfes.flow.snippets import N_ROIS, SnippetParameters, make_snippets

log = logging.getLogger(__name__)
MOVING = 0.3  # px of the crop from which a ROI counts as moving
COLUMNS = ("head motion", "expression", "measured", "truth")


def bench_truth(
    subjects: int = 3, seconds: float = 10.5, params: ExtractParameters = ExtractParameters()
) -> pd.DataFrame:
    """Render, measure and compare one video of each of ``subjects`` identities, with head motion and without.

    Returns
    -------
    One row per head motion (0, 1), expression (macro, micro, none) and pair of what is compared: the flow against the nose
    with the true motion against it; the flow as it is with that, and with the true whole motion. Columns: see ``agreement``.
    """
    rows = []
    for head_motion in (0.0, 1.0):
        demo = DemoParameters(subjects=subjects, videos=1, seconds=seconds, head_motion=head_motion)
        with TemporaryDirectory() as folder:
            found = [measure(demo, video_id, Path(folder), params) for video_id in video_ids(demo)]
        for expression in (*CLASSES, "none"):
            for names in (("nose", "nose"), ("flow", "nose"), ("flow", "whole")):
                pairs = [
                    (video[f"measured {names[0]}"], video[f"true {names[1]}"], video[expression]) for video in found
                ]
                measured, true = (np.concatenate([pair[i][pair[2], 1:] for pair in pairs]) for i in (0, 1))
                labels = ("against the nose" if name == "nose" else name for name in names)
                row = dict(zip(COLUMNS, (f"{head_motion:g}", expression, *labels), strict=True))
                rows.append({**row, **agreement(measured, true)})
    return pd.DataFrame(rows)


def agreement(measured: NDArray[np.floating], true: NDArray[np.floating]) -> dict[str, float]:
    """Compare vectors [..., 2] in px.

    Returns
    -------
    ``correlation`` of all components; ``median`` and ``p90`` of the length of the error, px; of the vectors that truly move
    by more than MOVING px: their number ``moving``, ``moving median``, ``moving p90``, and ``slope``, the share of the true
    motion that is measured (least squares through the origin). NaN where nothing moves.
    """
    error = np.linalg.norm(measured - true, axis=-1).ravel()
    moving = np.linalg.norm(true, axis=-1) > MOVING
    both = np.stack([measured.ravel(), true.ravel()])
    result = {
        "correlation": float(np.corrcoef(both)[0, 1]) if moving.any() and both.std(1).all() else float("nan"),
        **_quantiles("", error),
        "moving": int(moving.sum()),
        **_quantiles("moving ", error[moving.ravel()]),
    }
    power = float((true[moving] ** 2).sum())
    return {**result, "slope": float((measured[moving] * true[moving]).sum()) / power if power else float("nan")}


def true_motion(landmarks: Points, measured: Points, size: int) -> NDArray[np.float64]:
    """Return the true motion [T, 17, 11, 2] of the ten ROIs and of the nose from the reference of each window on.

    Parameters
    ----------
    landmarks
        true landmarks [T, 68, 2], px of the recording.
    measured
        the landmarks [T, 68, 2] from which the crops were placed.
    size
        side of the crop, px.
    """
    n_frames = len(landmarks)
    window = np.clip(np.arange(n_frames)[:, None] + np.arange(-HALF, HALF + 1), 0, n_frames - 1)
    motion = (landmarks[window] - landmarks[window[:, :1]]).astype(np.float64)
    side = align.crop_boxes(align.stabilise(measured))[window[:, 0], 2]
    points = np.stack([motion[:, :, list(roi.points)].mean(2) for roi in ROIS[: N_ROIS + 1]], axis=2)
    return points * (size / side)[:, None, None, None]


def _quantiles(name: str, error: NDArray[np.floating]) -> dict[str, float]:
    median, p90 = np.percentile(error, [50, 90]) if len(error) else (np.nan, np.nan)
    return {f"{name}median": float(median), f"{name}p90": float(p90)}


def video_ids(demo: DemoParameters) -> Iterator[str]:
    """Yield the names of the videos of a demo dataset."""
    return (video.video_id for video in plan(demo, "")[0])


def measure(demo: DemoParameters, video_id: str, folder: Path, params: ExtractParameters) -> dict[str, NDArray[Any]]:
    """Return measured and true motion [T, 17, 10, 2] of one video, and per class the frames [T] that are compared."""
    recording, truth_path, paths = folder / f"{video_id}.mp4", folder / f"{video_id}.h5", stage_paths(folder, video_id)
    log.info("%s, head motion %g", video_id, demo.head_motion)
    with to_file(folder / "log.txt"):
        render(demo, video_id, recording, truth_path)
        extract(str(recording), paths, params)
    faces, flow, truth = (
        store.read(path, kind)
        for path, kind in ((paths["faces"], "faces"), (paths["flow"], "flow"), (truth_path, "truth"))
    )
    whole = true_motion(truth["landmarks"], faces["landmarks"], params.flow.size)
    spans = _frames(json.loads(store.attributes(truth_path, "truth")["instances"]), flow["valid"].astype(bool))
    return {
        "measured nose": make_snippets(flow["flow"]),
        "measured flow": make_snippets(flow["flow"], SnippetParameters("none")),
        "true nose": (whole - whole[:, :, N_ROIS:])[:, :, :N_ROIS],
        "true whole": whole[:, :, :N_ROIS],
        **spans,
    }


def _frames(instances: list[Mapping[str, Any]], valid: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """Return the valid frames [T] inside instances of each class, and under ``none`` those whose window touches no instance."""
    frames = np.arange(len(valid))
    spans = {name: np.zeros(len(valid), bool) for name in CLASSES}
    near = np.zeros(len(valid), bool)
    for instance in instances:
        spans[instance["class"]] |= (frames >= instance["onset"]) & (frames <= instance["offset"])
        near |= (frames >= instance["onset"] - HALF) & (frames <= instance["offset"] + HALF)
    return {name: span & valid for name, span in spans.items()} | {"none": ~near & valid}
