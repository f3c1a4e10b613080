"""One short video per event, cut out of a recording frame by frame."""

from itertools import islice
from pathlib import Path

import pandas as pd

from pfes.base.errors import InputError
from pfes.base.records import file_name
from pfes.media import decode
from pfes.media.encode import encode

NATIVE = ("native_onset", "native_offset")


def write_clips(recording: Path, proposals: Path, out: Path, *, margin_s: float = 0.5, fps: float = 0.0) -> list[Path]:
    """Write ``{number}_{class}_{onset}-{offset}.mp4`` for each event of the recording and return the files, by onset.

    Parameters
    ----------
    proposals : folder of ``pfes spot``, or a table with class, native_onset and native_offset (proposals) or onset and
        offset (events); of a table with a column ``video_id`` or ``video`` the rows of this recording.
    margin_s : what is shown before and after.

    Raises
    ------
    InputError
        No such table, or an event beyond the recording.
    """
    clock, length = decode.recording_clock(recording, fps), decode.count_frames(recording)
    margin, written = round(margin_s * clock.fps), []
    for number, (kind, onset, offset) in enumerate(_events(proposals, recording), start=1):
        if offset >= length:
            raise InputError(
                f"{proposals}: an event ends at frame {offset}, but {recording} has {length} frames; is it its table?"
            )
        first = max(0, onset - margin)
        frames = islice(decode.read_frames(recording, first), min(length, offset + margin + 1) - first)
        written.append(out / f"{number:03d}_{kind}_{onset}-{offset}.mp4")
        encode(written[-1], (frame for frame in frames if frame is not None), clock.fps)
    return written


def _events(place: Path, recording: Path) -> list[tuple[str, int, int]]:
    path = place / "proposals.csv" if place.is_dir() else place
    if not path.is_file():
        raise InputError(f"{path}: no such table; expected proposals of pfes spot or of a run, or events")
    table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    columns = NATIVE if set(NATIVE) <= set(table) else ("onset", "offset")
    missing = [name for name in ("class", *columns) if name not in table]
    if missing:
        raise InputError(f"{path}: no column {missing[0]}; expected class, onset and offset in native frames")
    stem = recording.name if recording.is_dir() else recording.stem
    for column in ("video_id", "video"):
        if column in table:
            names = (stem, file_name(stem))
            table = table[[str(name) in names or str(name).endswith(f"_{names[1]}") for name in table[column]]]
            break
    rows = table.sort_values(list(columns))[["class", *columns]]
    return [(str(kind), int(onset), int(offset)) for kind, onset, offset in rows.to_numpy().tolist()]
