"""The demo dataset: render a planned video from a real portrait, with the truth beside it.

How a frame is made
-------------------
The portrait is scikit-image's ``astronaut`` (NASA, public domain), landmarked by MediaPipe. Each subject is a smooth
warp and a change of tone and light of it (``still_face``). A point s of that still face moves to

    b = s + slit(s)                                    lids and lips: edges that cover what lies between them
    y = b + D(b),  D = E + w [A(b + E) - (b + E) - z v]   expressions E, head pose A, parallax z v, head window w

E is a sum of bumps anchored at landmarks, one set per facial action. Rendering needs s for each pixel y: b comes from
the fixed point b = y - D(b) on a grid of every second pixel, s from the inverse slit; then one remap per frame. The
truth moves the 68 landmarks by the same formulas forwards, so it is where the feature really appears.

Conventions
-----------
A canvas is a frame with a margin all around; positions are px, x right, y down, the centre of the first pixel at 0.
Fields are float32 [ny, nx(, 2)] on the nodes 0, 2, 4, ... of the canvas. g is half the distance of the inner eye
corners.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.intervals import runs
from pfes.datasets import demo
from pfes.datasets.demo_face import MARGIN, STEP, Array, Face, Slit, invert, pixel_grid, remap, sample, still_face
from pfes.media.encode import encode

cv2.setNumThreads(1)


def render(params: demo.DemoParameters, video_id: str, video_path: Path | str, truth_path: Path | str) -> None:
    """Render one planned video (H.264 mp4) and its truth (a file of kind ``truth``, see store); both or neither appear.

    Attributes of the truth: ``fps``, and as JSON ``instances`` (class, onset, apex, offset, actions with their px of
    the crop at 128 px) and the frames [onset, offset] of the distractors ``blinks`` and ``talking``.

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
    with store.create(truth_path, "truth", origin, fps=params.fps, **_facts(script)) as writer:
        for name, array in truth.items():
            writer.append(name, array)
        encode(video_path, render_frames(params, face, script), params.fps, params.crf)


def _facts(script: demo.Script) -> dict[str, str]:
    instances = [
        {
            "class": item.label,
            "onset": item.onset,
            "apex": item.apex,
            "offset": item.offset,
            "actions": dict(item.actions),
        }
        for item in script.instances
    ]
    distractors = {"blinks": script.blink > 0.05, "talking": script.talk > 0.01}
    return {"instances": json.dumps(instances)} | {k: json.dumps(runs(v).tolist()) for k, v in distractors.items()}


def render_frames(params: demo.DemoParameters, face: Face, script: demo.Script) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames [height, width, 3] (uint8, BGR)."""
    rng = np.random.default_rng(script.noise_seed)
    size = (params.width, params.height)
    bank = np.round(rng.normal(0, 1, (params.height + 64, params.width + 64, 3)) * params.noise).astype(np.int16)
    pixels = pixel_grid((params.height, params.width), 1) + MARGIN
    curves = [instance.intensity(params.frames) for instance in script.instances]
    for frame in range(params.frames):
        still = still_positions(face, script, curves, frame, pixels)
        image = remap(face.image, still, cv2.INTER_CUBIC, cv2.BORDER_REFLECT_101)
        image = cv2.convertScaleAbs(image, alpha=script.gain[frame])
        x, y = rng.integers(0, 65, 2)
        noise = bank[y : y + size[1], x : x + size[0]]
        noise = noise[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
        yield np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)


def move_landmarks(face: Face, script: demo.Script) -> tuple[Array, Array]:
    """Return the 68 landmarks on the canvas and their displacement by expressions alone, both [T, 68, 2], px."""
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


def still_positions(face: Face, script: demo.Script, curves: list[NDArray], frame: int, pixels: Array) -> Array:
    """Return the position on the still face [H, W, 2] that each pixel of the frame shows."""
    nodes = pixel_grid(face.image.shape, STEP)
    moved = _labelled(face, script, curves, frame) + _unlabelled(face, script, frame)
    forward = _displacement(face, script.pose[frame], nodes, moved, face.depth, face.head)
    scale = np.array([[1 / STEP, 0, MARGIN / STEP], [0, 1 / STEP, MARGIN / STEP]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    still = pixels + cv2.warpAffine(invert(forward), scale, pixels.shape[1::-1], flags=flags)
    for slit, activation in _slits(face, script, frame):
        if abs(activation) > 1e-3:
            outline = slit.outline()
            outline += sample(forward, outline) - MARGIN
            (x0, y0), (x1, y1) = np.maximum([outline.min(0) - 8, outline.max(0) + 9], 0).astype(int)
            patch = still[y0:y1, x0:x1]
            patch[:] = slit.undo(patch.reshape(-1, 2), activation).reshape(patch.shape)
    return still


def _slits(face: Face, script: demo.Script, frame: int) -> list[tuple[Slit, float]]:
    """Return lids and lips with their closure, 0 as in the portrait, 1 shut."""
    lips = 1 - face.mouth - script.talk[frame]
    return [*((lid, float(script.blink[frame])) for lid in face.lids), (face.lips, float(lips))]


def _labelled(face: Face, script: demo.Script, curves: list[NDArray], frame: int) -> Array:
    """Return the field of all expressions of one frame, px."""
    field = np.zeros((*face.depth.shape, 2), np.float32)
    for instance, curve in zip(script.instances, curves, strict=True):
        for name, amplitude in instance.actions if curve[frame] else ():
            field += face.actions[name] * np.float32(amplitude * curve[frame])
    return field


def _unlabelled(face: Face, script: demo.Script, frame: int) -> Array:
    """Return the field of the lips narrowing in talk, px."""
    return face.actions["pucker"] * np.float32(script.pucker[frame])


def _displacement(face: Face, pose: NDArray, at: Array, moved: Array, depth: Array, head: Array) -> Array:
    """Return D = E + w [A(b + E) - (b + E) - z v] for positions ``at`` (any shape [..., 2]), E = ``moved``."""
    x, y, roll, scale, yaw, pitch = pose
    angle, centre = np.deg2rad(roll), face.centre
    turn = np.exp(scale) * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) - np.eye(2)
    parallax = np.sin(np.deg2rad([yaw, pitch]))
    rigid = (at + moved - centre) @ turn.astype(np.float32) + (np.array([x, y]) * face.g).astype(np.float32)
    return (moved + head[..., None] * (rigid - depth[..., None] * parallax.astype(np.float32))).astype(np.float32)
