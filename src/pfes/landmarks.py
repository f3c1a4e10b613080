"""Stage faces: 68 named points and quality for every sampled frame of a recording.

Conventions
-----------
Points are float32 [T, 68, 2], x to the right and y down, px of the recording, in the order of the 68-point scheme
(jaw 0-16, brows 17-21 and 22-26, nose 27-35, eyes 36-41 and 42-47, outer lips 48-59, inner lips 60-67), image left
before image right. NaN where the face was not found.

One track per video: detections are linked from frame to frame, and the track with the largest total face area wins, so
that the largest and most persistent face is taken; how many faces were seen is kept per frame.
"""

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pfes import decode, provenance, store
from pfes.errors import InputError

Points = NDArray[np.float32]
log = logging.getLogger(__name__)

WINDOW = 17  # frames of an SW-MRO window, the shortest usable recording (METHOD 5)

# The vertices of MediaPipe's 468-point face mesh that stand for the 68 points.
MESH_68 = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,  # jaw
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,  # brows
    168, 197, 5, 4, 75, 97, 2, 326, 305,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
)  # fmt: skip

# A generic head for the pose: point -> (x right, y down, z away from the camera), mm, nose tip at the origin.
HEAD_MODEL = {
    30: (0, 0, 0),
    8: (0, 63.6, 12.5),
    36: (-43.3, -32.7, 26),
    45: (43.3, -32.7, 26),
    48: (-28.9, 28.9, 24.1),
    54: (28.9, 28.9, 24.1),
}


@dataclass(frozen=True)
class FaceParameters:
    """Face detection.

    max_faces
        faces looked for in a frame; one of them is tracked.
    min_confidence
        lowest detection and tracking confidence, 0 to 1.
    """

    max_faces: int = 2
    min_confidence: float = 0.5


def write_faces(
    recording: str, fps: float, out: Path | str, sampling: decode.SamplingParameters, params: FaceParameters
) -> None:
    """Find the face in every sampled frame of ``recording`` and write a file of kind ``faces``.

    A recording that cannot be used (not decodable, shorter than a window, no face at all) becomes a refusal.
    """
    parameters = {"sampling": asdict(sampling), "faces": asdict(params), "fps": fps}
    origin = provenance.record("faces", parameters)
    with store.refusing(out, "faces", origin):
        origin = provenance.record("faces", parameters, [decode.check_recording(recording)])
        clock = decode.recording_clock(recording, fps)
        found = find_faces(decode.read_sampled(recording, clock, sampling), params)
        check_usable(recording, found["native_frame"], found["found"])
        rates = {"fps": clock.sampled_fps(sampling), "native_fps": clock.fps, "variable": clock.times is not None}
        store.write(out, "faces", found, origin, **rates)


def check_usable(recording: str, native: NDArray[np.int64], found: NDArray[np.bool_]) -> None:
    """Raise InputError for a recording of native frames [T] too short for one window, or without any face in [T]."""
    if len(found) < WINDOW:
        count = f"{len(set(native.tolist()))} frames ({len(found)} at the sampled rate)"
        raise InputError(
            f"{recording}: {count}, expected at least {WINDOW} at the sampled rate (one window); leave it out"
        )
    if not found.any():
        raise InputError(
            f"{recording}: no face was found in any of its {len(found)} frames; expected a face to follow; leave it out"
        )


