"""The still faces of the demo dataset: one portrait, warped and toned into subjects, and what moves in each.

The portrait is scikit-image's ``astronaut`` (NASA, public domain), landmarked and cut out by MediaPipe once and for all
(portrait_mesh.csv, portrait_person.png). Each subject is a smooth
warp and a change of tone and light of it. Conventions are those of ``demo_render``.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pfes.datasets import demo
from pfes.faces.facemesh import MESH_68

Array = NDArray[Any]  # float32 throughout; OpenCV's type hints know no dtype

MESH, PERSON = (Path(__file__).with_name(name) for name in ("portrait_mesh.csv", "portrait_person.png"))
MARGIN, STEP = 32, 2
CROP_PX = 9 / 128  # g per px of the crop at 128 px
FACE_SHARE = 0.53  # of the shorter side of the frame that the crop of 9 g takes
ITERATIONS = 7

# Landmarks of the ten ROIs of METHOD 5: brows, mouth corners, lips.
ROIS = (20, 19, 18, 23, 24, 25, 48, 54, 51, 57)

# Vertices of MediaPipe's mesh along the edges of the lids and of the inner lips, image left to right.
LIDS = (
    ((33, 246, 161, 160, 159, 158, 157, 173, 133), (33, 7, 163, 144, 145, 153, 154, 155, 133)),
    ((362, 398, 384, 385, 386, 387, 388, 466, 263), (362, 382, 381, 380, 374, 373, 390, 249, 263)),
)
LIPS = ((78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308), (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308))

# A bump: anchors (a landmark, or the mean of several), direction (x, y), widths in g (x, upwards, downwards).
Bump = tuple[tuple[int | tuple[int, ...], ...], tuple[float, float], tuple[float, float, float]]
# Image-left halves; the right half is their mirror image. Above: facial actions. Below: how subjects differ.
HALVES: dict[str, tuple[Bump, ...]] = {
    "brow_raise": (((17, 18, 19, 20, 21), (0, -1), (0.5, 1.0, 0.42)), ((37, 38), (0, -0.15), (0.4, 0.3, 0.25))),
    "brow_lower": (((18, 19, 20), (0.2, 0.8), (0.5, 0.8, 0.42)), ((21,), (0.4, 0.7), (0.4, 0.7, 0.45))),
    "lip_pull": (
        ((48, 60), (-0.8, -0.65), (0.55, 0.6, 0.5)), ((49, 59), (-0.25, -0.15), (0.4, 0.4, 0.4)),
        (((41, 48),), (-0.1, -0.4), (0.6, 0.6, 0.6)),
    ),
    "lip_depress": (((48, 60), (-0.2, 1), (0.45, 0.45, 0.6)), ((59,), (-0.1, 0.35), (0.4, 0.3, 0.5))),
    "lip_press": (
        ((50, 51), (0, 0.5), (0.5, 0.4, 0.3)), ((57, 58), (0, -0.8), (0.5, 0.3, 0.6)),
        ((48,), (-0.2, 0), (0.4, 0.4, 0.4)),
    ),
    "chin_raise": (
        ((57, 58), (0, -1), (0.6, 0.35, 0.6)), (((8, 57),), (0, -0.6), (0.7, 0.5, 0.5)),
        ((48,), (0, 0.3), (0.4, 0.4, 0.4)),
    ),
    "lip_raise": (((49, 50, 51), (0, -1), (0.5, 0.4, 0.35)), (((31, 49),), (-0.1, -0.5), (0.5, 0.6, 0.4))),
    "pucker": (((48, 60), (1, 0), (0.6, 0.5, 0.5)),),
    "jaw": (((3, 4, 5), (-1, 0), (0.9, 0.8, 0.8)),),
    "eye": (((36, 37, 38, 39, 40, 41, 19), (-1, 0), (0.8, 0.8, 0.8)),),
    "brow": (((17, 18, 19, 20, 21), (0, -1), (0.7, 0.8, 0.5)),),
    "nose": (((31,), (-1, 0), (0.5, 0.7, 0.4)),),
    "mouth": (((48,), (-1, 0), (0.8, 0.6, 0.6)),),
    "smile": (((48, 60), (0, 1), (0.6, 0.6, 0.7)),),
    "lips": (((50, 51), (0, -1), (0.7, 0.3, 0.25)), ((57, 58), (0, 1), (0.7, 0.25, 0.4))),
}  # fmt: skip
MIRROR = (
    *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),
)  # fmt: skip


@dataclass(frozen=True)
class Slit:
    """Lids or lips: between curves 1 and 2 lies what they cover when they close, around them skin that stretches.

    Each curve moves along y by its shift (px) times an activation; what lies between curves 1 and 2 is hidden.
    """

    x: Array  # [n], whole columns
    curves: Array  # [K, n], rows from top to bottom
    shifts: Array  # [K, n], 0 for the first and last curve
    from_above: bool  # the upper edge does the covering (lids), else the lower one (lips)

    def move(self, points: Array, activation: float) -> Array:
        """Move points [N, 2] of the still face forwards; a point between the edges is squeezed with them."""
        rows, shifts = self._rows(points, 0.0), self._rows(points, activation) - self._rows(points, 0.0)
        return self._step(points, rows[:-1], rows[1:], np.diff(shifts, axis=0))

    def undo(self, points: Array, activation: float) -> Array:
        """Return what of the still face shows at moved points [N, 2]; the covering edge is one px soft."""
        rows = self._rows(points, activation)
        shifts = rows - self._rows(points, 0.0)
        top, bottom = rows[:-1].copy(), rows[1:].copy()
        if self.from_above:
            bottom[1] = np.minimum(bottom[1], top[1] + 1)
        else:
            top[1] = np.maximum(top[1], bottom[1] - 1)
        return self._step(points, top, bottom, -np.diff(shifts, axis=0))

    def outline(self) -> Array:
        """Return points [2 n, 2] around the region that moves."""
        return np.concatenate([np.stack([self.x, curve], axis=1) for curve in (self.curves[0], self.curves[-1])])

    def _rows(self, points: Array, activation: float) -> Array:
        """Interpolate the moved curves at the columns of points, [K, N]."""
        x = np.clip(points[:, 0], self.x[0], self.x[-1]) - self.x[0]
        left = np.minimum(x.astype(np.int32), len(self.x) - 2)
        curves = self.curves + np.float32(activation) * self.shifts
        return curves[:, left] * (1 - x + left) + curves[:, left + 1] * (x - left)

    def _step(self, points: Array, top: Array, bottom: Array, steps: Array) -> Array:
        y = points[:, 1].copy()
        for low, high, step in zip(top, bottom, steps, strict=True):
            y += step * np.clip((points[:, 1] - low) / np.maximum(high - low, 1e-3), 0, 1)
        return np.stack([points[:, 0], y], axis=1)


@dataclass(frozen=True)
class Face:
    """One subject's still face on the canvas, and all that is needed to move it."""

    image: NDArray[np.uint8]  # [h, w, 3] BGR
    landmarks: Array  # [68, 2], mouth as in the portrait (open)
    centre: Array  # [2], about which the head turns
    g: float
    actions: dict[str, Array]  # name -> field [ny, nx, 2], displacement in px per px of the crop at 128 px
    depth: Array  # [ny, nx], px away from the camera, about 0 at the mean of the face
    head: Array  # [ny, nx], 1 on the head, 0 far from it
    lids: tuple[Slit, Slit]
    lips: Slit
    mouth: float  # opening of the mouth at rest, 1 as in the portrait


