"""The windows of a recording, one after the other, cropped for the optical flow (METHOD 5, step 1).

Conventions
-----------
The window of frame t is t-8 .. t+8; beyond the ends the first or last frame repeats. Its first frame is the reference.
All of it is cropped with the reference's box, which follows the nose by whole px of the recording: the *shift* of a
frame. Frames stream: 17 of them are held at a time, and each crop is made once for all windows that want the same one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pfes.base.errors import InputError
from pfes.base.records import HALF
from pfes.faces import align
from pfes.faces.align import NOSE, ROIS
from pfes.faces.landmarks import Points
from pfes.media import decode

TIP = 30  # landmark that starts the shift, the tip of the nose

Grey = NDArray[np.uint8]
Flow = NDArray[np.float32]


@dataclass(frozen=True)
class Placement:
    """Where the crops of T frames lie, and which of their windows are wanted.

    Attributes
    ----------
    landmarks, boxes
        float32 [T, 68, 2] without NaN at wanted windows, and the crop box [T, 3] of each frame; px of the recording.
    native
        int64 [T], native frame behind each; where it is the reference's, flow is zero without computing.
    wanted
        bool [T]; other windows are zero without computing.
    size
        side S of the crop, px.
    """

    landmarks: Points
    boxes: align.Boxes
    native: NDArray[np.int64]
    wanted: NDArray[np.bool_]
    size: int


class Window:
    """One window on its way from crops to the flow [17, R, 2] at the ROIs.

    Attributes
    ----------
    others
        the frames whose flow is still to be measured.
    crops
        uint8 [1 + n, S, S], the reference's crop and that of each of ``others``.
    """

    def __init__(self, frame: int, place: Placement, images: "_Images") -> None:
        n_frames = len(place.boxes)
        self.frame = frame
        self.members = np.clip(np.arange(frame - HALF, frame + HALF + 1), 0, n_frames - 1).tolist()
        reference = self.members[0]
        distinct = dict.fromkeys(self.members) if place.wanted[frame] else {}
        self.others = [j for j in distinct if place.native[j] != place.native[reference]]
        self._found: dict[int, Flow] = {}
        if not self.others:
            return
        self._box, self._size = place.boxes[reference], place.size
        self._scale = place.size / self._box[2]  # crop px per px of the recording
        self.rois = align.roi_boxes(place.landmarks[reference], self._box, place.size)
        nose = place.landmarks[:, TIP]
        self._shifts = {j: np.rint(nose[j] - nose[reference]).astype(np.int64) for j in self.others}
        self._images = {j: images[j] for j in self.others}
        fixed = images.crop(reference, self._box)
        self.crops = np.stack([fixed, *(images.crop(j, self._shifted(j)) for j in self.others)])

    def measured(self, means: Iterable[Flow], *, last: bool) -> bool:
        """Take the ROI means [R, 2] of ``others``; return whether some are to be measured again, their crops shifted.

        That is so where the nose still moved by more than 1 px of the crop, unless this was the ``last`` time.
        """
        moved = []
        for j, mean in zip(self.others, means, strict=True):
            self._found[j] = mean + (self._shifts[j] * self._scale).astype(np.float32)
            correction = np.rint(mean[NOSE] / self._scale).astype(np.int64)
            if np.abs(mean[NOSE]).max() > 1 and correction.any():
                self._shifts[j] = self._shifts[j] + correction
                moved.append(j)
        self.others = [] if last else moved
        if self.others:
            shifted = [align.crop(self._images[j], self._shifted(j), self._size) for j in moved]
            self.crops = np.stack([self.crops[0], *shifted])
        return bool(self.others)

    def flow(self) -> Flow:
        """Return what was measured, [17, R, 2] in crop px, zero for the reference and where nothing was wanted."""
        still = np.zeros((len(ROIS), 2), np.float32)
        return np.stack([self._found.get(j, still) for j in self.members])

    def _shifted(self, j: int) -> NDArray[np.int64]:
        return self._box + np.array([*self._shifts[j], 0])


def windows(frames: Iterable[decode.Frame | None], place: Placement) -> Iterator[Window]:
    """Yield the window of every frame of a stream of T frames; an unreadable frame shows the one before.

    Raises
    ------
    InputError
        The first frame cannot be read, or there are fewer frames than places.
    """
    n_frames = len(place.boxes)
    images = _Images(place.size)
    t = 0
    for index, frame in enumerate(frames):
        images.add(index, frame)
        while t < n_frames and index == min(t + HALF, n_frames - 1):
            yield Window(t, place, images)
            t += 1
            images.drop(t - HALF - 1)
    if t < n_frames:
        raise InputError(
            f"the recording ended before frame {min(t + HALF, n_frames - 1)}, expected {n_frames} sampled frames; "
            "did it change since its faces were found? delete its file of faces and rerun"
        )


class _Images(dict[int, Grey]):
    """The grey images of the frames in sight, by index, and the crops that were made of them."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._crops: dict[int, dict[bytes, Grey]] = {}

    def add(self, index: int, frame: decode.Frame | None) -> None:
        if frame is None and index == 0:
            raise InputError("the first frame of the recording cannot be read; remove it or replace it")
        grey = self[index - 1] if frame is None else np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
        self[index], self._crops[index] = grey, {}

    def drop(self, index: int) -> None:
        self.pop(index, None)
        self._crops.pop(index, None)

    def crop(self, index: int, box: NDArray[np.int64]) -> Grey:
        made, key = self._crops[index], box.tobytes()
        if key not in made:
            made[key] = align.crop(self[index], box, self._size)
        return made[key]
