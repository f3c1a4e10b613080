"""A folder of images as a recording: their order, their numbers and their depth.

Order
-----
All images must be of one series: names that differ in their numbers only, and one ending (.jpg or .png). The number that
changes orders them, wherever it stands in the name: ``frame0001_30.jpg``, ``s01_0001_320x180.png``. Where several change
(a counter and a time), one of them must order all images by itself without contradiction of the others. What remains
ambiguous is refused: two cameras, clock times, the same number twice.

Numbers
-------
The smallest distance of two numbers is one frame; all others must be multiples of it, else they are times and refused.
A number that is missing is time in which nothing was recorded.

Depth
-----
Where colours have 16 bits, the bits that any image of the folder uses are scaled to 8: 12 bits of a camera in 16-bit PNG.
"""

import os
import re
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pfes.base.errors import InputError
from pfes.media.video import Frame, to_8_bits, used_bits

IMAGES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"}
EXIF_ORIENTATION = 0x0112
TURNS = {
    2: "mirrored", 3: "180 degrees", 4: "180 degrees, mirrored", 5: "90 degrees, mirrored", 6: "270 degrees",
    7: "270 degrees, mirrored", 8: "90 degrees",
}  # fmt: skip
MOST_PIXELS = 150_000_000  # of an image; 16K has 133 million
ENDINGS = {".jpeg": ".jpg", ".tiff": ".tif"}  # of one kind

cv2.setNumThreads(1)


def images(folder: Path) -> list[Path]:
    """Return the images of a folder in order.

    Raises
    ------
    InputError
        There is none, or their order is ambiguous.
    """
    return [folder / name for name in _ordered(folder, folder.stat().st_mtime_ns)[0]]


def image_numbers(folder: Path | str) -> NDArray[np.int64]:
    """Return the number [N] in the name of each image, in order; frame i is the image with the i-th of them."""
    return np.asarray(_ordered(Path(folder), Path(folder).stat().st_mtime_ns)[1], np.int64)


def frame_places(folder: Path) -> NDArray[np.int64]:
    """Return the place [N] of each image in time, in frames from the first: 0, 1, 2, ... where no number is missing.

    Raises
    ------
    InputError
        The numbers advance by steps that are no multiples of one another: they are times.
    """
    numbers = image_numbers(folder)
    steps = np.diff(numbers)
    if not len(steps):
        return np.zeros(len(numbers), np.int64)
    odd = np.flatnonzero(steps % steps.min())
    if len(odd):
        example = ", ".join(str(number) for number in numbers[:3])
        raise InputError(
            f"{folder}: the numbers of its images ({example}, ...) advance by {steps.min()} and by {steps[odd[0]]}, which are"
            " no frame numbers but times, perhaps; rename them to 1, 2, 3, ..."
        )
    return np.asarray((numbers - numbers[0]) // steps.min(), np.int64)


def frames(folder: Path) -> Iterator[Frame | None]:
    """Yield every image in order, uint8 [H, W, 3] BGR, turned as its EXIF says; None for one that cannot be read.

    Raises
    ------
    InputError
        Images differ in size or depth, or hold something else than 8 or 16 bits a colour.
    """
    first: tuple[Path, NDArray] | None = None
    for path in images(folder):
        image = _read(path)
        if image is None:
            yield None
            continue
        first = first or (path, image)
        if image.shape != first[1].shape or image.dtype != first[1].dtype:
            raise InputError(
                f"{path} is {_kind(image)}, but {first[0].name} {_kind(first[1])}; expected images of one size and depth"
            )
        yield image.astype(np.uint8) if image.dtype == np.uint8 else to_8_bits(image, depth(folder))


def size(folder: Path) -> tuple[int, int]:
    """Return (width, height), px, of the first image that can be read; (0, 0) if none can."""
    image = next((image for path in images(folder) if (image := _read(path)) is not None), None)
    return (0, 0) if image is None else (image.shape[1], image.shape[0])


def turn(folder: Path) -> str:
    """Return how the images of a folder are turned to be upright, by the EXIF of the first; "" for not at all."""
    first = images(folder)[0]
    _refuse_huge(first)
    try:
        with Image.open(first) as image:
            return TURNS.get(image.getexif().get(EXIF_ORIENTATION, 1), "")
    except (OSError, SyntaxError):  # what Pillow calls a broken PNG
        return ""


def depth(folder: Path) -> int:
    """Return the bits of a colour that the images of a folder use: 8, or up to 16; reads all images of more than 8."""
    return _depth(folder, folder.stat().st_mtime_ns)


@lru_cache(maxsize=4096)
def _depth(folder: Path, modified: int) -> int:
    highest = 0
    for path in images(folder):
        image = _read(path)
        if image is not None and image.dtype == np.uint8:
            return 8
        highest = highest if image is None else max(highest, int(image.max()))
    return used_bits(highest)


def _read(path: Path) -> NDArray | None:
    _refuse_huge(path)
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is not None and image.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path}: {image.dtype} colours; expected 8 or 16 bits; convert the images to 8-bit PNG")
    return image