@lru_cache(maxsize=2)
def still_face(params: demo.DemoParameters, subject: int) -> Face:
    """Return a subject's still face: the portrait, warped and toned as drawn from the subject's own seed."""
    rng = demo.subject_generator(params, subject)
    image, mesh, person = portrait(params.width, params.height, bool((subject + params.seed) % 2))
    shape = _shape_field(mesh, image.shape, rng)
    still = pixel_grid(image.shape, 1) + _full_size(invert(shape), image.shape)
    image, person = (remap(item, still, cv2.INTER_CUBIC, cv2.BORDER_REFLECT_101) for item in (image, person))
    mesh = np.concatenate([mesh[:, :2] + sample(shape, mesh[:, :2]), mesh[:, 2:]], axis=1).astype(np.float32)
    points, g = mesh[list(MESH_68), :2], _unit(mesh)
    left, right = (_lid(mesh[list(upper), :2], mesh[list(lower), :2], g) for upper, lower in LIDS)
    lips, mouth = _lips(mesh, g), float(rng.uniform(0.08, 0.22))
    rest = lips.move(points, 1 - mouth)
    nodes = pixel_grid(image.shape, STEP)
    return Face(
        _toned(image, person, mesh, rng), points, points.mean(0), g, _action_fields(rest, nodes, g),
        _depth(mesh, nodes, g), _head_window(rest, nodes, g), (left, right), lips, mouth,
    )  # fmt: skip


