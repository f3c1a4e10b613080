"""From recordings to snippets without a model: stages faces, flow and snippets on recordings of one's own.

Files lie as in the folder of a run, without keys: ``faces/{name}.h5``, ``flow/{name}.h5``, ``snippets/{name}.h5``, where
name is that of the recording's file.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base import store
from pfes.base.config import build
from pfes.commands.jobs import Outcome, by_name, each
from pfes.drawing import flow_figures
from pfes.faces.align import ROI_NAMES
from pfes.faces.landmarks import FaceParameters, write_faces
from pfes.flow.displacement import DisplacementParameters, write_displacement
from pfes.flow.snippets import N_ROIS, SnippetParameters, write_snippets
from pfes.flow.sw_mro import FlowParameters, write_flow
from pfes.media.decode import SamplingParameters
from pfes.methods.base import Measured

log = logging.getLogger(__name__)
STAGES = ("faces", "flow", "snippets")
FORMATS = ("npz", "csv")


@dataclass(frozen=True)
class ExtractParameters:
    """Parameters of the three stages."""

    sampling: SamplingParameters = SamplingParameters()
    faces: FaceParameters = FaceParameters()
    flow: FlowParameters = FlowParameters()
    snippets: SnippetParameters = SnippetParameters()
    displacement: DisplacementParameters = DisplacementParameters()


def parameters(settings: Mapping[str, Any]) -> ExtractParameters:
    """Return the parameters of the three stages from a configuration; its other sections are left alone."""
    return build(ExtractParameters, {name: settings[name] for name in ("sampling", *STAGES)})


def stage_paths(out: Path, name: str) -> dict[str, Path]:
    """Return the file of each stage for the recording called ``name``."""
    return {stage: out / stage / f"{name}.h5" for stage in STAGES}


def extract(
    recording: str,
    paths: Mapping[str, Path],
    params: ExtractParameters,
    *,
    fps: float = 0.0,
    cores: int = 1,
    last: Measured = "snippets",
) -> None:
    """Write the files of the stages up to ``last`` of one recording: faces, flow and snippets, or faces and displacement.

    ``fps``: native rate, 0 for the file's own.

    Raises
    ------
    InputError
        The recording cannot be used; the files say so too.
    """
    log.info("faces")
    write_faces(recording, fps, paths["faces"], params.sampling, params.faces)
    if store.refusal(paths["faces"], "faces") is None:
        log.info("optical flow, %d frames", len(store.read(paths["faces"], "faces")["found"]))
    if last == "displacement":
        write_displacement(recording, paths["faces"], paths[last], params.flow, params.displacement, cores=cores)
    else:
        write_flow(recording, paths["faces"], paths["flow"], params.flow, cores=cores)
        write_snippets(paths["flow"], paths["snippets"], params.snippets)
    store.attributes(paths[last], last)  # raises the reason of a refusal


def extract_all(
    recordings: Sequence[str],
    out: Path,
    params: ExtractParameters = ExtractParameters(),
    *,
    fps: float = 0.0,
    jobs: int = 1,
) -> Iterator[Outcome]:
    """Write the files of all ``recordings`` below ``out``, ``jobs`` at a time, and yield each outcome as it ends.

    One bad recording never stops the others; each has its log, ``logs/{name}.log``. Raises InputError where two recordings
    have one name.
    """
    named = by_name(recordings)
    tasks = {name: (recording, stage_paths(out, name), params, fps) for name, recording in named.items()}
    yield from each(_extract, tasks, {name: out / "logs" / f"{name}.log" for name in named}, jobs)


def _extract(recording: str, paths: Mapping[str, Path], params: ExtractParameters, fps: float) -> None:
    extract(recording, paths, params, fps=fps)


def table(
    snippets: NDArray[np.float32], valid: NDArray[np.bool_], native: NDArray[np.int64], fps: float
) -> pd.DataFrame:
    """Return snippets [T, 17, 10, 2] as a table, one row per frame.

    Columns: frame, native_frame, time_s, valid, and ``{roi}_{x or y}_{k}`` for every entry k of the window, px of the crop.
    """
    frames = np.arange(len(snippets))
    names = [f"{roi}_{axis}_{k}" for k in range(snippets.shape[1]) for roi in ROI_NAMES[:N_ROIS] for axis in "xy"]
    when = pd.DataFrame({"frame": frames, "native_frame": native, "time_s": frames / fps, "valid": valid.astype(bool)})
    return pd.concat([when, pd.DataFrame(snippets.reshape(len(snippets), -1), columns=names)], axis=1)


def finish(out: Path, name: str, formats: Sequence[str] = (), *, plots: bool = False) -> list[Path]:
    """Return the file of snippets of one recording, and write it in other ``formats`` and as a picture beside it.

    The npz holds ``snippets`` [T, 17, 10, 2], ``valid`` and ``native_frame`` [T], ``rois`` (names) and ``fps``; for the csv
    see ``table``; the picture is that of ``flow_figures.write_trajectories``.
    """
    paths = stage_paths(out, name)
    arrays, native = store.read(paths["snippets"], "snippets"), store.read(paths["faces"], "faces")["native_frame"]
    fps = float(store.attributes(paths["faces"], "faces")["fps"])
    written = [paths["snippets"]]
    for kind in formats:
        written.append(paths["snippets"].with_suffix(f".{kind}"))
        if kind == "csv":
            store.write_csv(written[-1], table(arrays["snippets"], arrays["valid"], native, fps))
            continue
        with store.atomic(written[-1]) as temporary:
            names = np.array(ROI_NAMES[:N_ROIS])
            np.savez_compressed(temporary, **arrays, native_frame=native, rois=names, fps=fps)
    if plots:
        written.append(out / "plots" / f"{name}.png")
        flow_figures.write_trajectories(paths["snippets"], written[-1])
    return written