def find_faces(frames: Iterable[tuple[int, decode.Frame | None]], params: FaceParameters) -> dict[str, NDArray]:
    """Return the arrays of a file of kind ``faces`` for a stream of (native index, frame).

    Memory grows by 1 kB a frame, whatever the resolution.
    """
    detections: list[list[Points]] = []
    native, blur = [], []
    size = (0, 0)
    with _face_mesh(params) as mesh:
        for index, frame in frames:
            faces = [] if frame is None else _detect(mesh, frame)
            detections.append(faces)
            native.append(index)
            blur.append(np.nan if frame is None or not faces else _sharpness(frame, faces[0]))
            size = size if frame is None else (frame.shape[1], frame.shape[0])
    landmarks = choose_track(detections)
    return {
        "landmarks": landmarks,
        "native_frame": np.asarray(native, np.int64),
        "found": np.isfinite(landmarks[:, 0, 0]),
        "faces": np.asarray([len(faces) for faces in detections], np.int16),
        "interocular": np.linalg.norm(landmarks[:, 36:42].mean(1) - landmarks[:, 42:48].mean(1), axis=-1),
        "pose": np.stack([head_pose(points, size) for points in landmarks])
        if len(landmarks)
        else np.empty((0, 3), np.float32),
        "blur": np.asarray(blur, np.float32),
    }


def choose_track(detections: list[list[Points]]) -> Points:
    """Link detections [68, 2] from frame to frame and return the track with the largest total area, [T, 68, 2].

    A detection continues the track whose last face lies nearest, within one face size; frames without it are NaN.
    """
    tracks: list[dict[int, Points]] = []
    for index, faces in enumerate(detections):
        taken: set[int] = set()
        for points in sorted(faces, key=_area, reverse=True):
            near = [
                i
                for i in range(len(tracks))
                if i not in taken and _distance(tracks[i], points) < np.sqrt(_area(points))
            ]
            best = min(near, key=lambda i: _distance(tracks[i], points), default=len(tracks))
            if best == len(tracks):
                tracks.append({})
            tracks[best][index] = points
            taken.add(best)
    landmarks = np.full((len(detections), 68, 2), np.nan, np.float32)
    if tracks:
        for index, points in max(tracks, key=lambda track: sum(map(_area, track.values()))).items():
            landmarks[index] = points
    return landmarks


def head_pose(points: Points, size: tuple[int, int]) -> NDArray[np.float32]:
    """Return yaw, pitch and roll [3] in degrees of one face [68, 2] in an image of ``size`` (width, height), NaN without face.

    A rigid generic head under a pinhole camera of focal length = image width: good for telling turned heads, not for metrology.
    """
    if not np.isfinite(points[0, 0]):
        return np.full(3, np.nan, np.float32)
    width, height = size
    camera = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], np.float64)
    model, image = np.array(list(HEAD_MODEL.values()), np.float64), points[list(HEAD_MODEL)].astype(np.float64)
    _, rotation, _ = cv2.solvePnP(model, image, camera, np.zeros(4), flags=cv2.SOLVEPNP_SQPNP)
    pitch, yaw, roll = cv2.RQDecomp3x3(cv2.Rodrigues(rotation)[0])[0]
    return np.array([yaw, pitch, roll], np.float32)


def _face_mesh(params: FaceParameters) -> Any:
    from mediapipe.python.solutions.face_mesh import FaceMesh  # a second to import; only this stage needs it

    return FaceMesh(
        max_num_faces=params.max_faces,
        min_detection_confidence=params.min_confidence,
        min_tracking_confidence=params.min_confidence,
    )


def _detect(mesh: Any, frame: decode.Frame) -> list[Points]:
    scale = np.array([frame.shape[1], frame.shape[0]], np.float32)
    result = mesh.process(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    return [
        np.array([(face.landmark[i].x, face.landmark[i].y) for i in MESH_68], np.float32) * scale
        for face in result.multi_face_landmarks or []
    ]


def _area(points: Points) -> float:
    return float(np.prod(np.ptp(points, axis=0)))


def _distance(track: dict[int, Points], points: Points) -> float:
    return float(np.linalg.norm(next(reversed(track.values())).mean(0) - points.mean(0)))


def _sharpness(frame: decode.Frame, points: Points) -> float:
    x0, y0 = np.maximum(points.min(0).astype(int), 0)
    x1, y1 = points.max(0).astype(int) + 1
    face = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[y0:y1, x0:x1]
    return float(cv2.Laplacian(face, cv2.CV_32F).var()) if face.size else float("nan")
