"""The pictures of one recording, frame by frame as our decoder gives them, as JPEG for a page.

Frame n is native frame n. Frames in a row are decoded in one go; a leap enters the file anew (``decode.read_frames``).
"""

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from pfes.base.errors import InputError
from pfes.media import decode

TALLEST = 720  # px; higher pictures are scaled down
QUALITY = 88
KEPT = 900  # pictures in memory, some 40 kB each
NEAR = 30  # frames that are decoded rather than leapt over


class Pictures:
    """JPEG pictures of a recording of ``n_frames`` frames; safe to be asked from several threads."""

    def __init__(self, path: Path | str, n_frames: int) -> None:
        self.path, self.n_frames = path, n_frames
        self._lock = Lock()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._following: Iterator[decode.Frame | None] = iter(())
        self._place = -NEAR - 1  # frame that comes next

    def jpeg(self, frame: int) -> bytes:
        """Return frame ``frame``; raises InputError where there is none, or it cannot be read."""
        if not 0 <= frame < self.n_frames:
            raise InputError(f"{self.path}: no frame {frame}, expected 0 to {self.n_frames - 1}")
        with self._lock:
            if frame not in self._kept:
                self._decode(frame)
            self._kept.move_to_end(frame)
            return self._kept[frame]

    def _decode(self, frame: int) -> None:
        if not self._place <= frame <= self._place + NEAR:
            self._following, self._place = iter(decode.read_frames(self.path, frame)), frame
        while self._place <= frame:
            picture = next(self._following, None)
            self._kept[self._place] = _encoded(picture)
            self._place += 1
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)


def _encoded(picture: decode.Frame | None) -> bytes:
    """Return a picture as JPEG; a grey one for a frame that cannot be read."""
    if picture is None:
        picture = np.full((120, 160, 3), 128, np.uint8)
    share = min(1.0, TALLEST / picture.shape[0])
    if share < 1:
        size = round(picture.shape[1] * share), TALLEST
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
