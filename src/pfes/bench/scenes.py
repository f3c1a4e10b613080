"""Pairs of images of a face whose displacement is known, and how far a flow is from it.

Conventions
-----------
A scene is a pair (reference, moving) of uint8 images [S, S] and its true flow, float32 [S, S, 2], px, (x, y), defined
by moving(x + u(x)) = reference(x). Displacements are sums of smooth bumps (sigma 8 to 15 px at 128 px, in proportion at
other sizes), scaled to a largest length of ``amplitude``, plus a global shift where asked for. Both images are rounded
to whole grey levels, and differ by noise and light as a Condition says.

Textures are public-domain images of scikit-image, cropped as the flow stage crops a face; LANDMARKS are where the named
points lie on the astronaut's, and the ROIs of all textures are placed by them.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from skimage import data

from pfes.faces import align

Image = NDArray[np.uint8]
Flow = NDArray[np.float32]


@dataclass(frozen=True)
class Condition:
    """Noise of both images, grey levels (standard deviation), and light of the moving one: .01 is 1 % and 1 grey level."""

    noise: float = 0.0
    light: float = 0.0


CONDITIONS = {"clean": Condition(), "noise": Condition(noise=2.0), "noise and light": Condition(noise=2.0, light=0.01)}
AMPLITUDES = (0.1, 0.3, 1.0, 2.0, 3.0)  # px
TEXTURES = {"astronaut": (172, 63, 106), "chelsea": (120, 20, 250)}  # crop box (x0, y0, side): a face, a cat's face
LANDMARKS = {  # number of the 68 points: (x, y) in shares of the crop
    18: (0.186, 0.237), 19: (0.245, 0.224), 20: (0.324, 0.232), 23: (0.705, 0.252), 24: (0.783, 0.253),
    25: (0.841, 0.273), 29: (0.498, 0.547), 30: (0.494, 0.603), 40: (0.339, 0.389), 41: (0.271, 0.383),
    46: (0.740, 0.406), 47: (0.672, 0.405), 48: (0.282, 0.721), 51: (0.487, 0.731), 54: (0.697, 0.748),
    57: (0.479, 0.867), 62: (0.486, 0.752),
}  # fmt: skip


def texture(name: str, size: int) -> Image:
    """Return the grey crop of a texture, uint8 [size, size]."""
    image = cv2.cvtColor(getattr(data, name)(), cv2.COLOR_RGB2GRAY)
    return np.asarray(align.crop(image, np.array(TEXTURES[name]), size), np.uint8)


def face(size: int) -> Image:
    """Return a public-domain face (scikit-image's astronaut), grey, uint8 [size, size]."""
    return texture("astronaut", size)


def roi_boxes(size: int) -> align.Boxes:
    """Return the boxes [R, 4] (x0, y0, x1, y1) of the regions of interest on a texture of side ``size``, px."""
    points = np.zeros((68, 2), np.float32)
    points[list(LANDMARKS)] = np.array(list(LANDMARKS.values())) * size
    return align.roi_boxes(points, np.array([0, 0, size]), size)


def scene(
    image: Image,
    amplitude: float,
    condition: Condition = CONDITIONS["noise and light"],
    *,
    shift: float = 0.0,
    seed: int = 0,
) -> tuple[Image, Image, Flow]:
    """Return (reference, moving, truth): ``image`` [S, S] with known displacement, noise and light. Lengths in px."""
    size = len(image)
    truth = displacement(size, amplitude, shift=shift, seed=seed)
    y, x = np.mgrid[:size, :size]
    still = map_coordinates(image.astype(float), [y + truth[..., 1], x + truth[..., 0]], order=5, mode="nearest")
    lit = image * (1 + condition.light) + 100 * condition.light
    rng = np.random.default_rng([seed, 1])
    reference, moving = (np.clip(np.rint(i + rng.normal(0, condition.noise, i.shape)), 0, 255) for i in (still, lit))
    return reference.astype(np.uint8), moving.astype(np.uint8), truth


def displacement(size: int, amplitude: float, *, shift: float = 0.0, seed: int = 0) -> Flow:
    """Return six smooth bumps of random place and direction, longest ``amplitude`` px, plus a shift of that length."""
    rng = np.random.default_rng([seed, 0])
    y, x = np.mgrid[:size, :size]
    flow = np.zeros((size, size, 2))
    for _ in range(6):
        column, row = rng.uniform(0.2 * size, 0.8 * size, 2)
        sigma = rng.uniform(8, 15) * size / 128
        bump = np.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * sigma**2))
        flow += bump[..., None] * _direction(rng)
    flow *= amplitude / np.linalg.norm(flow, axis=-1).max()
    return (flow + shift * _direction(rng)).astype(np.float32)


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def endpoint_error(flow: Flow, truth: Flow) -> tuple[float, float]:
    """Return median and 95th percentile of |flow - truth|, px, inside a margin of one eighth of the size."""
    margin = len(truth) // 8
    error = np.linalg.norm(flow - truth, axis=-1)[margin:-margin, margin:-margin]
    return float(np.median(error)), float(np.percentile(error, 95))


def roi_errors(flow: Flow, truth: Flow, boxes: align.Boxes) -> NDArray[np.float64]:
    """Return [R] the distance of the mean vector of ``flow`` over each box from that of ``truth``, px."""
    difference = (flow - truth).astype(np.float64)
    return np.array([np.linalg.norm(difference[y0:y1, x0:x1].mean((0, 1))) for x0, y0, x1, y1 in boxes])
