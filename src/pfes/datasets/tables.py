"""Write a release as tables: count the frames of every recording, find the labels in them, sample.

Differences from a label sheet
------------------------------
Where labels count in the numbers of images (``Release.by_file_number``) the native frame of a label is the rank of its
number among the files present. A number without a file takes the next present one, an offset beyond the last frame the
last one, and an apex that then lies outside the midpoint; each is a repair. An onset beyond the last frame is refused, and
so is any label beyond it in other datasets.

Labels that count frames count those that are there. Where time is missing before a label (images that are not there, a
gap, places of a video that hold no frame), a note says how many frame times: they may have been counted otherwise.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.base.records import CLICK_COLUMNS, EXPRESSION_COLUMNS, NEUTRAL_COLUMNS, VIDEO_COLUMNS, Video
from pfes.datasets.release import (
    BAD_BLINK,
    BLINK_COLUMNS,
    REFUSAL_COLUMNS,
    REPAIR_COLUMNS,
    Release,
    joined,
    records,
    table,
)
from pfes.media import decode

FRAMES = ("native_onset", "native_apex", "native_offset")
Rows = list[tuple[Any, ...]]


def write_dataset(
    release: Release, folder: Path | str, sampling: decode.SamplingParameters, settings: Mapping[str, Any]
) -> None:
    """Count the frames of every video and write the tables (Parquet) to ``folder``.

    Tables: videos, expressions, clicks, neutral, repairs, refusals.

    A video that cannot be decoded keeps its row with the reason in ``refused``; so do its expressions, which then
    count as missed. Where only labels were read (a video's ``path`` is empty), frames stay uncounted. Blinks are
    written where the release has them.
    """
    counted = [_video_row(video, sampling) for video in release.videos]
    videos = pd.DataFrame([row for row, _ in counted], columns=list(VIDEO_COLUMNS))
    clocks = {row["video_id"]: clock for row, clock in counted}
    repairs: Rows = []
    refusals: Rows = []
    timed = {name: _timed(getattr(release, name), clocks) for name in ("expressions", "clicks", "neutral")}
    located = _located(release, timed["expressions"], videos, repairs, refusals)
    if not release.by_file_number:
        repairs += _lost_before(located, clocks)
    expressions = _sampled(located, videos, clocks, sampling)
    found = {
        name: _sampled(_inside(release, timed[name], videos, refusals), videos, clocks, sampling)
        for name in ("clicks", "neutral")
    }
    clicks = [name for name in ("point",) if name in expressions]
    tables = {"videos": videos, "expressions": expressions[[*EXPRESSION_COLUMNS, *clicks]]}
    tables |= {"clicks": found["clicks"][list(CLICK_COLUMNS)], "neutral": found["neutral"][list(NEUTRAL_COLUMNS)]}
    if release.blinks is not None:
        unusable: Rows = []
        tables["blinks"] = _located(release, release.blinks, videos, repairs, unusable, "blink: ")[list(BLINK_COLUMNS)]
        repairs += [(row, video_id, "row", reason, "left out", BAD_BLINK) for row, video_id, reason in unusable]
    tables["repairs"] = joined(release.repairs, table(repairs, REPAIR_COLUMNS))
    tables["refusals"] = joined(release.refusals, table(refusals, REFUSAL_COLUMNS))
    for kind, rows in tables.items():
        path = Path(folder) / f"{kind}.parquet"
        store.write_table(path, kind, rows, provenance.record("dataset", settings, release.sources))


def _video_row(video: Video, sampling: decode.SamplingParameters) -> tuple[dict[str, Any], decode.Clock]:
    """Return the row of a video and its clock; of one that cannot be decoded, what is known."""
    row: dict[str, Any] = {name: getattr(video, name) for name in ("dataset", "subject", "video", "video_id", "path")}
    clock, n_native, reason = decode.Clock(video.fps or sampling.fps), 0, None
    if video.path:
        try:
            if Path(video.path).suffix == ".h5":  # imported features: a frame is a sampled frame
                clock, n_native = decode.Clock(video.fps), len(store.read(video.path, "snippets")["valid"])
            else:
                clock = decode.recording_clock(video.path, video.fps, ranked=video.ranked)
                n_native = decode.count_frames(video.path)
        except InputError as error:
            reason = str(error)
    n_frames = len(decode.sampling_map(clock, n_native, sampling)) if n_native else 0
    row |= {"fps": clock.fps if n_native else video.fps, "n_native": n_native, "n_frames": n_frames}
    return {**row, "sampled_fps": clock.sampled_fps(sampling), "refused": reason}, clock


def _located(
    release: Release, labels: pd.DataFrame, videos: pd.DataFrame, repairs: Rows, refusals: Rows, prefix: str = ""
) -> pd.DataFrame:
    """Return the labels with frames of the recordings; repairs and refusals are added to the lists."""
    n_native = dict(zip(videos["video_id"], videos["n_native"], strict=True))
    paths = dict(zip(videos["video_id"], videos["path"], strict=True))
    numbers: dict[str, NDArray[np.int64]] = {}
    frames, keep = [], []
    for label in records(labels):
        video_id, problem = label["video_id"], ""
        found = [int(label[name]) for name in FRAMES]
        fixes: Rows = []
        if not n_native.get(video_id):
            pass  # not on disk: the numbers stay as they are
        elif release.by_file_number:
            if video_id not in numbers:
                numbers[video_id] = _numbers(Path(paths[video_id]), n_native[video_id], release.first_frame)
            found, fixes, problem = _ranked(found, numbers[video_id], release.first_frame)
        elif found[2] >= n_native[video_id]:
            last = n_native[video_id] - 1 + release.first_frame
            problem = f"offset {found[2] + release.first_frame} lies beyond the last frame {last}"
        frames.append(found)
        keep.append(not problem)
        repairs += [(label["row"], video_id, *fix[:3], prefix + fix[3]) for fix in fixes if not problem]
        refusals += [(label["row"], video_id, f"{prefix}{problem} of {video_id}")] if problem else []
    located = np.asarray(frames, np.int64).reshape(-1, len(FRAMES))
    labels = labels.assign(**dict(zip(FRAMES, located.T, strict=True)))
    if "native_point" in labels:
        labels["native_point"] = _clicks(labels, numbers, release.first_frame)
    return labels[np.asarray(keep, bool)]


def _timed(labels: pd.DataFrame, clocks: Mapping[str, decode.Clock]) -> pd.DataFrame:
    """Return labels whose seconds have become the native frames nearest to them."""
    columns = [name for name in labels if str(name).endswith("_s")]
    frames = {}
    for column in columns:
        native = f"native_{str(column).removesuffix('_s')}"
        found = [
            frame if np.isnan(second) else int(clocks[video_id].frames(np.array([second]))[0])
            for video_id, frame, second in zip(labels["video_id"], labels[native], labels[column], strict=True)
        ]
        frames[native] = pd.Series(found, labels.index, labels[native].dtype)
    return labels.drop(columns=columns).assign(**frames)


def _inside(release: Release, labels: pd.DataFrame, videos: pd.DataFrame, refusals: Rows) -> pd.DataFrame:
    """Return clicks or neutral stretches with frames of the recordings; one beyond the end, or a second click, is refused."""
    n_native = dict(zip(videos["video_id"], videos["n_native"], strict=True))
    paths = dict(zip(videos["video_id"], videos["path"], strict=True))
    columns = [str(name) for name in labels if str(name).startswith("native_")]
    seen: dict[tuple[Any, ...], int] = {}
    kept = []
    for label in records(labels):
        video_id, last, problem = label["video_id"], max(label[name] for name in columns), ""
        if n_native.get(video_id):
            numbers = _numbers(Path(paths[video_id]), n_native[video_id], release.first_frame)
            if release.by_file_number:
                wanted = {name: label[name] + release.first_frame for name in columns}
                label |= {name: int(np.searchsorted(numbers, number)) for name, number in wanted.items()}
                last = max(label[name] for name in columns)
            if last >= n_native[video_id]:
                what = "click" if "native_frame" in label else "neutral stretch"
                problem = f"{what} lies beyond the last frame {numbers[-1]} of {video_id}"
        if "native_frame" in label and not problem:
            first = seen.setdefault((video_id, label["class"], label["native_frame"]), label["row"])
            problem = "" if first == label["row"] else f"a second {label['class']} click on the frame of row {first}"
        refusals += [(label["row"], video_id, problem)] if problem else []
        kept += [] if problem else [label]
    return pd.DataFrame(kept, columns=labels.columns) if kept else labels.iloc[:0]


def _lost_before(labels: pd.DataFrame, clocks: Mapping[str, decode.Clock]) -> Iterator[tuple[Any, ...]]:
    """Yield a note on every label that counts frames and has time without frames before it."""
    for label in records(labels):
        if lost := clocks[label["video_id"]].lost_before(int(label["native_onset"])):
            found = f"{lost} frame times without a frame before it"
            yield label["row"], label["video_id"], "row", found, "kept", "counted as frames that are there, not as time"


def _clicks(labels: pd.DataFrame, numbers: Mapping[str, NDArray[np.int64]], first: int) -> pd.Series:
    """Return the clicks of an annotator; those in videos with ``numbers`` become ranks among them, at most the offset."""
    clicks = []
    for video_id, click, offset in labels[["video_id", "native_point", "native_offset"]].itertuples(index=False):
        if video_id in numbers and not pd.isna(click):
            click = min(int(np.searchsorted(numbers[video_id], click + first)), offset)
        clicks.append(click)
    return pd.Series(clicks, labels.index, "Int64")


def _numbers(path: Path, n_native: int, first: int) -> NDArray[np.int64]:
    """Return the number that the release gives to each native frame."""
    return decode.image_numbers(path) if path.is_dir() else np.arange(first, first + n_native)


def _ranked(frames: list[int], numbers: NDArray[np.int64], first: int) -> tuple[list[int], Rows, str]:
    """Return the native frames of onset, apex and offset, repairs (column, found, value, rule) and a problem or ""."""
    wanted = [frame + first for frame in frames]
    ranks = [int(rank) for rank in np.searchsorted(numbers, wanted)]
    last = len(numbers) - 1
    if ranks[0] > last:
        return ranks, [], f"onset {wanted[0]} lies beyond the last frame {numbers[-1]}"
    fixes: Rows = [
        (name, number, numbers[rank], "no such frame: the next present one")
        for name, number, rank in zip(("onset", "apex", "offset"), wanted, ranks, strict=True)
        if rank <= last and numbers[rank] != number
    ]
    if ranks[2] > last:
        ranks[2] = last
        fixes.append(("offset", wanted[2], numbers[-1], "offset beyond the last frame: the last one"))
    if ranks[1] > last:
        ranks[1] = (ranks[0] + ranks[2]) // 2
        fixes.append(("apex", wanted[1], numbers[ranks[1]], "apex beyond the last frame: midpoint"))
    return ranks, fixes, ""


def _sampled(
    labels: pd.DataFrame, videos: pd.DataFrame, clocks: Mapping[str, decode.Clock], sampling: decode.SamplingParameters
) -> pd.DataFrame:
    """Add sampled frames to labels in native frames."""
    n_frames = dict(zip(videos["video_id"], videos["n_frames"], strict=True))
    sampled = {
        name.removeprefix("native_"): [
            pd.NA if pd.isna(frame) else int(clocks[video_id].sampled(frame, sampling, n_frames[video_id] or 10**9))
            for video_id, frame in zip(labels["video_id"], labels[name], strict=True)
        ]
        for name in (*FRAMES, "native_point", "native_frame")
        if name in labels
    }
    return labels.assign(
        **{name: pd.array(frames, "Int64" if name == "point" else "int64") for name, frames in sampled.items()}
    )
