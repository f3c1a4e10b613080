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
from pfes.faces import align, geometry, upright
from pfes.faces.geometry import Face
from pfes.faces.landmarks import FaceParameters, detector
from pfes.media import decode
from pfes.media.exposure import exposure, shares, told

LOOKS = 9  # frames spread over a recording
WIDTH = 320  # px of a picture
GREEN, RED = (80, 200, 80), (60, 60, 235)  # BGR
ORDINARY = {"turned": "no", "bits": "8", "pixel": "1", "gaps": "none", "notes": ""}  # of a column of the table


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
    """Return the table of recordings; a column in which all are ordinary is left out, and named below."""
    rows = [_row(item) for item in looks]
    ordinary = [name for name, value in ORDINARY.items() if all(row[name] == value for row in rows)]
    made = Table(title="recordings", title_justify="left", caption_justify="left")
    if ordinary:
        made.caption = "of all: " + ", ".join(f"{name} {ORDINARY[name] or 'none'}" for name in ordinary)
    for name in rows[0] if rows else ("recording", "frames"):
        if name not in ordinary:
            made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(value for name, value in row.items() if name not in ordinary))
    return made


def _row(item: Look) -> dict[str, str]:
    found, clock = item.recording, item.recording.clock
    gaps = [f"{seconds:.2f} s before frame {frame}" for frame, seconds in clock.gaps()]
    return {
        "recording": item.video_id,
        "frames": str(found.n_frames),
        "rate": f"{clock.fps:.6g}{'' if clock.times is None else ' (varies)'}",
        "from": clock.source,
        "size": f"{found.size[0]}x{found.size[1]}",
        "turned": found.turn or "no",
        "bits": str(found.bits),
        "pixel": f"{found.aspect:.4g}",
        "gaps": ", ".join(gaps[:3]) + (f" and {len(gaps) - 3} more" if len(gaps) > 3 else "") or "none",
        "notes": "; ".join([*found.notes, *item.exposed]),
    }


def write_pictures(videos: Iterable[Video], folder: Path, params: FaceParameters) -> Iterator[str]:
    """Write ``{video_id}.jpg`` with the face box for every recording, and yield what is wrong with its faces.

    The picture is the one with a face that lies nearest to the middle, else the middle one; box (of the crop) and points are
    green, red where faces lie more than upright.MAX_ROLL from upright.
    """
    for video in videos:
        try:
            frames = list(decode.glances(video.path, LOOKS))
        except InputError:
            continue
        if not frames:
            continue
        with detector(params) as detect:
            faces = [max(detect(frame), key=lambda face: geometry.size(face.points), default=None) for frame in frames]
        angle = upright.lying(frames, lambda: detector(params))
        found = [i for i, face in enumerate(faces) if face is not None]
        shown = min(found or [len(frames) // 2], key=lambda i: abs(i - len(frames) // 2))
        fine, text = abs(angle) <= upright.MAX_ROLL, f"{angle:.0f} degrees" if found else "no face"
        picture = _drawn(frames[shown], faces[shown], f"{video.video_id}: {text}", GREEN if fine else RED)
        with store.atomic(folder / f"{video.video_id}.jpg") as temporary:
            temporary.write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
        if np.isnan(angle):
            yield f"video {video.video_id}: no face in {len(frames)} frames spread over it; see {folder}"
        elif not fine:
            yield f"video {video.video_id}: its face lies at {angle:.0f} degrees; turn the recording; see {folder}"


def _drawn(frame: decode.Frame, face: Face | None, text: str, colour: tuple[int, int, int]) -> decode.Frame:
    scale = WIDTH / frame.shape[1]
    picture = np.asarray(cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    if face is not None:
        x, y, side = (int(value * scale) for value in align.crop_boxes(face.points[None])[0])
        cv2.rectangle(picture, (x, y), (x + side, y + side), colour, 2)
        for px, py in np.rint(face.points * scale).astype(int).tolist():
            cv2.circle(picture, (px, py), 1, colour, -1)
    words = text.encode("ascii", "replace").decode()
    for ink, width in (((0, 0, 0), 3), (colour, 1)):
        cv2.putText(picture, words, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, ink, width, cv2.LINE_AA)
    return picture
