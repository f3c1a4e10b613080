"""Small pictures of the face at labelled apexes and at false positives, for the report.

They show people. The report asks for them only where its configuration says so, or for the rendered demo.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pfes.base import store
from pfes.base.errors import InputError
from pfes.faces import align
from pfes.media import decode

QUALITY = 72  # of JPEG, 0 to 100


def thumbnails(
    wanted: Mapping[str, Sequence[Mapping[str, Any]]],
    recordings: Mapping[str, Path],
    faces: Mapping[str, Path],
    *,
    limit: int,
    size: int,
) -> dict[str, list[dict[str, Any]]]:
    """Cut the face out of recordings at given frames.

    Parameters
    ----------
    wanted : video_id -> pictures to make, each with its sampled ``frame`` and whatever else is to be kept with it;
        videos first in the order are served first
    recordings, faces : video_id -> recording (video file or folder of frames), file of kind ``faces``
    limit : greatest number of pictures in all; a video gets all of its pictures or those up to the limit
    size : side of a picture, px

    Returns
    -------
    dict
        video_id -> the pictures in order of their frame, each with ``src``, a JPEG as a data URL. A recording that is
        no longer there, or a frame that cannot be read, has no picture.
    """
    made: dict[str, list[dict[str, Any]]] = {}
    for video_id, pictures in wanted.items():
        chosen = sorted(pictures, key=lambda picture: picture["frame"])[: max(0, limit)]
        limit -= len(chosen)
        if chosen and video_id in recordings and Path(recordings[video_id]).exists():
            made[video_id] = _of_video(chosen, recordings[video_id], store.read(faces[video_id], "faces"), size)
    return made


def _of_video(
    pictures: Iterable[Mapping[str, Any]], recording: Path, faces: Mapping[str, Any], size: int
) -> list[dict[str, Any]]:
    boxes = align.crop_boxes(align.stabilise(faces["landmarks"]))
    last = len(boxes) - 1
    by_native: dict[int, list[Mapping[str, Any]]] = {}
    for picture in pictures:
        by_native.setdefault(int(faces["native_frame"][min(picture["frame"], last)]), []).append(picture)
    made = []
    try:
        for native, image in decode.read_at(recording, sorted(by_native)):
            if image is not None:
                made += [
                    {**picture, "src": _jpeg(align.crop(image, boxes[min(picture["frame"], last)], size))}
                    for picture in by_native[native]
                ]
    except InputError:
        return []
    return made


def _jpeg(image: np.ndarray) -> str:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
