"""Stage spot for methods without training: proposals of every video, from what stages faces to displacement measured."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.config import values_of
from pfes.base.errors import InputError
from pfes.decoding.proposals import SpotParameters
from pfes.faces.landmarks import USABLE
from pfes.flow.sw_mro import FlowParameters
from pfes.methods.base import Measured, Signals, TrainingFreeMethod
from pfes.spotting.proposal_tables import check_length, concatenate, locate, read_faces


def write_training_free(
    method: TrainingFreeMethod,
    measured_paths: Mapping[str, Path | str],
    faces_paths: Mapping[str, Path | str],
    videos_path: Path | str,
    out_path: Path | str,
    params: SpotParameters,
) -> None:
    """Spot every video and write the table of proposals.

    ``measured_paths`` and ``faces_paths`` map video_id to HDF5 of the kind that the method reads and of kind ``faces``; a
    refused video gets no proposal. Raises InputError where a video is not in the table ``videos`` or its files differ in
    length.
    """
    subjects = store.read_table(videos_path, "videos").set_index("video_id")["subject"]
    kind = method.reads(params)
    tables: list[pd.DataFrame] = []
    for video_id, path in measured_paths.items():
        if video_id not in subjects.index or video_id not in faces_paths:
            missing = videos_path if video_id not in subjects.index else "the faces files"
            raise InputError(f"{path}: video {video_id} is not in {missing}; rerun rule {kind}")
        if store.refusal(path, kind) is not None:
            continue
        signals, native = read_signals(kind, path, faces_paths[video_id])
        curves = {**method.curves(signals, params), "valid": signals.valid}
        proposals = method.propose(curves, params, signals.fps)
        tables.append(locate(proposals, str(subjects[video_id]), video_id, native, signals.fps))
    made = provenance.record(
        "spot", {"method": method.name, **values_of(params)}, [videos_path, *measured_paths.values()]
    )
    store.write_table(out_path, "proposals", concatenate(tables), made)


def read_signals(kind: Measured, path: Path | str, faces_path: Path | str) -> tuple[Signals, NDArray[np.int64]]:
    """Return what a method without training sees of a video, and the native frame [T] of each of its frames.

    Snippets say themselves which frames are valid; displacement is wherever the face is usable. Raises InputError where
    the two files differ in their number of frames, or one is a refusal.
    """
    measured, (faces, fps) = store.read(path, kind), read_faces(faces_path)
    n_frames = len(faces["native_frame"])
    check_length(Path(path).stem, path, len(measured[kind]), n_frames)
    unknown = np.full((n_frames, 68, 2), np.nan)  # imported features have no landmarks
    signals = Signals(
        measured=measured[kind],
        valid=measured["valid"] > 0 if "valid" in measured else faces["state"] == USABLE,
        cut=faces.get("cut", np.zeros(n_frames)) > 0,
        fps=fps,
        landmarks=faces.get("landmarks", unknown),
        pose=faces.get("pose", unknown[:, :3, 0]),
        size=int(store.attributes(path, kind).get("size", FlowParameters.size)),
    )
    return signals, np.asarray(faces["native_frame"], np.int64)
