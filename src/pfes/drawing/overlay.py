"""The overlay video of ``pfes spot``: what was seen, where, and what it led to, frame by frame.

Above, the recording with face points, crop box (green) and ROI boxes (yellow); below, a strip with a caption (time,
frame, current detections), the intensity curve of the whole recording, its proposals as bands (macro of full height,
micro of half) and a cursor. Frames are [H, W, 3] uint8 BGR, boxes (x0, y0, x1, y1) in px of the recording, intervals
inclusive sampled frames. Frames are drawn one by one: memory does not grow with the length of the recording.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pfes.base.errors import InputError
from pfes.base.records import CLASSES
from pfes.drawing import figures
from pfes.faces import align
from pfes.media.encode import encode

Frame = NDArray[np.uint8]

# px: limits of the picture; smaller recordings are enlarged for legible text. Larger pictures would take longer than the flow.
WIDEST, TALLEST, NARROWEST = 960, 720, 640
CLASS_COLOURS = {"macro": "#56b4e9", "micro": "#e69f00"}  # light members of the Okabe-Ito set, for the dark strip
_PAPER, _INK, _FAINT = "#16181c", "#f2f2f2", "#8b9099"
_POINT, _CROP, _ROI, _CURSOR = (255, 255, 255), (115, 158, 0), (0, 228, 240), (66, 228, 240)  # BGR


@dataclass(frozen=True)
class Strip:
    """The still part below the picture: ``image`` [h, W, 3], the column of each frame [T], the rows of the curve."""

    image: Frame
    columns: NDArray[np.int64]
    top: int
    bottom: int


def write_overlay(
    frames: Iterable[Frame | None],
    out_path: Path | str,
    fps: float,
    landmarks: NDArray[np.floating],
    rois: NDArray[np.floating],
    crop_box: NDArray[np.floating],
    intensity: NDArray[np.floating],
    proposals: pd.DataFrame,
) -> None:
    """Write an H.264 mp4 of exactly T frames that shows face, ROIs, curve and detections.

    Parameters
    ----------
    frames : the T sampled frames of the recording; None for one that could not be read (the last good one is shown)
    fps : sampled frames per second
    landmarks : [T, 68, 2] px, NaN where no face was found
    rois : [T, R, 4] px; crop_box : [T, 4] px; drawn only where a face was found
    intensity : [T] in [0, 1]
    proposals : columns class, onset, apex, offset, score

    Raises
    ------
    InputError
        There are more or fewer frames than T, or none can be read.
    """
    encode(out_path, draw_overlay(frames, fps, landmarks, rois, crop_box, intensity, proposals), fps, fast=True)


def face_boxes(
    landmarks: NDArray[np.floating], size: int, cut: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ROI boxes [T, R, 4] and crop boxes [T, 4] of a recording, px, placed as the flow stage places them.

    Parameters
    ----------
    landmarks : [T, 68, 2] px, NaN where no face was found; at least one frame has a face
    size : side of the aligned crop, px; ROI boxes are whole pixels of it
    cut : [T], True in the first frame after a cut
    """
    steady = align.stabilise(landmarks, cut)
    crops = align.crop_boxes(steady)
    rois = np.stack([align.roi_boxes(points, box, size) for points, box in zip(steady, crops, strict=True)])
    corner, side = crops[:, :2].astype(np.float64), crops[:, 2:]
    return rois * (side / size)[:, None] + np.tile(corner, 2)[:, None], np.concatenate([corner, corner + side], axis=1)


def draw_overlay(
    frames: Iterable[Frame | None],
    fps: float,
    landmarks: NDArray[np.floating],
    rois: NDArray[np.floating],
    crop_box: NDArray[np.floating],
    intensity: NDArray[np.floating],
    proposals: pd.DataFrame,
) -> Iterator[Frame]:
    """Yield the frames of ``write_overlay``."""
    n_frames, found = len(intensity), np.isfinite(landmarks).all(axis=(1, 2))
    strip, count = None, 0
    for count, (frame, readable) in enumerate(_without_holes(frames), start=1):
        if count > n_frames:
            raise InputError(
                f"overlay: more frames than the {n_frames} of the analysis; was the recording replaced since?"
            )
        t = count - 1
        picture, scale = _enlarged(frame)
        if found[t]:
            draw_face(picture, landmarks[t] * scale, rois[t] * scale, crop_box[t] * scale)
        if strip is None:
            strip = draw_strip(picture.shape[1], intensity, proposals, found, fps)
        state = "" if found[t] else ("no face" if readable else "unreadable frame")
        yield np.vstack([picture, _strip_at(strip, t, fps, intensity[t], state, proposals)])
    if count < n_frames:
        raise InputError(
            f"overlay: {count} frames for the {n_frames} of the analysis; was the recording cut short since?"
        )


def draw_face(
    picture: Frame, points: NDArray[np.floating], rois: NDArray[np.floating], crop_box: NDArray[np.floating]
) -> None:
    """Draw crop box, ROI boxes ``[R, 4]`` and face points ``[68, 2]`` into ``picture``."""
    _box(picture, crop_box, _CROP, 1)
    for box in rois:
        _box(picture, box, _ROI, 1)
    for x, y in _fixed(points):
        cv2.circle(picture, (x, y), 28, (0, 0, 0), -1, cv2.LINE_AA, shift=4)
        cv2.circle(picture, (x, y), 18, _POINT, -1, cv2.LINE_AA, shift=4)