def _refuse_huge(path: Path) -> None:
    """Raise InputError where the header names more than MOST_PIXELS: decoding would take memory and time before it fails."""
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            Image.open(path) as image,
        ):
            count = image.width * image.height
    except Image.DecompressionBombError:
        count = MOST_PIXELS + 1
    except (OSError, SyntaxError, ValueError):  # not for Pillow; OpenCV may know it, or finds it broken
        return
    if count > MOST_PIXELS:
        raise InputError(
            f"{path}: more than {MOST_PIXELS // 10**6} million pixels; expected frames of a video; scale them down"
        )


def _kind(image: NDArray) -> str:
    return f"{image.shape[1]}x{image.shape[0]} px of {8 * image.itemsize} bits"


# ------------------------------------------------------------------------------------------------ order


@lru_cache(maxsize=8)
def _ordered(folder: Path, modified: int) -> tuple[list[str], list[int]]:
    names = _names(folder)
    _one_series(folder, names)
    fields = np.asarray([[int(text) for text in re.findall(r"\d+", Path(name).stem)] for name in names], object)
    chosen = _ordering_field(folder, names, fields)
    order = sorted(range(len(names)), key=lambda i: fields[i, chosen])
    numbers = [fields[i, chosen] for i in order]
    if numbers[-1] >= 2**62:
        raise InputError(f"{folder}: {names[order[-1]]} has a number too large to count frames; rename its images")
    for first, second in zip(order, order[1:], strict=False):
        if fields[first, chosen] == fields[second, chosen]:
            raise InputError(f"{folder}: {names[first]} and {names[second]} have the same number; remove one of them")
    return [names[i] for i in order], numbers


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        names = sorted(
            item.name
            for item in entries
            if os.path.splitext(item.name)[1].lower() in IMAGES and item.name[0] != "." and item.is_file()
        )
    if not names:
        raise InputError(f"{folder}: the folder holds no image ({', '.join(sorted(IMAGES))}); expected numbered frames")
    if len(names) == 1 and names[0].lower().endswith((".tif", ".tiff")) and cv2.imcount(str(folder / names[0])) > 1:
        raise InputError(f"{folder / names[0]}: one file of several pages; expected an image for every frame; split it")
    return names


def _one_series(folder: Path, names: list[str]) -> None:
    unnumbered = next((name for name in names if not re.search(r"\d", Path(name).stem)), None)
    if unnumbered is not None:
        raise InputError(f"{folder}: {unnumbered} has no number; frames are ordered by it, e.g. img001.jpg; remove it")
    series: dict[tuple[str, str], str] = {}
    for name in names:
        stem, ending = os.path.splitext(name)
        ending = ENDINGS.get(ending.lower(), ending.lower())
        series.setdefault((re.sub(r"\d+", "#", stem).casefold(), ending), name)
    if len(series) > 1:
        first, second = list(series.values())[:2]
        raise InputError(
            f"{folder}: {first} and {second} are of two series; expected the frames of one camera, numbered, with one"
            " ending; move one series to a folder of its own"
        )


def _ordering_field(folder: Path, names: list[str], fields: NDArray) -> int:
    """Return which number of the names orders the images: the one that changes, see the module."""
    changing = [column for column in range(fields.shape[1]) if len(set(fields[:, column])) > 1]
    if len(changing) <= 1:
        chosen = changing[0] if changing else fields.shape[1] - 1
        if changing and _fractions(names, chosen):
            raise InputError(_ambiguous(folder, names, "fractions of seconds"))
        return chosen
    fitting = [column for column in changing if _orders_all(fields, column, changing)]
    if not fitting:
        raise InputError(_ambiguous(folder, names, "two cameras, two takes, or clock times"))
    return min(fitting, key=lambda column: max(fields[:, column]) - min(fields[:, column]))


def _orders_all(fields: NDArray, column: int, changing: list[int]) -> bool:
    """Return whether the numbers of ``column`` are all different, and no other changing number falls while they rise."""
    if len(set(fields[:, column])) < len(fields):
        return False
    ordered = fields[np.argsort(fields[:, column].astype(float), kind="stable")]
    return all((np.diff(ordered[:, other]) >= 0).all() for other in changing)


def _fractions(names: list[str], column: int) -> bool:
    """Return whether the number is what follows the point of numbers such as 0.5 and 0.25, of different lengths."""
    found = [list(re.finditer(r"\d+", Path(name).stem))[column] for name in names]
    after_point = all(
        re.search(r"\d[.,]$", Path(name).stem[: match.start()]) for name, match in zip(names, found, strict=True)
    )
    return after_point and len({len(match[0]) for match in found}) > 1


def _ambiguous(folder: Path, names: list[str], what: str) -> str:
    few = ", ".join([names[0], names[1], names[-1]])
    return (
        f"{folder}: the order of its images is ambiguous ({few}: {what}?); expected one number that counts the frames;"
        " rename them, or move each series to a folder of its own"
    )
