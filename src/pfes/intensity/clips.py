"""Stage clips: aligned face crops of every labelled expression, resampled to a fixed number of steps.

Conventions
-----------
A clip has ``steps`` steps evenly over [onset, offset]: step i lies at the sampled frame onset + i (offset - onset) /
(steps - 1), between frames by linear blending. The file also holds ``context`` steps of the same spacing before and
after it, held at the ends of the video, so that training can show a clip with some of the rest around it.
``neutral`` clips have the same shape and lie where no labelled expression is.

Crops are uint8 [S, S], grey. Each frame has its own, placed to a fraction of a px by the landmarks smoothed in time, so
that a moving head stays in place; the box is that of ``align`` (9 g around the inner eye corners).

File (kind ``clips``)
---------------------
clips [I, context + steps + context, S, S]; frames [I, same], sampled frames of the steps; instance [I], the index of
``expressions`` or -1 for a neutral clip; valid [I], whether every frame of the clip itself had a usable face, without a cut.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.faces import align
from pfes.faces.geometry import Points
from pfes.faces.landmarks import USABLE
from pfes.intensity.parameters import ClipParameters
from pfes.media import decode

Crops = NDArray[np.uint8]  # [T, S, S]
INNER_EYES = (39, 42)


def write_clips(
    recording: str, faces_path: Path | str, expressions_path: Path | str, video_id: str, out: Path | str,
    params: ClipParameters, seed: int = 0,
) -> None:  # fmt: skip
    """Cut the clips of one recording and write a file of kind ``clips``; a refused video stays refused."""
    made = provenance.record("clips", {**asdict(params), "seed": seed}, [faces_path, expressions_path])
    with store.refusing(out, "clips", made):
        faces = store.read(faces_path, "faces")
        table = store.read_table(expressions_path, "expressions")
        own = table[table["video_id"] == video_id]
        n_frames = len(faces["native_frame"])
        intervals = own[["onset", "offset"]].to_numpy(np.int64)
        still = neutral_intervals(intervals, n_frames, params.neutral, np.random.default_rng([seed, len(own)]))
        spans = np.concatenate([intervals, still])
        times = (
            np.stack([step_frames(int(onset), int(offset), params) for onset, offset in spans])
            if len(spans)
            else np.empty((0, 0))
        )
        times = times.clip(0, n_frames - 1)
        wanted = np.unique(np.concatenate([np.floor(times), np.ceil(times)]).astype(np.int64))
        native = faces["native_frame"][wanted].tolist()
        placed = placement(faces["landmarks"], faces["cut"] > 0, params.smooth)[wanted]
        frames = (frame for _, frame in decode.read_at(recording, native))
        crops = aligned_crops(frames, placed, params.size)
        length = params.steps + 2 * params.context
        clips = [resample(crops, np.interp(row, wanted, np.arange(len(wanted)))) for row in times]
        usable = (faces["state"] == USABLE) & ~(faces["cut"] > 0)
        store.write(
            out, "clips",
            {
                "clips": np.stack(clips) if clips else np.empty((0, length, params.size, params.size), np.uint8),
                "frames": times.reshape(-1, length).astype(np.float32),
                "instance": np.concatenate([own.index.to_numpy(np.int64), np.full(len(still), -1)]),
                "valid": np.array([usable[on : off + 1].all() for on, off in spans], bool),
            },
            made, **asdict(params),
        )  # fmt: skip


def step_frames(onset: int, offset: int, params: ClipParameters) -> NDArray[np.float64]:
    """Return the sampled frames [context + steps + context] of a clip's steps; may lie beyond the video."""
    steps = np.arange(-params.context, params.steps + params.context)
    return onset + steps * (offset - onset) / (params.steps - 1)


def neutral_intervals(
    expressions: NDArray[np.int64], n_frames: int, count: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return up to ``count`` intervals [n, 2] of 16 to 48 frames that touch none of ``expressions`` [I, 2]."""
    free = np.ones(n_frames, bool)
    for onset, offset in expressions:
        free[max(onset, 0) : offset + 1] = False
    found: list[tuple[int, int]] = []
    for _ in range(20 * count):
        if len(found) == count:
            break
        length = int(rng.integers(16, 49))
        start = int(rng.integers(0, max(n_frames - length, 1)))
        if start + length <= n_frames and free[start : start + length].all():
            found.append((start, start + length - 1))
    return np.array(found, np.int64).reshape(-1, 2)


def placement(landmarks: Points, cut: NDArray[np.bool_], smooth: float) -> NDArray[np.float64]:
    """Return [T, 3]: centre (x, y) between the inner eye corners and half their distance g, px, smoothed within shots."""
    eyes = align.stabilise(landmarks, cut, smooth)[:, INNER_EYES].astype(np.float64)
    half = np.maximum(np.linalg.norm(eyes[:, 0] - eyes[:, 1], axis=-1) / 2, 1.0)
    return np.column_stack([eyes.mean(1), half])


def aligned_crops(frames: Iterable[decode.Frame | None], placed: NDArray[np.float64], size: int) -> Crops:
    """Return grey crops [T, S, S] of BGR frames placed by ``placement`` rows [T, 3]; an unreadable frame repeats."""
    crops = np.zeros((len(placed), size, size), np.uint8)
    for index, frame in enumerate(frames):
        if frame is None:
            crops[index] = crops[max(index - 1, 0)]
        else:
            crops[index] = aligned_crop(
                np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8), placed[index], size
            )
    return crops


def aligned_crop(image: NDArray[np.uint8], placed: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """Return the crop [S, S] of a grey image for one (x, y, g): rows y - 3.5 g .. y + 5.5 g, columns x -+ 4.5 g."""
    x, y, g = placed
    scale = 9 * g / size  # px of the recording per px of the crop
    if scale > 1:  # without this, shrinking would alias texture into flicker
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.5 * scale), np.uint8)
    left, top = x - 4.5 * g, y - 3.5 * g
    matrix = np.array([[scale, 0, left + 0.5 * scale - 0.5], [0, scale, top + 0.5 * scale - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def resample(crops: Crops, times: NDArray[np.float64]) -> Crops:
    """Return crops [len(times), S, S] at fractional indices ``times`` into ``crops``, blended linearly."""
    before = np.floor(times).astype(np.int64)
    after = np.minimum(before + 1, len(crops) - 1)
    share = (times - before)[:, None, None]
    return np.rint(crops[before] * (1 - share) + crops[after] * share).astype(np.uint8)
