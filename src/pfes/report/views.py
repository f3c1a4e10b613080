"""What the report draws when one of its videos is opened: truth, proposals, curves, signals, flow.

Conventions
-----------
Frames are sampled frames, 0-based; intervals are inclusive. A *view* is a dictionary of plain values that JSON can hold.
A *curve* is {step, low, high, values}: value i stands for the frames i * step .. i * step + step - 1 (the extreme one of
them), is an integer in 0..LEVELS that means low + value / LEVELS * (high - low), and is None where all of them are NaN.
``pack`` writes a view as base64 of deflated JSON, which a browser reads with its own DecompressionStream.
"""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base import store
from pfes.base.intervals import runs
from pfes.base.records import HALF
from pfes.drawing import figures
from pfes.evaluation.metrics import read_proposals
from pfes.faces.align import ROI_NAMES
from pfes.flow.snippets import N_ROIS
from pfes.report.files import Key, RunFiles

LEVELS = 254
SIDE_POINTS = 1000  # greatest number of values of a face signal and of the flow of a region
LAG = HALF  # the flow that is shown leads from LAG frames before a frame to it

Floats = NDArray[np.floating]


def views(
    files: RunFiles,
    videos: Sequence[Mapping[str, Any]],
    *,
    with_flow: set[str],
    points: int,
    kinds: Mapping[tuple[str, str, int, int], str] | None = None,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (video_id, view) of every usable video; proposals and curves are of the first seed of each experiment.

    Parameters
    ----------
    videos : rows of ``report_tables.video_quality``
    with_flow : the videos whose ROI flow is shown
    points : greatest number of values of a curve
    kinds : (experiment, video_id, instance or -1, proposal or -1) -> what kind of error it is
    """
    keys = files.first_seeds()
    expressions = by_video(files.labelled())
    matches = store.read_table(files.matches, "matches")
    judged = {key: by_video(_of(matches, key)) for key in keys}
    proposals = {key: by_video(read_proposals(files.proposals[key])) for key in keys}
    intensities = {key: read_intensities(files, key) for key in keys}
    streams = store.read_videos(files.intensity.streams, "stream", "intensity") if files.intensity else {}
    for video in videos:
        video_id = video["video_id"]
        if video["refused"] is not None:
            continue
        faces = files.face(video_id).arrays
        valid = faces["found"] > 0
        truth = expressions.get(video_id)
        view: dict[str, Any] = {
            "fps": video["fps"],
            "frames": len(valid),
            "gaps": runs(~valid).tolist(),
            "truth": [_interval(row) + [int(row["instance"])] for row in figures.rows(truth)],
            "experiments": [],
            "signals": face_signals(faces, video["fps"], min(points, SIDE_POINTS)),
            "flow": flow_map(files, video_id, min(points, SIDE_POINTS)) if video_id in with_flow else None,
            "true": None,
            "continuous": None,
        }
        if video_id in streams:
            view["continuous"] = curve(streams[video_id], points, low=0.0, high=1.0)
        if video_id in files.truth:
            view["true"] = curve(store.read(files.truth[video_id], "truth")["intensity"], points, low=0.0, high=1.0)
        for key in keys:
            intensity = intensities[key].get(video_id)
            view["experiments"].append(
                {
                    "curve": None if intensity is None else _intensity(intensity, valid, points),
                    **_judged(key[0], video_id, proposals[key].get(video_id), judged[key].get(video_id), kinds or {}),
                }
            )
        yield video_id, view


def pack(view: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return a view, or a list, as base64 of deflated (zlib) JSON: ASCII without any character that HTML gives a meaning to."""
    text = json.dumps(view, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 6)).decode()