@lru_cache(maxsize=2)
def portrait(width: int, height: int, mirrored: bool) -> tuple[Array, Array, Array]:
    """Return the portrait on the canvas (BGR), its face mesh [468, 3] (px, z away) and person mask [h, w]."""
    from skimage import data

    photo, person = data.astronaut(), cv2.imread(str(PERSON), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
    person = cv2.resize(person, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    if mirrored:
        photo, person = np.ascontiguousarray(photo[:, ::-1]), np.ascontiguousarray(person[:, ::-1])
    mesh = portrait_mesh(mirrored)
    canvas = np.array((width, height)) + 2 * MARGIN
    turn = _upright(mesh, FACE_SHARE * min(width, height) / 9, canvas)
    photo, person = (
        cv2.warpAffine(image, turn, canvas.tolist(), flags=kind, borderMode=cv2.BORDER_REFLECT_101)
        for image, kind in ((photo, cv2.INTER_LANCZOS4), (person, cv2.INTER_LINEAR))
    )
    on_canvas = np.concatenate([mesh[:, :2] @ turn[:, :2].T + turn[:, 2], mesh[:, 2:] * np.hypot(*turn[0, :2])], axis=1)
    sharp = cv2.addWeighted(photo, 1.35, cv2.GaussianBlur(photo, (0, 0), 2.0), -0.35, 0)
    return cv2.cvtColor(sharp, cv2.COLOR_RGB2BGR), on_canvas.astype(np.float32), person


def portrait_mesh(mirrored: bool) -> Array:
    """Return MediaPipe's mesh of the photo, or of its mirror image, [468, 3], px of the photo, z away.

    Kept with the package, as is the person mask: landmarks found anew differ by hundredths of a px from processor to
    processor, and every rendered frame with them.
    """
    columns = np.loadtxt(MESH, np.float32, delimiter=",", skiprows=1)
    return columns[:, 3:] if mirrored else columns[:, :3]


def _unit(mesh: Array) -> float:
    return float(np.linalg.norm(mesh[133, :2] - mesh[362, :2]) / 2)


def _upright(mesh: Array, g: float, canvas: NDArray) -> NDArray:
    """Return the similarity [2, 3] that levels the eyes, brings their half distance to g and centres the head."""
    inner = mesh[[133, 362], :2]
    angle = np.arctan2(*(inner[1] - inner[0])[::-1])
    turn = g / _unit(mesh) * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    target = canvas / 2 - (0, 0.6 * g)
    return np.concatenate([turn, (target - turn @ inner.mean(0))[:, None]], axis=1)


def _shape_field(mesh: Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Draw a subject's geometry: a displacement field of the canvas, px."""
    nodes = pixel_grid(shape, STEP)
    points, g = mesh[list(MESH_68), :2], _unit(mesh)
    from_eyes = nodes - mesh[[133, 362], :2].mean(0)
    width, length, chin = rng.uniform((-0.09, -0.05, -0.07), (0.09, 0.05, 0.1))
    below = np.maximum(from_eyes[..., 1] - 2 * g, 0)
    field = _head_window(points, nodes, g)[..., None] * np.stack(
        [width * from_eyes[..., 0], length * from_eyes[..., 1] + chin * below * np.exp(-((below / (4 * g)) ** 2))],
        axis=-1,
    )
    spread = {"jaw": 0.3, "eye": 0.13, "brow": 0.16, "nose": 0.1, "mouth": 0.2, "lips": 0.08}
    for name, most in spread.items():
        field += _action(name, points, nodes, g) * np.float32(rng.uniform(-most, most) * g)
    field += _action("smile", points, nodes, g) * np.float32(rng.uniform(0.05, 0.28) * g)
    return field.astype(np.float32)


def _toned(image: NDArray[np.uint8], person: Array, mesh: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a subject's colours: backdrop, hair, skin, light, moles and grain."""
    lab: Array = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    person = _matte(lab, cv2.GaussianBlur(cv2.erode(person, np.ones((5, 5))), (0, 0), 1.5))
    hair = person * _hair(lab, mesh)
    skin = person * (1 - hair)
    lab[..., 0] *= 1 - 0.12 * _teeth(mesh, person.shape)
    lab[..., 0] *= (
        1 + (1 - person) * rng.uniform(-0.3, 0.1) + hair * rng.uniform(-0.6, 0.3) + skin * rng.uniform(-0.28, 0.04)
    )
    for mask, low, high in ((1 - person, (-8, -16), (8, 10)), (hair, (-1, -14), (9, 4)), (skin, (0, -3), (4, 5))):
        lab[..., 1:] += (mask * np.minimum(lab[..., 0] / 50, 1))[..., None] * rng.uniform(low, high)
    x, y = np.moveaxis(pixel_grid(image.shape, 1) - mesh[:, :2].mean(0), -1, 0) / (6 * _unit(mesh))
    angle = rng.uniform(0, 2 * np.pi)
    lab[..., 0] *= 1 + rng.uniform(0.04, 0.14) * np.tanh(x * np.cos(angle) + y * np.sin(angle))
    grain = cv2.GaussianBlur(rng.normal(0, 1, image.shape[:2]).astype(np.float32), (0, 0), 1.0)
    lab[..., 0] = np.clip(lab[..., 0] + _moles(x, y, rng) + 2.6 * grain * (0.3 + 0.7 * person), 0, 100)
    return np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2BGR) * 255, 0, 255).round().astype(np.uint8)


def _hair(lab: Array, mesh: Array) -> Array:
    """Return where hair is [h, w]: above the mouth, yellow rather than red, or dark and beside the face."""
    above = 1 / (1 + np.exp((np.arange(len(lab))[:, None] - mesh[13, 1]) / 6))
    yellow = 1 / (1 + np.exp((9 - cv2.GaussianBlur(lab[..., 2] - 1.6 * lab[..., 1], (0, 0), 2)) / 1.5))
    inner = np.zeros(lab.shape[:2], np.float32)
    cv2.fillConvexPoly(inner, cv2.convexHull(mesh[:, :2].astype(np.int32)), (1.0,))
    dark = (1 - inner) / (1 + np.exp((lab[..., 0] - 35) / 4))
    return _matte(lab, (above * np.maximum(yellow, dark)).astype(np.float32))


def _matte(lab: Array, mask: Array) -> Array:
    """Refine a mask [h, w] along the edges of the image."""
    return np.clip(cv2.ximgproc.guidedFilter(lab / 100, mask, 8, 1e-3), 0, 1)


def _teeth(mesh: Array, shape: tuple[int, ...]) -> Array:
    """Return the inside of the mouth [h, w], which is shaded: lips that nearly touch show no white line."""
    inside = np.zeros(shape, np.float32)
    outline = [*LIPS[0], *reversed(LIPS[1][1:-1])]
    cv2.fillPoly(inside, [mesh[outline, :2].round().astype(np.int32)], (1.0,))
    return cv2.GaussianBlur(inside, (0, 0), 1.0)


def _moles(x: Array, y: Array, rng: np.random.Generator) -> Array:
    """Return the darkening (L*) of a few moles on the cheeks; x, y in units of half a face."""
    darkening = np.zeros_like(x)
    for _ in range(int(rng.integers(2, 6))):
        centre, radius = rng.uniform((-0.55, -0.1), (0.55, 0.6)), rng.uniform(0.012, 0.022)
        darkening -= rng.uniform(8, 22) * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * radius**2))
    return darkening


