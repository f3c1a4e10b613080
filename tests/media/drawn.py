"""Recordings whose frames show their own number, written by the tests: to see which frame was read."""

from fractions import Fraction

import av
import numpy as np

BITS, BLOCK = 10, 16  # of the number; px of a block
SHAPE = (96, 160)


def picture(number):
    """Draw ``number`` as a row of white and black blocks, and its complement below, [H, W, 3] BGR."""
    image = np.full((*SHAPE, 3), 110, np.uint8)
    for bit in range(BITS):
        level = 235 if number >> bit & 1 else 20
        image[8 : 8 + BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = level
        image[32 : 32 + BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 - level
    return image


def number(image):
    """Read the number that ``picture`` drew; -1 where the picture is not upright or not whole."""
    if image is None or image.shape[:2] != SHAPE:
        return -1
    grey = image.mean(-1)
    above, below = (
        np.array([grey[row + 5 : row + 11, bit * BLOCK + 5 : bit * BLOCK + 11].mean() for bit in range(BITS)])
        for row in (8, 32)
    )
    clear = np.abs(above - below).min() > 60
    return int(sum(1 << bit for bit in np.flatnonzero(above > below).tolist())) if clear else -1


def write(
    path, times, *, codec="libx264", pix_fmt="yuv420p", format=None, rate=30, aspect=None, first=0, show=picture, **options
):  # fmt: skip
    """Write a video whose frame i shows ``show(first + i)`` at ``times[i]`` s; ``options`` are the encoder's."""
    shown = [show(first + i) for i in range(len(times))]
    with av.open(str(path), "w", format=format) as file:
        stream = file.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width = shown[0].shape[:2]
        stream.pix_fmt = pix_fmt
        places = path.suffix in {".avi", ".gif"} or codec == "mpeg2video"  # these count frames, not ticks
        stream.codec_context.time_base = Fraction(1, rate) if places else Fraction(1, 90_000)
        if aspect:
            stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        for time, image in zip(times, shown, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=pix_fmt)
            frame.time_base = stream.codec_context.time_base
            frame.pts = round(time / frame.time_base)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def set_matrix(path, a, b, c, d):
    """Write a display matrix into an mp4: a player shows the stored point (x, y) at (a x + c y, b x + d y)."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    for index, value in enumerate((a, b, 0, c, d, 0, 0, 0, 0x4000)):
        content[place + 4 * index : place + 4 * index + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(content)
    return path


def stored(image, a, b, c, d):
    """Return how ``image`` must be stored so that the display matrix makes it upright again."""
    flips = (b, c) if a == 0 else (d, a)  # of rows and columns of what is shown
    upright = image[:: flips[0], :: flips[1]]
    return np.ascontiguousarray(upright.transpose(1, 0, 2) if a == 0 else upright)
