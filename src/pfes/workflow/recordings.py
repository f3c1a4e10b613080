"""What each recording is, for ``pfes check``: frames, rate and where it comes from, rotation, depth, aspect, gaps; and pictures.

A look takes one pass over a video file without converting its frames, and some frames spread over it; pictures show a face
box, so that a person sees at once whether faces are upright and which one is followed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.table import Table

from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.records import Video
from pfes.faces import align, geometry
from pfes.faces.geometry import Face
from pfes.faces.landmarks import MAX_ROLL, FaceParameters, detector
from pfes.media import decode
from pfes.media.exposure import exposure, shares, told

LOOKS = 9  # frames spread over a recording
WIDTH = 320  # px of a picture
GREEN, RED = (80, 200, 80), (60, 60, 235)  # BGR


@dataclass(frozen=True)
class Look:
    """One line of the table: a recording as ``decode.describe`` finds it, and how it is exposed."""

    video_id: str
    recording: decode.Recording
    exposed: tuple[str, ...]


def look(videos: Iterable[Video]) -> Iterator[Look]:
    """Yield what each recording is; one that is not there or cannot be used is left out, for the tables say why."""
    for video in videos:
        try:
            recording = decode.describe(video.path, video.fps, ranked=video.ranked)
            levels = [exposure(frame) for frame in decode.glances(video.path, LOOKS)]
        except InputError:
            continue
        yield Look(video.video_id, recording, tuple(told(shares(levels))))


def table(looks: Iterable[Look]) -> Table:
    """Return the table of recordings."""
    made = Table(
        "recording", "frames", "rate", "from", "size", "turned", "bits", "pixel", "gaps", "notes",
        title="recordings", title_justify="left",
    )  # fmt: skip
    for item in looks:
        found, clock = item.recording, item.recording.clock
        gaps = [f"{seconds:.2f} s before frame {frame}" for frame, seconds in clock.gaps()]
        made.add_row(
            item.video_id,
            str(found.n_frames),
            f"{clock.fps:.6g}{'' if clock.times is None else ' (varies)'}",
            clock.source,
            f"{found.size[0]}x{found.size[1]}",
            found.turn or "no",
            str(found.bits),
            f"{found.aspect:.4g}",
            ", ".join(gaps[:3]) + (f" and {len(gaps) - 3} more" if len(gaps) > 3 else "") or "none",
            "; ".join([*found.notes, *item.exposed]),
        )
    return made


def write_pictures(videos: Iterable[Video], folder: Path, params: FaceParameters) -> Iterator[str]:
    """Write ``{video_id}.jpg`` with the face box for every recording, and yield what is wrong with its faces.

    The picture is the one with a face that lies nearest to the middle, else the middle one without a box; the box is that
    of the crop, the points are drawn, red where the face lies more than MAX_ROLL from upright.
    """
    for video in videos:
        try:
            frames = list(decode.glances(video.path, LOOKS))
        except InputError:
            continue
        with detector(params) as detect:
            faces = [max(detect(frame), key=lambda face: geometry.size(face.points), default=None) for frame in frames]
        found = [i for i, face in enumerate(faces) if face is not None]
        middle = len(frames) // 2
        shown = min(found or [middle], key=lambda i: abs(i - middle))
        rolls = [float(geometry.roll(face.points)) for face in faces if face is not None]
        roll = float(np.median(rolls)) if rolls else float("nan")
        text = f"{video.video_id}: roll {roll:.0f}" if found else f"{video.video_id}: no face"
        if frames:
            picture = _drawn(frames[shown], faces[shown], text, upright=abs(roll) <= MAX_ROLL)
            with store.atomic(folder / f"{video.video_id}.jpg") as temporary:
                temporary.write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
        if not found:
            yield f"video {video.video_id}: no face in {len(frames)} frames spread over it; see {folder}"
        elif abs(roll) > MAX_ROLL:
            yield f"video {video.video_id}: its face lies at {roll:.0f} degrees; turn the recording; see {folder}"


def _drawn(frame: decode.Frame, face: Face | None, text: str, *, upright: bool) -> decode.Frame:
    scale = WIDTH / frame.shape[1]
    picture = np.asarray(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    colour = GREEN if face is not None and upright else RED
    if face is not None:
        x, y, side = (int(value * scale) for value in align.crop_boxes(face.points[None])[0])
        cv2.rectangle(picture, (x, y), (x + side, y + side), colour, 2)
        for px, py in np.rint(face.points * scale).astype(int).tolist():
            cv2.circle(picture, (px, py), 1, colour, -1)
    words = text.encode("ascii", "replace").decode()
    for ink, width in (((0, 0, 0), 3), (colour, 1)):
        cv2.putText(picture, words, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, width, cv2.LINE_AA)
    return picture
