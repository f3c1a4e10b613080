"""How far off the flow is where recordings are bad: compressed, noisy, under changing light, with a moving head.

Every condition of ``scenes.RECORDINGS`` at every amplitude, on scikit-image's astronaut and on the face in the first frame
of each video given, cropped as the flow stage crops it. The error is the mean of |flow - truth| in the face (without a
margin of one eighth), px, pooled over faces and scenes; a cell is lost where ours is above the better of two rivals.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base.errors import InputError
from pfes.bench import scenes
from pfes.faces import align
from pfes.faces.landmarks import USABLE, FaceParameters, find_faces
from pfes.flow.tvl1 import tvl1
from pfes.media import decode

OPENCV, DIS, OURS = "OpenCV TV-L1", "DIS", "pfes TV-L1"


def bench_recordings(
    sizes: Sequence[int] = (128,),
    repeats: int = 2,
    videos: Sequence[Path | str] = (),
    conditions: Sequence[str] = tuple(scenes.RECORDINGS),
    amplitudes: Sequence[float] = scenes.RECORDING_AMPLITUDES,
) -> pd.DataFrame:
    """Return one row per size, condition and amplitude: the mean error of each solver and of no flow, px, and ``ratio``.

    ``repeats``: scenes per face, each with its own bumps, light and noise. ``ratio`` is ours over the better rival, ``lost``
    whether it is above 1. The result is the same on each run.

    Raises
    ------
    InputError
        A video cannot be read, or has no usable face in its first frame.
    """
    opencv: Any = cv2  # its type stubs lack these solvers
    solvers = {
        OPENCV: opencv.optflow.DualTVL1OpticalFlow_create().calc,
        DIS: opencv.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc,
        OURS: lambda reference, moving, _: tvl1(reference, moving),
        "no flow": lambda reference, moving, _: np.zeros((*reference.shape, 2), np.float32),
    }
    rows = []
    for size in sizes:
        faces = [scenes.face(size), *(first_face(video, size) for video in videos)]
        for name, amplitude in product(conditions, amplitudes):
            found: dict[str, list[float]] = {solver: [] for solver in solvers}
            for face, seed in product(faces, range(repeats)):
                reference, moving, truth = scenes.scene(face, amplitude, scenes.RECORDINGS[name], seed=seed)
                for solver, solve in solvers.items():
                    flow = solve(reference, moving, None)
                    found[solver].append(float(scenes.face_error(flow, truth).mean()))
            errors = {solver: float(np.mean(values)) for solver, values in found.items()}
            ratio = errors[OURS] / min(errors[OPENCV], errors[DIS])
            rows.append(
                {"size": size, "condition": name, "amplitude": amplitude, **errors, "ratio": ratio, "lost": ratio > 1}
            )
    return pd.DataFrame(rows)


def first_face(video: Path | str, size: int) -> NDArray[np.uint8]:
    """Return the face in the first frame of a recording, grey, uint8 [size, size]; see bench_recordings for errors."""
    frames = decode.read_sampled(video, decode.recording_clock(video), decode.SamplingParameters())
    first = next(iter(frames))
    found = find_faces(iter([first]), FaceParameters())
    if first[1] is None or found["state"][0] != USABLE:
        raise InputError(f"{video}: no usable face in its first frame; take another recording")
    grey = cv2.cvtColor(first[1], cv2.COLOR_BGR2GRAY)
    return np.asarray(align.crop(grey, align.crop_boxes(found["landmarks"])[0], size), np.uint8)


def ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Return ``ratio`` as text, a line per size and condition, a column per amplitude; a star marks a lost cell."""
    text = [f"{ratio:.2f}{'*' if lost else ''}" for ratio, lost in zip(table["ratio"], table["lost"], strict=True)]
    cells = table[["size", "condition"]].assign(amplitude=table["amplitude"].map("{:g} px".format), text=text)
    wide = cells.pivot_table("text", ["size", "condition"], "amplitude", aggfunc="first", sort=False)
    return wide.reset_index()
