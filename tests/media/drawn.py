"""Recordings whose frames show their own number, written by the tests: to see which frame was read."""

from fractions import Fraction

import av
import numpy as np

BITS, BLOCK = 10, 16  # of the number; px of a block


def picture(number, size=(160, 96)):
    """Draw ``number`` as two rows of white and black blocks, and its complement below, [H, W, 3] BGR."""
    width, height = size
    image = np.full((height, width, 3), 110, np.uint8)
    for bit in range(BITS):
        level = 235 if number >> bit & 1 else 20
        image[8 : 8 + BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = level
        image[32 : 32 + BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 - level
    return image


def number(image):
    """Read the number that ``picture`` drew; -1 where the picture is not upright or not whole."""
    if image.shape[:2] != (96, 160):
        return -1
    grey = image.mean(-1)
    above, below = (
        [grey[row + 5 : row + 11, bit * BLOCK + 5 : bit * BLOCK + 11].mean() for bit in range(BITS)] for row in (8, 32)
    )
    bits = [first > second for first, second in zip(above, below, strict=True)]
    clear = min(abs(first - second) for first, second in zip(above, below, strict=True)) > 60
    return sum(1 << bit for bit, on in enumerate(bits) if on) if clear else -1


def write(path, times, *, codec="libx264", pix_fmt="yuv420p", first=0, turn=None, format=None, options=None, **stream_options):
    """Write a video whose frame i shows ``first + i`` at ``times[i]`` s; ``turn`` is applied to every picture."""
    ticks = Fraction(1, 90_000)
    with av.open(str(path), "w", format=format, options=options or {}) as file:
        rate = stream_options.pop("rate", 30)
        aspect = stream_options.pop("aspect", None)
        stream = file.add_stream(codec, rate=rate, options=stream_options)
        shown = [picture(first + i) if turn is None else turn(picture(first + i)) for i in range(len(times))]
        stream.height, stream.width = shown[0].shape[:2]
        stream.pix_fmt = pix_fmt
        fixed = path.suffix in {".avi", ".gif"}
        stream.codec_context.time_base = Fraction(1, rate) if fixed else ticks
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for time, image in zip(times, shown, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format=pix_fmt)
            frame.time_base = stream.codec_context.time_base
            frame.pts = round(time / frame.time_base)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path
