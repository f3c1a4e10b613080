"""The demo dataset: render a planned video from a real portrait, with the truth beside it.

How a frame is made
-------------------
The portrait is scikit-image's ``astronaut`` (NASA, public domain), landmarked by MediaPipe. Each subject is a smooth
warp and a change of tone and light of it (``portrait``, ``_Looks``). A point s of that still face moves to

    b = s + slit(s)                                    lids and lips: squeezed between two curves, exact inverse
    y = b + D(b),  D = E + w [A(b + E) - (b + E) + z v]   expressions E, head pose A, parallax z v, head window w

E is a sum of bumps anchored at landmarks, one set per facial action. Rendering needs s for each pixel y: b comes from
the fixed point b = y - D(b) on a grid of every second pixel, s from the inverse slit; then one remap per frame. The
truth moves the 68 landmarks by the same formulas forwards, so it is where the feature really appears.

Conventions
-----------
A canvas is a frame with a margin all around; positions are px, x right, y down, the centre of the first pixel at 0.
Fields are float32 [ny, nx(, 2)] on the nodes 0, 2, 4, ... of the canvas. g is half the distance of the inner eye corners.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pfes import provenance, store
from pfes.datasets import demo
from pfes.encode import encode
from pfes.landmarks import MESH_68

cv2.setNumThreads(1)

Array = NDArray[np.float32]

MARGIN, STEP = 32, 2
CROP_PX = 9 / 128  # g per px of the crop at 128 px
FACE_SHARE = 0.55  # of the shorter side of the frame that the crop of 9 g takes
ITERATIONS = 7

# Vertices of MediaPipe's mesh along the edges of the lids and of the inner lips, image left to right.
LIDS = (
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133)),
    ((362, 398, 384, 385, 386, 387, 388, 466, 263), (362, 382, 381, 380, 374, 373, 390, 249, 263)),
)
LIPS = ((78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308), (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308))

# A bump: groups of landmarks (each averaged to one anchor), direction (x, y), widths in g (x, upwards, downwards).
Bump = tuple[tuple[tuple[int, ...], ...], tuple[float, float], tuple[float, float, float]]
# Image-left halves; the right half is their mirror image.
HALVES: dict[str, tuple[Bump, ...]] = {
    "brow_raise": ((((17,), (18,), (19,), (20,), (21,)), (0, -1), (0.5, 1.0, 0.42)), (((37,), (38,)), (0, -0.15), (0.4, 0.3, 0.25))),
    "brow_lower": ((((18,), (19,), (20,)), (0.2, 0.8), (0.5, 0.8, 0.42)), (((21,),), (0.45, 1), (0.4, 0.7, 0.45))),
    "lip_pull": (
        (((48,), (60,)), (-0.8, -0.65), (0.55, 0.6, 0.5)), (((49,), (59,)), (-0.25, -0.15), (0.4, 0.4, 0.4)),
        (((41, 48),), (-0.1, -0.4), (0.6, 0.6, 0.6)),
    ),
    "lip_depress": ((((48,), (60,)), (-0.2, 1), (0.45, 0.45, 0.6)), (((59,),), (-0.1, 0.35), (0.4, 0.3, 0.5))),
    "lip_press": ((((50,), (51,)), (0, 0.5), (0.5, 0.4, 0.3)), (((57,), (58,)), (0, -0.8), (0.5, 0.3, 0.6)), (((48,),), (-0.2, 0), (0.4, 0.4, 0.4))),
    "chin_raise": ((((57,), (58,)), (0, -1), (0.6, 0.35, 0.6)), (((8, 57),), (0, -0.6), (0.7, 0.5, 0.5)), (((48,),), (0, 0.3), (0.4, 0.4, 0.4))),
    "lip_raise": ((((49,), (50,), (51,)), (0, -1), (0.5, 0.4, 0.35)), (((31, 49),), (-0.1, -0.5), (0.5, 0.6, 0.4))),
    "pucker": ((((48,), (60,)), (1, 0), (0.6, 0.5, 0.5)),),
    "jaw": ((((3,), (4,), (5,)), (-1, 0), (0.9, 0.8, 0.8)),),
    "eye": ((((36,), (37,), (38,), (39,), (40,), (41,), (19,)), (-1, 0), (0.8, 0.8, 0.8)),),
    "brow": ((((17,), (18,), (19,), (20,), (21,)), (0, -1), (0.7, 0.8, 0.5)),),
    "nose": ((((31,),), (-1, 0), (0.5, 0.7, 0.4)),),
    "mouth": ((((48,),), (-1, 0), (0.8, 0.6, 0.6)),),
    "smile": ((((48,), (60,)), (0, 1), (0.6, 0.6, 0.7)),),
    "lips": ((((50,), (51,)), (0, -1), (0.7, 0.3, 0.25)), (((57,), (58,)), (0, 1), (0.7, 0.25, 0.4))),
}  # fmt: skip
MIRROR = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1), 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),
)  # fmt: skip


@dataclass(frozen=True)
class Slit:
    """A region squeezed or opened along y: curves over the columns x, each moved by its own shift (px) times an activation."""

    x: Array  # [n]
    curves: Array  # [K, n], from top to bottom
    shifts: Array  # [K, n]

    def move(self, points: Array, activation: float) -> Array:
        """Move points [N, 2] of the still face forwards."""
        return self._along(points, np.zeros_like(self.shifts), activation * self.shifts, 1.0)

    def undo(self, points: Array, activation: float) -> Array:
        """Return where moved points [N, 2] lay on the still face."""
        return self._along(points, activation * self.shifts, activation * self.shifts, -1.0)

    def _along(self, points: Array, moved: Array, shifts: Array, sign: float) -> Array:
        x = np.clip(points[:, 0], self.x[0], self.x[-1])
        left = np.clip((x - self.x[0]).astype(np.int32), 0, len(self.x) - 2)
        share = x - self.x[0] - left
        curves, steps = self.curves + moved, np.diff(shifts, axis=0, prepend=0)
        rows = curves[:, left] * (1 - share) + curves[:, left + 1] * share  # (K, N)
        steps = steps[:, left] * (1 - share) + steps[:, left + 1] * share
        y = points[:, 1].copy()
        for k in range(1, len(rows)):
            y += sign * steps[k] * np.clip((points[:, 1] - rows[k - 1]) / np.maximum(rows[k] - rows[k - 1], 1e-3), 0, 1)
        return np.stack([points[:, 0], y], axis=1)


@dataclass(frozen=True)
class Face:
    """One subject's still face on the canvas, and all that is needed to move it."""

    image: NDArray[np.uint8]  # [h, w, 3] BGR
    landmarks: Array  # [68, 2], mouth as in the portrait (open)
    g: float
    actions: dict[str, Array]  # name -> field [ny, nx, 2], displacement in px per px of the crop at 128 px
    depth: Array  # [ny, nx], px away from the camera, about 0 at the mean of the face
    head: Array  # [ny, nx], 1 on the head, 0 far from it
    lids: tuple[Slit, Slit]
    lips: Slit
    mouth: float  # opening of the mouth at rest, 1 as in the portrait


