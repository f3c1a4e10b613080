"""The end of a run: what it found, and what it had to leave out."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pfes.base import store
from pfes.base.errors import InputError


def write_complete(
    videos_path: Path | str, refusals_path: Path | str, files: Mapping[str, Path | str], kind: str, out: Path | str
) -> None:
    """Write one line that says that nothing was left out of a run.

    ``files`` maps video_id to the file, of ``kind``, of the last stage that may refuse a video.

    Raises
    ------
    InputError
        Videos or labels were refused; the message lists each with its reason. Everything else of the run is there.
    """
    videos = store.read_table(videos_path, "videos")
    refused = left_out(videos, store.read_table(refusals_path, "refusals"), files, kind)
    if refused:
        listing = "\n  ".join(refused)
        raise InputError(
            f"the run is complete but for {len(refused)} videos or labels, which were left out:\n  {listing}"
        )
    with store.atomic(out) as temporary:
        temporary.write_text(f"{len(videos)} videos, none left out\n")


def left_out(videos: pd.DataFrame, refusals: pd.DataFrame, files: Mapping[str, Path | str], kind: str) -> list[str]:
    """Return a line for every video whose file of ``kind`` is a refusal, and for every refused label."""
    lines = []
    for video_id in videos["video_id"]:
        reason = store.refusal(files[video_id], kind)
        lines += [] if reason is None else [f"video {video_id}: {reason}"]
    return lines + [
        f"label in row {row}: {reason}" for row, reason in zip(refusals["row"], refusals["reason"], strict=True)
    ]