def _action_fields(points: Array, nodes: Array, g: float) -> dict[str, Array]:
    """Return the field of every action: px of the canvas at its strongest ROI, for 1 px of the crop at 128 px."""
    fields = {}
    for name in (*demo.ACTIONS, "pucker"):
        side = next((side for side in ("left", "right") if name.endswith(f"_{side}")), "both")
        field = _action(name.removesuffix(f"_{side}"), points, nodes, g, side)
        fields[name] = field * np.float32(CROP_PX * g / np.linalg.norm(sample(field, points[list(ROIS)]), axis=1).max())
    return fields


def _action(name: str, points: Array, nodes: Array, g: float, side: str = "both") -> Array:
    """Return the field of a row of HALVES on one side or both, of length 1 at the landmark that it moves most."""
    field = np.zeros(nodes.shape, np.float32)
    for groups, (x, y), widths in HALVES[name]:
        left = [(group,) if isinstance(group, int) else group for group in groups]
        right = [tuple(MIRROR[i] for i in group) for group in left]
        moves = [(group, (x, y)) for group in left if side != "right"]
        moves += [(group, (-x, y)) for group in right if side != "left"]
        anchors = np.array([points[list(group)].mean(0) for group, _ in moves])
        field += _bump(anchors, np.array([way for _, way in moves]), widths, nodes, g)
    return field / np.linalg.norm(sample(field, points), axis=1).max()


