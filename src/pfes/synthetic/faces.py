"""Made faces: where the regions of interest lie in space, and how each facial action moves them.

Conventions
-----------
Regions are the ten of ``align.ROI_NAMES`` and the nose, in that order. Positions are in g, half the distance of the inner
eye corners (16 mm), from the middle between these: x right, y down in the image, z away from the camera. Motion is in px
of the crop at 128 px, whose side is 9 g. Sides: 0 image left, 1 image right.

The mean face is put together from usual head measures and the actions from descriptions of the action units; neither is
taken from a recording, nor from the portrait that the demo renders.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

PX = 128 / 9  # px of the crop per g
N_REGIONS = 11
_HALF = {  # image-left half and midline of the mean face
    0: (-0.85, -1.15, 1.0), 1: (-1.75, -1.6, 1.2), 2: (-2.7, -1.35, 1.7),
    6: (-1.75, 3.75, 1.3), 8: (0.0, 3.3, 0.7), 9: (0.0, 4.3, 0.8), 10: (0.0, 1.75, 0.15),
}  # fmt: skip
_PARTNER = {0: 3, 1: 4, 2: 5, 6: 7}
MIRROR = (3, 4, 5, 0, 1, 2, 7, 6, 8, 9, 10)  # region of the mirrored face that takes each place

# Action -> region -> direction of the image-left half; where the midline moves, both halves share in it.
ACTIONS: dict[str, dict[int, tuple[float, float]]] = {
    "inner_brow_raise": {0: (0.1, -1), 1: (0, -0.5), 2: (0, -0.1)},
    "outer_brow_raise": {0: (0, -0.2), 1: (0, -0.75), 2: (0, -1)},
    "brow_raise": {0: (0, -1), 1: (0, -1), 2: (0, -0.8)},
    "brow_lower": {0: (0.45, 0.8), 1: (0.25, 0.7), 2: (0.1, 0.35)},
    "cheek_raise": {2: (0, 0.4), 6: (-0.6, -1), 8: (0, -0.3)},
    "nose_wrinkle": {0: (0.2, 0.8), 1: (0.1, 0.4), 6: (0, -0.2), 8: (0, -0.8), 10: (0, -0.25)},
    "upper_lip_raise": {6: (-0.05, -0.3), 8: (0, -1), 10: (0, -0.1)},
    "lip_pull": {6: (-0.8, -0.6), 8: (0, -0.3), 9: (0, -0.15)},
    "dimple": {6: (-1, 0.05)},
    "lip_depress": {6: (-0.15, 1), 9: (0, 0.4)},
    "lower_lip_depress": {6: (0, 0.2), 9: (0, 1)},
    "chin_raise": {6: (0, 0.25), 8: (0, -0.25), 9: (0, -1)},
    "pucker": {6: (1, 0), 8: (0, 0.15), 9: (0, -0.15)},
    "lip_stretch": {6: (-1, 0.2), 9: (0, 0.3)},
    "lip_press": {6: (-0.2, 0), 8: (0, 0.5), 9: (0, -0.8)},
    "jaw_drop": {6: (0.15, 0.45), 8: (0, 0.05), 9: (0, 1)},
}
NAMES = tuple(ACTIONS)


@dataclass(frozen=True)
class MadeFaces:
    """P faces: ``positions`` [P, 11, 3], g; ``actions`` [P, A, 2, 11, 2], motion of each action of each side.

    An action of both sides together moves the region that it moves most by 1 px.
    """

    positions: Array
    actions: Array


def mean_positions() -> Array:
    """Return the positions [11, 3] of the mean face."""
    found = np.zeros((N_REGIONS, 3), np.float32)
    for region, place in _HALF.items():
        found[region] = place
        if region in _PARTNER:
            found[_PARTNER[region]] = (-place[0], *place[1:])
    return found


def mean_actions() -> Array:
    """Return the motion [A, 2, 11, 2] of each action and side of the mean face, before it is scaled."""
    found = np.zeros((len(NAMES), 2, N_REGIONS, 2), np.float32)
    for action, moves in enumerate(ACTIONS.values()):
        for region, way in moves.items():
            found[action, 0, region] = way if region in _PARTNER else np.divide(way, 2)
    found[:, 1] = found[:, 0][:, MIRROR] * np.array([-1, 1], np.float32)
    return found


def draw_faces(rng: np.random.Generator, count: int) -> MadeFaces:
    """Draw ``count`` faces: wider or longer ones, features apart and higher, actions of own directions and strengths."""
    stretch = 1 + rng.normal(0, 0.07, (count, 1, 3))
    own = rng.normal(0, 0.08, (count, N_REGIONS, 3))
    own = (own + own[:, MIRROR] * (-1, 1, 1)) / 2 + rng.normal(0, 0.02, own.shape)  # nearly symmetric
    positions = mean_positions() * stretch + own
    shape = (count, len(NAMES), 2, N_REGIONS)
    gain = np.exp(rng.normal(0, 0.3, shape)) * np.exp(rng.normal(0, 0.1, (count, 1, 2, 1)))
    angle = rng.normal(0, 0.25, (count, len(NAMES), 1, N_REGIONS)) * np.array([1, -1])[:, None]
    angle = angle + rng.normal(0, 0.1, shape)
    x, y = np.moveaxis(mean_actions() * gain[..., None], -1, 0)
    moved = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], axis=-1)
    moved += rng.normal(0, 0.04, moved.shape)  # what moves along
    longest = np.linalg.norm(moved.sum(axis=2), axis=-1).max(axis=-1)
    return MadeFaces(positions.astype(np.float32), (moved / longest[:, :, None, None, None]).astype(np.float32))
