"""Pairs of images of a face whose displacement is known, and how far a flow is from it.

Conventions
-----------
A scene is a pair (reference, moving) of uint8 images [S, S] and its true flow, float32 [S, S, 2], px, (x, y), defined
by moving(x + u(x)) = reference(x). Displacements are sums of smooth bumps (sigma 8 to 15 px at 128 px, in proportion at
other sizes), scaled to a largest length of ``amplitude``, plus what the whole face does: a global shift where asked for,
or the ``common`` motion of the Condition. Lengths of light, shadow and blur are at 128 px, too, and in proportion.
Both images are rounded to whole grey levels; what else happens to them is the Condition's, in this order: light, blur,
noise, compression.

Textures are public-domain images of scikit-image, cropped as the flow stage crops a face; LANDMARKS are where the named
points lie on the astronaut's, and the ROIs of all textures, cheeks and eyes are placed by them.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from skimage import data

from pfes.faces import align
from pfes.media.encode import encode

Image = NDArray[np.uint8]
Flow = NDArray[np.float32]
Plane = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What a recording does to a scene.

    noise
        of both images, grey levels (standard deviation).
    light
        of the moving image: .01 is 1 % and 1 grey level brighter.
    cheek
        share by which one cheek of the moving image is brighter, a Gaussian of sigma 15 px.
    shadow
        px by which the edge of a shadow moves; beyond the edge, 6 px wide, the light is 30 % less.
    glasses
        grey levels of two bright spots on the eyes, in the moving image 4 px away from where they were, a third weaker.
    blur
        px along which the moving image is smeared, as by a head that moves while the shutter is open.
    jpeg
        quality of the JPEG files that both images pass through; 0: none.
    crf
        of a H.264 clip of nine frames, the first and last of which are the scene; the motion grows evenly; 0: none.
    common
        motion of the whole face besides the bumps: ``translation`` by a third of the amplitude, or ``rotation`` or
        ``scale`` that move the middles of the borders by the amplitude.
    """

    noise: float = 0.0
    light: float = 0.0
    cheek: float = 0.0
    shadow: float = 0.0
    glasses: float = 0.0
    blur: float = 0.0
    jpeg: int = 0
    crf: int = 0
    common: str = ""


CONDITIONS = {
    "clean": Condition(),
    "noise": Condition(noise=2.0),
    "noise and light": Condition(noise=2.0, light=0.01),
}
RECORDINGS = {
    "clean": Condition(),
    "noise 1": Condition(noise=1.0),
    "noise 2": Condition(noise=2.0),
    "noise 4": Condition(noise=4.0),
    "uniform light, noise 1": Condition(noise=1.0, light=0.05),
    "JPEG 40": Condition(jpeg=40),
    "JPEG 15": Condition(jpeg=15),
    "H.264 crf 32": Condition(noise=1.0, crf=32),
    "H.264 crf 40": Condition(noise=1.0, crf=40),
    "light on a cheek": Condition(cheek=0.3),
    "light on a cheek, noise 1": Condition(cheek=0.3, noise=1.0),
    "moving shadow": Condition(shadow=12.0),
    "moving shadow, noise 1": Condition(shadow=12.0, noise=1.0),
    "reflections on glasses": Condition(glasses=80.0),
    "translation": Condition(common="translation"),
    "translation, noise 1": Condition(common="translation", noise=1.0),
    "rotation, noise 1": Condition(common="rotation", noise=1.0),
    "scale, noise 1": Condition(common="scale", noise=1.0),
    "motion blur, noise 1": Condition(blur=3.0, noise=1.0),
}
AMPLITUDES = (0.1, 0.3, 1.0, 2.0, 3.0)  # px
RECORDING_AMPLITUDES = (0.1, 0.2, 0.3, 0.4, 0.5, 1.0, 2.0, 4.0)
CLIP = 9  # frames of a H.264 clip
TEXTURES = {"astronaut": (172, 63, 106), "chelsea": (120, 20, 250)}  # crop box (x0, y0, side): a face, a cat's face
LANDMARKS = {  # number of the 68 points: (x, y) in shares of the crop
    18: (0.186, 0.237), 19: (0.245, 0.224), 20: (0.324, 0.232), 23: (0.705, 0.252), 24: (0.783, 0.253),
    25: (0.841, 0.273), 29: (0.498, 0.547), 30: (0.494, 0.603), 40: (0.339, 0.389), 41: (0.271, 0.383),
    46: (0.740, 0.406), 47: (0.672, 0.405), 48: (0.282, 0.721), 51: (0.487, 0.731), 54: (0.697, 0.748),
    57: (0.479, 0.867), 62: (0.486, 0.752),
}  # fmt: skip
CHEEKS = ((0.28, 0.58), (0.72, 0.58))
EYES = ((0.3, 0.37), (0.7, 0.37))


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
    """Return (reference, moving, truth): ``image`` [S, S] with known displacement, and what ``condition`` does to it."""
    size = len(image)
    truth = displacement(size, amplitude, shift=shift, seed=seed) + common_motion(
        size, amplitude, condition.common, seed
    )
    rng = np.random.default_rng([seed, 1])
    clip = [displaced(image, (1 - k / (CLIP - 1)) * truth) for k in range(CLIP if condition.crf else 2)]
    clip[0], clip[-1] = displaced(image, truth), image.astype(float)
    clip[0], clip[-1] = light(clip[0], clip[-1], condition, rng)
    frames = [np.clip(np.rint(i + rng.normal(0, condition.noise, i.shape)), 0, 255).astype(np.uint8) for i in clip]
    if condition.crf:
        frames = h264(frames, condition.crf)
    if condition.jpeg:
        frames = [jpeg(frame, condition.jpeg) for frame in frames]
    return frames[0], frames[-1], truth