def _bump(anchors: Array, directions: Array, widths: tuple[float, float, float], nodes: Array, g: float) -> Array:
    """Return a smooth hill over the anchors [n, 2] that moves along their directions [n, 2]; widths in g."""
    offset = (nodes[:, :, None] - anchors) / g  # (ny, nx, n, 2)
    height = np.where(offset[..., 1] < 0, widths[1], widths[2])
    weight = np.exp(-2 * ((offset[..., 0] / widths[0]) ** 2 + (offset[..., 1] / height) ** 2)) + 1e-30
    total = weight.sum(-1)[..., None]
    return (total**0.25 * (weight @ directions) / total).astype(np.float32)


def _depth(mesh: Array, nodes: Array, g: float) -> Array:
    """Return the mesh's z [ny, nx], smoothed over 0.4 g, level outside of the face."""
    coarse = nodes[::4, ::4]
    squared = ((coarse[:, :, None] - mesh[:, :2]) ** 2).sum(-1) / (0.4 * g) ** 2
    weight = np.exp(-0.5 * (squared - squared.min(-1, keepdims=True)))
    depth = (weight @ (mesh[:, 2] - mesh[:, 2].mean()) / weight.sum(-1)).astype(np.float32)
    depth = cv2.GaussianBlur(depth, (0, 0), 1.5)
    lattice = pixel_grid(nodes.shape, 1) / 4
    return remap(depth, lattice, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)


def _head_window(points: Array, nodes: Array, g: float) -> Array:
    """Return w [ny, nx]: 1 on face and hair, falling smoothly to 0 towards the edges of the canvas."""
    centre = points[[39, 42]].mean(0) - (0, 0.5 * g)
    radius = np.linalg.norm((nodes - centre) / (np.array([6.8, 7.6]) * g), axis=-1)
    return (1 - demo.smooth_step((radius - 0.95) / 0.55)).astype(np.float32)