def draw_strip(
    width: int, intensity: NDArray[np.floating], proposals: pd.DataFrame, found: NDArray[np.bool_], fps: float
) -> Strip:
    """Draw the strip below a picture of ``width`` px: room for the caption, curve, bands and gaps without a face."""
    height, dpi = max(132, round(0.17 * width)), width / 8
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 8}):
        figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, facecolor=_PAPER)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0.055, 0.2, 0.925, 0.5), facecolor=_PAPER)
    seconds = np.arange(len(intensity)) / fps
    axes.set_xlim(-0.5 / fps, (len(intensity) - 0.5) / fps)
    axes.set_ylim(0, 1)
    figures.shade_gaps(axes, found, fps, colour=_INK)
    for row in figures.rows(proposals):
        height_share = 1.0 if row["class"] == CLASSES[0] else 0.5
        left, right = (row["onset"] - 0.5) / fps, (row["offset"] + 0.5) / fps
        axes.axvspan(left, right, ymax=height_share, color=CLASS_COLOURS[row["class"]], alpha=0.55, linewidth=0.5)
    axes.plot(seconds, np.where(found, intensity, np.nan), color=_INK, linewidth=1.1)
    axes.set_yticks([0, 0.5, 1], ["0", "", "1"])
    axes.tick_params(colors=_FAINT, length=2, pad=2)
    axes.spines[:].set_color(_FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.annotate("s", (1, 0), (4, -3), xycoords="axes fraction", textcoords="offset points", va="top", color=_FAINT)
    canvas.draw()
    image = np.ascontiguousarray(np.asarray(canvas.buffer_rgba(), np.uint8)[:, :, 2::-1])
    corners = axes.transData.transform(np.stack([seconds, np.zeros_like(seconds)], axis=1))
    top = axes.transAxes.transform((0, 1))[1]
    return Strip(
        image, corners[:, 0].round().astype(np.int64), round(len(image) - top), round(len(image) - corners[0, 1])
    )


def caption(t: int, fps: float, intensity: float, state: str, proposals: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the caption of frame ``t`` as (text, colour) pieces: time, frame, state and every current detection."""
    pieces = [(f"{t / fps:6.2f} s   frame {t}", _INK), (state or f"intensity {intensity:.2f}", _FAINT)]
    for row in figures.rows(proposals[(proposals["onset"] <= t) & (t <= proposals["offset"])]):
        span = f"{row['onset'] / fps:.2f}\N{EN DASH}{row['offset'] / fps:.2f} s"
        pieces.append((f"{row['class']}  {span}  score {row['score']:.2f}", CLASS_COLOURS[row["class"]]))
    return pieces


def _without_holes(frames: Iterable[Frame | None]) -> Iterator[tuple[Frame, bool]]:
    """Yield every frame and whether it was readable; holes take the last good frame, leading ones the first."""
    last: Frame | None = None
    leading = 0
    for frame in frames:
        shown = last if frame is None else frame
        if shown is None:
            leading += 1
            continue
        if last is None:
            yield from ((shown, False) for _ in range(leading))
        last = shown
        yield shown, frame is not None
    if last is None:
        raise InputError(f"overlay: none of {leading} frames can be read; is the recording damaged?")


def _enlarged(frame: Frame) -> tuple[Frame, float]:
    """Scale ``frame`` to the size of the overlay; return it and the factor."""
    height, width = frame.shape[:2]
    scale = min(WIDEST / width, TALLEST / height, max(1.0, NARROWEST / width))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=method), np.uint8), scale


def _strip_at(strip: Strip, t: int, fps: float, intensity: float, state: str, proposals: pd.DataFrame) -> Frame:
    image = strip.image.copy()
    column = int(strip.columns[t])
    cv2.line(image, (column, strip.top - 4), (column, strip.bottom), _CURSOR, 2)
    image[: strip.top] = _write_caption(image[: strip.top], caption(t, fps, intensity, state, proposals))
    return image


def _write_caption(image: Frame, pieces: list[tuple[str, str]]) -> Frame:
    canvas = Image.fromarray(np.ascontiguousarray(image[:, :, ::-1]))
    pen, x = ImageDraw.Draw(canvas), 12.0
    font = ImageFont.truetype(findfont(FontProperties(family="DejaVu Sans")), max(12, image.shape[1] // 64))
    for text, colour in pieces:
        pen.text((x, len(image) / 2), text, fill=colour, font=font, anchor="lm")
        x += pen.textlength(text, font=font) + 22
    return np.ascontiguousarray(np.asarray(canvas)[:, :, ::-1])


def _box(picture: Frame, box: NDArray[np.floating], colour: tuple[int, int, int], thickness: int) -> None:
    if np.isfinite(box).all():
        (x0, y0), (x1, y1) = _fixed(np.reshape(box, (2, 2)))
        cv2.rectangle(picture, (x0, y0), (x1, y1), (0, 0, 0), thickness + 1, cv2.LINE_AA, shift=4)
        cv2.rectangle(picture, (x0, y0), (x1, y1), colour, thickness, cv2.LINE_AA, shift=4)


def _fixed(points: NDArray[np.floating]) -> list[list[int]]:
    """Points in sixteenths of a pixel, as OpenCV draws with ``shift=4``."""
    return np.rint(np.asarray(points, np.float64) * 16).astype(int).tolist()
