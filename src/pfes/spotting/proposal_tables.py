"""Stage spot: proposals of every video of a scores file, as a table.

Columns are records.PROPOSAL_COLUMNS: frames are sampled, ``native_`` those of the recording, ``_s`` seconds.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.config import values_of
from pfes.base.errors import InputError
from pfes.base.records import PROPOSAL_COLUMNS
from pfes.decoding.bridge import bridged
from pfes.decoding.proposals import SpotParameters
from pfes.methods.base import Curves, Method

SHORTEST_WAY = 8  # least length of the onset or the offset of a held expression, frames
_INTEGERS = ("onset", "apex", "offset", "native_onset", "native_apex", "native_offset")
_TEXTS = ("subject", "video_id", "class")
CURVES = ("intensity", "class_scores", "valid", "outputs", "candidates", "moved")  # of a video in a scores file


def write_proposals(
    scores_path: Path | str,
    videos_path: Path | str,
    faces_paths: Mapping[str, Path | str],
    out_path: Path | str,
    params: SpotParameters,
    method: Method,
) -> None:
    """Spot every video of a scores file and write the table of proposals.

    Parameters
    ----------
    scores_path
        HDF5 of kind ``scores``; a refused video is not in it and gets no proposal.
    videos_path
        Table ``videos``: subject of each video_id.
    faces_paths
        video_id -> HDF5 of kind ``faces``: native frame of each sampled frame, sampled fps.

    Raises
    ------
    InputError
        A scored video is not in the table or has no faces file, or the two differ in their number of frames.
    """
    scores = store.read(scores_path, "scores")
    subjects = store.read_table(videos_path, "videos").set_index("video_id")["subject"]
    scored = [name.removeprefix("intensity/") for name in scores if name.startswith("intensity/")]
    tables = []
    for video_id in scored:
        if video_id not in subjects.index or video_id not in faces_paths:
            missing = videos_path if video_id not in subjects.index else "the faces files"
            raise InputError(f"{scores_path}: video {video_id} is not in {missing}; rerun rule features")
        faces, fps = read_faces(faces_paths[video_id])
        curves = {name: scores[f"{name}/{video_id}"] for name in CURVES if f"{name}/{video_id}" in scores}
        check_length(video_id, scores_path, len(curves["intensity"]), len(faces["native_frame"]))
        if params.bridge_s is not None and "moved" not in curves:
            raise InputError(f"{scores_path}: it lacks the motion that spot.bridge_s needs; rerun rule scores")
        proposals = proposed(method, curves | {"valid": curves["valid"] > 0}, params, fps)
        tables.append(locate(proposals, str(subjects[video_id]), video_id, faces["native_frame"], fps))
    sources = [scores_path, videos_path, *(faces_paths[video_id] for video_id in scored)]
    store.write_table(out_path, "proposals", concatenate(tables), provenance.record("spot", values_of(params), sources))


def proposed(method: Method, curves: Curves, params: SpotParameters, fps: float) -> pd.DataFrame:
    """Return the proposals of a video by a method, those of held expressions joined if ``params`` say so.

    The way there, and back, of a held macro-expression may be shorter than one may be: the least length is that of the joined.
    """
    if params.bridge_s is None or not method.reads_spot:
        return method.propose(curves, params, fps)
    ways = replace(params, macro=replace(params.macro, min_frames=min(params.macro.min_frames, SHORTEST_WAY)))
    found = bridged(method.propose(curves, ways, fps), curves["moved"], params.bridge_s, fps)
    short = (found["class"] == "macro") & (found["offset"] - found["onset"] + 1 < params.macro.min_frames)
    return found[~short].reset_index(drop=True)


def write_events(proposals_path: Path | str, out_path: Path | str) -> None:
    """Write a table of proposals as CSV."""
    store.write_csv(out_path, store.read_table(proposals_path, "proposals"))


def read_faces(path: Path | str) -> tuple[dict[str, NDArray[Any]], float]:
    """Read a ``faces`` file: its arrays (``native_frame`` [T], ``found`` [T], ...) and sampled frames per second."""
    return store.read(path, "faces"), float(store.attributes(path, "faces")["fps"])


def check_length(video_id: str, path: Path | str, found: int, expected: int) -> None:
    """Raise InputError unless a curve has as many frames as the faces file of its video."""
    if found != expected:
        raise InputError(f"{path}: {found} frames of {video_id}, but its faces file has {expected}; rerun rule flow")


def locate(
    proposals: pd.DataFrame, subject: str, video_id: str, native_frame: NDArray[Any], fps: float
) -> pd.DataFrame:
    """Add to proposals (FRAME_COLUMNS) the video, native frames and seconds: PROPOSAL_COLUMNS.

    ``native_frame`` [T] is the native frame of each sampled frame, that of the last one also of frame T, where the
    release ends a proposal; seconds are sampled frame / ``fps``.
    """
    table = proposals.assign(subject=subject, video_id=video_id)
    for name in ("onset", "apex", "offset"):
        frames = table[name].to_numpy(np.int64)
        table[f"native_{name}"] = np.asarray(native_frame, np.int64)[np.minimum(frames, len(native_frame) - 1)]
        table[f"{name}_s"] = frames / fps
    return table[list(PROPOSAL_COLUMNS)]


def concatenate(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Join tables of PROPOSAL_COLUMNS; no table gives an empty one of the same column types."""
    full = [table for table in tables if len(table)]
    joined = pd.concat(full, ignore_index=True) if full else pd.DataFrame(columns=list(PROPOSAL_COLUMNS))
    return joined.astype({
        name: "int64" if name in _INTEGERS else "object" if name in _TEXTS else "float64" for name in PROPOSAL_COLUMNS
    })  # fmt: skip