def _lid(upper: Array, lower: Array, g: float) -> Slit:
    """Return the slit of one eye: closing brings the upper lid down to the lower one."""
    x, (top, bottom) = _columns(upper, lower, 0.25 * g)
    gap = np.maximum(bottom - top, 0)
    curves = np.stack([top - 0.62 * g, top, bottom, bottom + 0.4 * g])
    return Slit(x, curves, np.stack([0 * gap, 1.1 * gap, 0 * gap, 0 * gap]), from_above=True)


def _lips(mesh: Array, g: float) -> Slit:
    """Return the slit of the mouth: closing brings the lower lip, with the chin, up to the upper one."""
    x, (top, bottom) = _columns(mesh[list(LIPS[0]), :2], mesh[list(LIPS[1]), :2], 0.5 * g)
    gap = np.maximum(bottom - top, 0)
    chin = np.full_like(top, mesh[152, 1] - 0.3 * g)
    return Slit(
        x,
        np.stack([top - 0.2 * g, top, bottom, chin, chin + 1.8 * g]),
        np.stack([0 * gap, 0 * gap, -gap, -0.8 * gap, 0 * gap]),
        from_above=False,
    )


def _columns(upper: Array, lower: Array, margin: float) -> tuple[Array, list[Array]]:
    """Return columns and the smoothed rows of two edges over them; beyond the corners both edges are one."""
    x = np.arange(np.floor(upper[0, 0] - margin), np.ceil(upper[-1, 0] + margin) + 1, dtype=np.float32)
    rows = [np.interp(x, edge[:, 0], edge[:, 1]).astype(np.float32) for edge in (upper, lower)]
    return x, [cv2.GaussianBlur(row[None], (0, 0), 1.5, borderType=cv2.BORDER_REPLICATE)[0] for row in rows]


def _full_size(field: Array, shape: tuple[int, ...]) -> Array:
    """Interpolate a field on the nodes to every pixel of the canvas."""
    scale = np.array([[1 / STEP, 0, 0], [0, 1 / STEP, 0]], np.float32)
    return cv2.warpAffine(
        field, scale, shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )


def remap(image: Array, at: Array, interpolation: int, border: int) -> Array:
    """Return ``image`` at the positions ``at`` [..., 2]."""
    return cv2.remap(image, at, np.empty(0), interpolation, borderMode=border)


def sample(field: Array, points: Array) -> Array:
    """Interpolate a field [ny, nx(, C)] linearly at canvas positions [N, 2]."""
    limit = np.array(field.shape[1::-1]) - 1.001
    x, y = np.clip(points / STEP, 0, limit).T
    j, i = x.astype(int), y.astype(int)
    u, v = ((part - whole).reshape(-1, *[1] * (field.ndim - 2)) for part, whole in ((x, j), (y, i)))
    top, bottom = field[i, j] * (1 - u) + field[i, j + 1] * u, field[i + 1, j] * (1 - u) + field[i + 1, j + 1] * u
    return (top * (1 - v) + bottom * v).astype(np.float32)


def pixel_grid(shape: tuple[int, ...], step: int) -> Array:
    """Return the positions [ny, nx, 2] (x, y) of every ``step``-th pixel of an image of ``shape`` (h, w, ...)."""
    x, y = np.meshgrid(np.arange(0, shape[1], step), np.arange(0, shape[0], step))
    return np.stack([x, y], axis=-1).astype(np.float32)


def invert(field: Array) -> Array:
    """Return the inverse displacement: u(y) with u(y) = -field(y + u(y)), by fixed-point iteration."""
    nodes = pixel_grid(field.shape, 1)
    inverse = -field
    for _ in range(ITERATIONS):
        inverse = -remap(field, nodes + inverse / STEP, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
    return inverse