def curve(
    values: Floats, points: int, *, low: float | None = None, high: float | None = None, lowest: bool = False
) -> dict[str, Any]:
    """Return ``values`` [T] as a curve of at most ``points`` values; see Conventions.

    Parameters
    ----------
    low, high : the range that is kept; by default that of the values. What lies outside is cut.
    lowest : keep the lowest of the values that one value stands for, else the highest
    """
    step = max(1, -(-len(values) // points))
    pool = np.fmin if lowest else np.fmax
    pooled = pool.reduceat(np.asarray(values, float), np.arange(0, len(values), step)) if len(values) else np.empty(0)
    finite = pooled[np.isfinite(pooled)]
    low = float(finite.min(initial=np.inf)) if low is None and len(finite) else (low or 0.0)
    high = float(finite.max(initial=-np.inf)) if high is None and len(finite) else (high or 0.0)
    share = np.clip((pooled - low) / ((high - low) or 1.0), 0, 1)
    levels: list[int | None] = np.rint(np.nan_to_num(share) * LEVELS).astype(int).tolist()
    for index in np.flatnonzero(~np.isfinite(share)):
        levels[index] = None
    return {"step": step, "low": round(low, 6), "high": round(high, 6), "values": levels}


def face_signals(faces: Mapping[str, NDArray[Any]], fps: float, points: int) -> list[dict[str, Any]]:
    """Return what the landmarks say about a face over time, as named curves with units.

    head motion : way of the nose tip, distances of the eyes per second
    head turn : angle between the head and its median pose, degrees
    eye opening : distance of the lids over the width of the eye, mean of both; a blink is a dip
    mouth opening : distance of the inner lips over their width; talking goes up and down
    """
    found = faces["found"] > 0
    landmarks = np.where(found[:, None, None], faces["landmarks"], np.nan).astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        way = np.linalg.norm(np.diff(landmarks[:, 30], axis=0, prepend=np.nan), axis=-1)
        motion = way / faces["interocular"] * fps
        eyes = (
            _opening(landmarks, ((37, 41), (38, 40)), (36, 39)) + _opening(landmarks, ((43, 47), (44, 46)), (42, 45))
        ) / 2
        mouth = _opening(landmarks, ((62, 66),), (60, 64))
    pose = np.where(found[:, None], faces["pose"], np.nan)
    turn = np.linalg.norm(pose - (np.nanmedian(pose, axis=0) if found.any() else 0), axis=-1)
    named = (
        ("head motion", "eye distances/s", motion),
        ("head turn", "\N{DEGREE SIGN}", turn),
        ("eye opening", "of its width", eyes),
        ("mouth opening", "of its width", mouth),
    )
    return [
        {"name": name, "unit": unit, **curve(values, points, low=0.0, lowest=name == "eye opening")}
        for name, unit, values in named
    ]


def flow_map(files: RunFiles, video_id: str, points: int) -> dict[str, Any] | None:
    """Return the magnitude (px of the crop) of the flow from LAG frames before, one curve per ROI on one scale."""
    if video_id not in files.snippets:
        return None
    snippets = store.read(files.snippets[video_id], "snippets")["snippets"]
    magnitude = np.linalg.norm(snippets[:, LAG], axis=-1)  # [T, 10]
    high = float(np.nanmax(magnitude, initial=0.0)) or 1.0
    rois = [curve(magnitude[:, index], points, low=0.0, high=high)["values"] for index in range(N_ROIS)]
    step = max(1, -(-len(magnitude) // points))
    names = [name.replace("_", " ") for name in ROI_NAMES[:N_ROIS]]
    return {"step": step, "high": round(high, 3), "rois": names, "values": rois, "lag": LAG}


def read_intensities(files: RunFiles, key: Key) -> dict[str, Floats]:
    """Return the intensity [T] of every video of one experiment and seed by video_id; none for one without scores."""
    return store.read_videos(files.scores.get(key, ()), "scores", "intensity")


def _intensity(values: Floats, valid: NDArray[np.bool_], points: int) -> dict[str, Any]:
    shown = np.where(valid, values, np.nan)
    highest = float(np.max(values, initial=1.0, where=np.isfinite(values)))
    return curve(shown, points, low=0.0, high=highest)


def _opening(landmarks: Floats, lids: tuple[tuple[int, int], ...], corners: tuple[int, int]) -> Floats:
    width = np.linalg.norm(landmarks[:, corners[0]] - landmarks[:, corners[1]], axis=-1)
    gaps = [np.linalg.norm(landmarks[:, upper] - landmarks[:, lower], axis=-1) for upper, lower in lids]
    return np.mean(gaps, axis=0) / width


def _judged(
    experiment: str,
    video_id: str,
    proposals: pd.DataFrame | None,
    matches: pd.DataFrame | None,
    kinds: Mapping[tuple[str, str, int, int], str],
) -> dict[str, Any]:
    """Proposals of one video, each with the instance it was paired with (or -1) and the kind of error, and the misses."""
    rows = figures.rows(matches)
    paired = {int(row["proposal"]): row for row in rows if row["proposal"] >= 0 and row["instance"] >= 0}
    found = []
    for index, row in enumerate(figures.rows(proposals)):
        pair = paired.get(index)
        instance, overlap = (int(pair["instance"]), round(float(pair["iou"]), 3)) if pair else (-1, 0)
        kind = "found" if pair else kinds.get((experiment, video_id, -1, index), "false alarm")
        found.append([*_interval(row), round(float(row["score"]), 3), instance, overlap, kind])
    missed = [int(row["instance"]) for row in rows if row["proposal"] < 0]
    return {
        "proposals": found,
        "missed": [[instance, kinds.get((experiment, video_id, instance, -1), "missed")] for instance in missed],
    }


def _interval(row: Mapping[str, Any]) -> list[Any]:
    return [row["class"], int(row["onset"]), int(row["apex"]), int(row["offset"])]


def _of(matches: pd.DataFrame, key: Key) -> pd.DataFrame:
    return matches[(matches["experiment"] == key[0]) & (matches["seed"] == key[1])]


def by_video(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each video by its video_id."""
    return {str(name): group for name, group in table.groupby("video_id", sort=False)}
