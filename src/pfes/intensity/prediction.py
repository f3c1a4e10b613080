"""Curves of an intensity model: of the held-out subjects' clips, and of whole recordings.

From clip to stream
-------------------
A recording is cut into windows of ``lengths`` frames every ``stride`` frames, each resampled to the clip's steps; where
windows overlap, their curves are averaged with a weight that is highest in the middle of a window. Memory is that of
a block of frames, whatever the length. A model trained without context or neutral clips sees an expression in every
window (see ``training``).

Files
-----
curves.parquet  kind ``intensity_curves``: subject, video_id, instance, class, step, frame, tau, predicted, triangle.
stream.h5       kind ``stream``: intensity/{video} [T], one value per sampled frame, NaN without a usable face.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.config import build
from pfes.base.errors import InputError
from pfes.faces.landmarks import USABLE
from pfes.intensity.clips import Crops, aligned_crop, placement, resample
from pfes.intensity.model import IntensityModel
from pfes.intensity.parameters import ClipParameters, StreamParameters
from pfes.intensity.training import Clip, load_clips, load_intensity_model, to_images
from pfes.media import decode

BLOCK = 512  # frames in memory at a time beyond the longest window
BATCH = 16  # windows that pass the network at once


@torch.inference_mode()
def predict_clips(model: IntensityModel, clips: Sequence[Clip], params: ClipParameters) -> NDArray[np.float32]:
    """Return the intensity [N, T] of the steps from onset to offset of each clip."""
    window = slice(params.context, params.context + params.steps)
    parts = [
        model(to_images(np.stack([clip.crops[window] for clip in clips[i : i + BATCH]])))
        for i in range(0, len(clips), BATCH)
    ]
    return torch.cat(parts).numpy() if parts else np.empty((0, params.steps), np.float32)


def write_curves(
    model_path: Path | str, clip_paths: Mapping[str, Path | str], videos_path: Path | str,
    expressions_path: Path | str, out: Path | str,
) -> None:  # fmt: skip
    """Predict the expressions of the held-out subjects' videos in ``clip_paths`` and write the curves."""
    listed = store.read_table(videos_path, "videos")
    subjects = dict(listed[["video_id", "subject"]].astype(str).to_numpy().tolist())
    model, meta = load_intensity_model(model_path, for_subject={subjects[video] for video in clip_paths})
    params = build(ClipParameters, meta["clips"])
    clips = load_clips(clip_paths, store.read_table(expressions_path, "expressions"), subjects)
    wanted = [clip for clip in clips if clip.label in meta["training"]["classes"] and clip.valid]
    curves = predict_clips(model, wanted, params)
    window = slice(params.context, params.context + params.steps)
    tables = [
        pd.DataFrame(
            {
                "subject": clip.subject, "video_id": clip.video_id, "instance": clip.instance, "class": clip.label,
                "step": np.arange(params.steps), "frame": clip.frames[window], "tau": clip.tau[window],
                "predicted": curve, "triangle": clip.target("triangle")[window],
            }
        )
        for clip, curve in zip(wanted, curves, strict=True)
    ]  # fmt: skip
    columns = ["subject", "video_id", "instance", "class", "step", "frame", "tau", "predicted", "triangle"]
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
    store.write_table(out, "intensity_curves", table, provenance.record("intensity_curves", {}, [model_path]))


def write_stream(
    model_paths: Sequence[Path | str], recordings: Mapping[str, str], faces_paths: Mapping[str, Path | str],
    out: Path | str, stream: StreamParameters | None = None, *, guard: Sequence[str] = (),
) -> None:  # fmt: skip
    """Write the intensity of whole recordings (video_id -> path), the mean over the models given.

    ``stream``: None for what the models say (those of before), else the defaults. ``guard``: subjects of the recordings; a model that was trained on one of them is refused.
    """
    loaded = [load_intensity_model(path, for_subject=list(guard)) for path in model_paths]
    meta = loaded[0][1]
    clips, stream = build(ClipParameters, meta["clips"]), stream or build(StreamParameters, meta.get("stream", {}))
    made = provenance.record("intensity_stream", asdict(stream), list(model_paths))
    with store.create(out, "stream", made) as writer:
        for video_id, path in sorted(recordings.items()):
            if store.refusal(faces_paths[video_id], "faces") is not None:
                continue
            faces = store.read(faces_paths[video_id], "faces")
            frames = (frame for _, frame in decode.read_at(path, faces["native_frame"].tolist()))
            placed = placement(faces["landmarks"], faces["cut"] > 0, clips.smooth)
            curve = stream_intensity(
                [model for model, _ in loaded], _crops(frames, placed, clips.size), len(placed), clips, stream
            )
            curve[faces["state"] != USABLE] = np.nan
            writer.append(f"intensity/{video_id}", curve)


