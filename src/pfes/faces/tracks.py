"""Which of the faces in the pictures is the one that is followed.

Conventions
-----------
A *shot* is the stretch of frames from one cut to the next. A *track* is one face over time: {frame: Face}. Distances
are those of the faces' centres, in sizes of the track's last face (side of the square of its area).

A detection continues a track where it lies within REACH sizes of the track's last face, plus SPEED sizes for every
frame without it, and where its size has changed by less than GROWTH. The nearest pairs are joined first. So faces side
by side keep their tracks, and a face that comes back after a gap continues its own. No track goes on beyond a cut.

The track with the largest total area (over its frames) is followed, once per shot: the largest and most persistent.
"""

import numpy as np
from numpy.typing import NDArray

from pfes.faces import geometry
from pfes.faces.geometry import Face

REACH = 1.0  # face sizes, from one frame to the next
SPEED = 0.1  # face sizes per frame of a gap: 3 a second
GROWTH = 2.0

Track = dict[int, Face]


def follow(detections: list[list[Face]], cut: NDArray[np.bool_]) -> tuple[Track, int]:
    """Return the face of each frame that has it, and the number of other tracks.

    Parameters
    ----------
    detections : the faces of each of T frames
    cut : [T], True in the first frame after a cut
    """
    chosen: Track = {}
    others = 0
    starts = [0, *np.flatnonzero(cut).tolist()]
    for start, end in zip(starts, [*starts[1:], len(detections)], strict=True):
        tracks = link(detections, start, end)
        if tracks:
            followed = max(tracks, key=_total_area)
            chosen.update(followed)
            others += len(tracks) - 1
    return chosen, others


def link(detections: list[list[Face]], start: int, end: int) -> list[Track]:
    """Join the detections of frames start .. end - 1, a shot, to tracks."""
    tracks: list[Track] = []
    for frame in range(start, end):
        faces = detections[frame]
        pairs = [
            (distance, i, j)
            for i, track in enumerate(tracks)
            for j, face in enumerate(faces)
            if (distance := _distance(track, frame, face)) is not None
        ]
        free_tracks, free_faces = set(range(len(tracks))), set(range(len(faces)))
        for _, i, j in sorted(pairs):
            if i in free_tracks and j in free_faces:
                tracks[i][frame] = faces[j]
                free_tracks.remove(i)
                free_faces.remove(j)
        tracks += [{frame: faces[j]} for j in sorted(free_faces, key=lambda j: -geometry.size(faces[j].points))]
    return tracks


def _distance(track: Track, frame: int, face: Face) -> float | None:
    """Return the distance of a detection in ``frame`` from a track, in face sizes; None where it cannot be the same face."""
    last = next(reversed(track))
    points, size = track[last].points, geometry.size(track[last].points)
    distance = float(np.linalg.norm(points.mean(0) - face.points.mean(0))) / size
    growth = geometry.size(face.points) / size
    near = distance < REACH + SPEED * (frame - last - 1) and 1 / GROWTH < growth < GROWTH
    return distance if near else None


def _total_area(track: Track) -> float:
    return sum(geometry.size(face.points) ** 2 for face in track.values())
