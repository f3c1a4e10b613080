"""Stage spot for methods without training: proposals of every video, from its snippets alone."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pfes.base import provenance, store
from pfes.base.config import values_of
from pfes.base.errors import InputError
from pfes.decoding.proposals import SpotParameters
from pfes.methods.base import TrainingFreeMethod
from pfes.spotting.proposal_tables import check_length, concatenate, locate, read_faces


def write_training_free(
    method: TrainingFreeMethod,
    snippets_paths: Mapping[str, Path | str],
    faces_paths: Mapping[str, Path | str],
    videos_path: Path | str,
    out_path: Path | str,
    params: SpotParameters,
) -> None:
    """Spot every video and write the table of proposals.

    ``snippets_paths`` and ``faces_paths`` map video_id to HDF5 of kinds ``snippets`` and ``faces``; a refused video
    gets no proposal. Raises InputError where a video is not in the table ``videos`` or its files differ in length.
    """
    subjects = store.read_table(videos_path, "videos").set_index("video_id")["subject"]
    tables: list[pd.DataFrame] = []
    for video_id, path in snippets_paths.items():
        if video_id not in subjects.index or video_id not in faces_paths:
            missing = videos_path if video_id not in subjects.index else "the faces files"
            raise InputError(f"{path}: video {video_id} is not in {missing}; rerun rule snippets")
        if store.refusal(path, "snippets") is not None:
            continue
        arrays = store.read(path, "snippets")
        faces, fps = read_faces(faces_paths[video_id])
        check_length(video_id, path, len(arrays["snippets"]), len(faces["native_frame"]))
        curves = {**method.curves(arrays["snippets"], params), "valid": arrays["valid"] > 0}
        proposals = method.propose(curves, params, fps)
        tables.append(locate(proposals, str(subjects[video_id]), video_id, faces["native_frame"], fps))
    made = provenance.record(
        "spot", {"method": method.name, **values_of(params)}, [videos_path, *snippets_paths.values()]
    )
    store.write_table(out_path, "proposals", concatenate(tables), made)