def find_models(run: Path | str, system: str | None = None) -> list[Path]:
    """Return the intensity models of a run folder, all folds and seeds of ``system`` (default: the first by name, gru if there)."""
    found = sorted(Path(run).glob("intensity/*/*/seed*/model.pt"))
    systems = sorted({path.parts[-4] for path in found})
    if not found:
        raise InputError(
            f"{run}: no model of continuous intensity; expected a run folder with intensity/; make one with: make demo-intensity"
        )
    chosen = system or ("gru" if "gru" in systems else systems[0])
    if chosen not in systems:
        raise InputError(f"{run}: no intensity system {chosen!r}; expected one of {', '.join(systems)}")
    return [path for path in found if path.parts[-4] == chosen]


def stream_intensity(
    models: Sequence[IntensityModel], crops: Iterator[NDArray[np.uint8]], n_frames: int, clips: ClipParameters,
    params: StreamParameters,
) -> NDArray[np.float32]:  # fmt: skip
    """Return the intensity [T] of a stream of ``n_frames`` crops [S, S], in [0, 1]; see the module."""
    total, weight = np.zeros(n_frames), np.zeros(n_frames)
    longest = min(max(params.lengths), n_frames)
    block_frames: list[NDArray[np.uint8]] = []
    start = 0  # frame of block_frames[0]
    for index, crop in enumerate(crops):
        block_frames.append(crop)
        last = index == n_frames - 1
        if len(block_frames) == BLOCK + longest or last:
            block = np.stack(block_frames)
            windows = [w for w in _windows(n_frames, params) if start <= w[0] and w[1] <= start + len(block)]
            done = start + BLOCK
            windows = [w for w in windows if last or w[0] < done]
            _add(models, block, start, windows, clips, total, weight)
            block_frames, start = block_frames[BLOCK:], done
    return (total / np.maximum(weight, 1e-9)).astype(np.float32)


def _windows(n_frames: int, params: StreamParameters) -> Iterator[tuple[int, int]]:
    """Yield (first frame, end) of all windows; the last of each length ends with the recording."""
    for length in params.lengths:
        length = min(length, n_frames)
        starts = list(range(0, n_frames - length + 1, params.stride))
        if starts[-1] != n_frames - length:
            starts.append(n_frames - length)
        yield from ((first, first + length) for first in starts)


@torch.inference_mode()
def _add(
    models: Sequence[IntensityModel], block: Crops, start: int, windows: Sequence[tuple[int, int]],
    clips: ClipParameters, total: NDArray[np.float64], weight: NDArray[np.float64],
) -> None:  # fmt: skip
    """Add the curves of ``windows`` to ``total`` and their weights to ``weight``."""
    for i in range(0, len(windows), BATCH):
        part = windows[i : i + BATCH]
        times = [np.linspace(first, end - 1, clips.steps) - start for first, end in part]
        images = to_images(np.stack([resample(block, row) for row in times]))
        curves = torch.stack([model(images) for model in models]).mean(0).numpy()
        for (first, end), row, curve in zip(part, times, curves, strict=True):
            frames = np.arange(first, end)
            share = np.sin(np.pi * (np.arange(len(frames)) + 0.5) / len(frames)) ** 2 + 1e-3
            total[first:end] += share * np.interp(frames - start, row, curve)
            weight[first:end] += share


def _crops(
    frames: Iterator[decode.Frame | None], placed: NDArray[np.float64], size: int
) -> Iterator[NDArray[np.uint8]]:
    crop = np.zeros((size, size), np.uint8)
    for frame, place in zip(frames, placed, strict=True):
        if frame is not None:
            crop = aligned_crop(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8), place, size)
        yield crop