def render(params: demo.DemoParameters, video_id: str, video_path: Path | str, truth_path: Path | str) -> None:
    """Render one planned video (H.264 mp4) and its truth (a file of kind ``truth``, see store); both or neither appear.

    The truth's attributes are ``fps``, and per frame ``blink`` and ``talk`` in [0, 1].

    Raises
    ------
    InputError
        The plan has no such video.
    """
    script = demo.script(params, video_id)
    face = still_face(params, script.subject)
    landmarks, expression = move_landmarks(face, script)
    curves = [instance.intensity(params.frames) for instance in script.instances]
    truth = {
        "intensity": np.max([np.zeros(params.frames), *curves], axis=0).astype(np.float32),
        "landmarks": (landmarks - MARGIN).astype(np.float32),
        "expression": expression.astype(np.float32),
    }
    origin = provenance.record("demo", {**asdict(params), "video_id": video_id})
    facts = {"fps": params.fps, "blink": script.blink.astype(np.float32), "talk": script.talk.astype(np.float32)}
    with store.create(truth_path, "truth", origin, **facts) as writer:
        for name, array in truth.items():
            writer.append(name, array)
        encode(video_path, render_frames(params, face, script), params.fps, params.crf)


def render_frames(params: demo.DemoParameters, face: Face, script: demo.Script) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames [height, width, 3] (uint8, BGR)."""
    rng = np.random.default_rng(script.noise_seed)
    size = (params.width, params.height)
    bank = np.round(rng.normal(0, 1, (params.height + 64, params.width + 64, 3)) * params.noise).astype(np.int16)
    pixels = _nodes(params.width, params.height, 1) + MARGIN
    curves = [instance.intensity(params.frames) for instance in script.instances]
    for frame in range(params.frames):
        still = _still_positions(face, script, curves, frame, pixels)
        image = cv2.remap(face.image, still, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        image = cv2.convertScaleAbs(image, alpha=script.gain[frame])
        x, y = rng.integers(0, 65, 2)
        noise = bank[y : y + size[1], x : x + size[0]]
        yield cv2.add(image, noise[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))], dtype=cv2.CV_8U)


def move_landmarks(face: Face, script: demo.Script) -> tuple[Array, Array]:
    """Return where the 68 landmarks are on the canvas, and their displacement by expressions alone, both [T, 68, 2], px."""
    frames = len(script.gain)
    curves = [instance.intensity(frames) for instance in script.instances]
    landmarks, expression = np.empty((2, frames, 68, 2), np.float32)
    for frame in range(frames):
        points = face.landmarks
        for slit, activation in _slits(face, script, frame):
            points = slit.move(points, activation)
        expression[frame] = sample(_labelled(face, script, curves, frame), points)
        moved = sample(_unlabelled(face, script, frame), points) + expression[frame]
        landmarks[frame] = points + _displacement(
            face, script.pose[frame], points, moved, sample(face.depth, points), sample(face.head, points)
        )
    return landmarks, expression


def sample(field: Array, points: Array) -> Array:
    """Interpolate a field [ny, nx(, C)] linearly at canvas positions [N, 2]."""
    limit = np.array(field.shape[1::-1]) - 1.001
    x, y = np.clip(points / STEP, 0, limit).T
    j, i = x.astype(int), y.astype(int)
    u, v = ((part - whole).reshape(-1, *[1] * (field.ndim - 2)) for part, whole in ((x, j), (y, i)))
    top, bottom = field[i, j] * (1 - u) + field[i, j + 1] * u, field[i + 1, j] * (1 - u) + field[i + 1, j + 1] * u
    return (top * (1 - v) + bottom * v).astype(np.float32)


def _still_positions(face: Face, script: demo.Script, curves: list[NDArray], frame: int, pixels: Array) -> Array:
    """Return the position on the still face [H, W, 2] that each pixel of the frame shows."""
    height, width = pixels.shape[:2]
    nodes = _nodes(*face.image.shape[1::-1], STEP)
    moved = _labelled(face, script, curves, frame) + _unlabelled(face, script, frame)
    forward = _displacement(face, script.pose[frame], nodes, moved, face.depth, face.head)
    scale = np.array([[1 / STEP, 0, MARGIN / STEP], [0, 1 / STEP, MARGIN / STEP]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    still = pixels + cv2.warpAffine(invert(forward), scale, (width, height), flags=flags)
    now = _moved_curves(face, script, frame)
    for (slit, activation), (low, high) in zip(_slits(face, script, frame), now, strict=True):
        if abs(activation) > 1e-3:
            pad = 4 + int(np.abs(forward).max())
            x0, y0 = np.maximum(np.floor(low).astype(int) - MARGIN - pad, 0)
            x1, y1 = np.ceil(high).astype(int) - MARGIN + pad
            patch = still[y0:y1, x0:x1]
            patch[:] = slit.undo(patch.reshape(-1, 2), activation).reshape(patch.shape)
    return still


def invert(field: Array) -> Array:
    """Return the inverse displacement: u(y) with u(y) = -field(y + u(y)), by fixed-point iteration."""
    nodes = _nodes(field.shape[1], field.shape[0], 1)
    inverse = -field
    for _ in range(ITERATIONS):
        inverse = -cv2.remap(field, nodes + inverse / STEP, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return inverse