def displaced(image: Image, flow: Flow) -> Plane:
    """Return ``image`` [S, S] sampled at x + flow."""
    y, x = np.mgrid[: len(image), : len(image)]
    positions = [y + flow[..., 1], x + flow[..., 0]]
    return np.asarray(map_coordinates(image.astype(float), positions, order=5, mode="nearest"))


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


def common_motion(size: int, amplitude: float, kind: str, seed: int) -> Flow:
    """Return what the whole face does, [size, size, 2] px: see Condition."""
    rng = np.random.default_rng([seed, 2])
    direction, turn = _direction(rng), rng.choice([-1.0, 1.0])
    y, x = (np.mgrid[:size, :size] - (size - 1) / 2) / (size / 2)
    fields = {
        "": np.zeros((size, size, 2)),
        "translation": np.broadcast_to(amplitude / 3 * direction, (size, size, 2)),
        "rotation": amplitude * turn * np.stack([-y, x], -1),
        "scale": amplitude * turn * np.stack([x, y], -1),
    }
    return fields[kind].astype(np.float32)


def light(reference: Plane, moving: Plane, condition: Condition, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Return both images under the light of ``condition``, and the moving one blurred."""
    size = len(moving)
    px = size / 128
    side, direction = rng.integers(2), _direction(rng)
    moving = moving * (1 + condition.light) + 100 * condition.light
    moving = moving * (1 + condition.cheek * _spot(size, CHEEKS[side], 15 * px))
    if condition.shadow:
        y, x = np.mgrid[:size, :size] - (size - 1) / 2
        across = (direction[0] * x + direction[1] * y) / px
        reference, moving = (
            image * (1 - 0.3 / (1 + np.exp(-(across + moved) / 1.5)))
            for image, moved in ((reference, condition.shadow / 2), (moving, -condition.shadow / 2))
        )
    for eye in EYES:
        away = np.array(eye) + 4 / 128 * direction
        reference = reference + condition.glasses * _spot(size, eye, 3 * px)
        moving = moving + condition.glasses / 1.5 * _spot(size, away, 3 * px)
    if condition.blur:
        moving = np.mean([_shifted(moving, t * condition.blur * px * direction) for t in np.linspace(-0.5, 0.5, 9)], 0)
    return reference, moving


def jpeg(image: Image, quality: int) -> Image:
    """Return ``image`` as it comes out of a JPEG file."""
    packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE), np.uint8)


def h264(frames: list[Image], crf: int) -> list[Image]:
    """Return grey ``frames`` of even sides as they come out of an H.264 file at 30 frames/s."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        encode(path, (np.repeat(frame[..., None], 3, -1) for frame in frames), 30.0, crf)
        video = cv2.VideoCapture(str(path))
        found = [np.asarray(cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2GRAY), np.uint8) for _ in frames]
        video.release()
    return found


def _spot(size: int, centre: NDArray[np.float64] | tuple[float, float], sigma: float) -> Plane:
    y, x = np.mgrid[:size, :size]
    return np.asarray(np.exp(-((x - centre[0] * size) ** 2 + (y - centre[1] * size) ** 2) / (2 * sigma**2)))


def _shifted(image: Plane, by: NDArray[np.float64]) -> Plane:
    matrix = np.array([[1, 0, by[0]], [0, 1, by[1]]])
    return np.asarray(
        cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    )


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def endpoint_error(flow: Flow, truth: Flow) -> tuple[float, float]:
    """Return median and 95th percentile of |flow - truth|, px, inside a margin of one eighth of the size."""
    error = face_error(flow, truth)
    return float(np.median(error)), float(np.percentile(error, 95))


def face_error(flow: Flow, truth: Flow) -> NDArray[np.float32]:
    """Return |flow - truth|, px, inside a margin of one eighth of the size."""
    margin = len(truth) // 8
    return np.asarray(np.linalg.norm(flow - truth, axis=-1)[margin:-margin, margin:-margin])


def roi_errors(flow: Flow, truth: Flow, boxes: align.Boxes) -> NDArray[np.float64]:
    """Return [R] the distance of the mean vector of ``flow`` over each box from that of ``truth``, px."""
    difference = (flow - truth).astype(np.float64)
    return np.array([np.linalg.norm(difference[y0:y1, x0:x1].mean((0, 1))) for x0, y0, x1, y1 in boxes])
