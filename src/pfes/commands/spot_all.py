"""Spot many recordings of one's own: a folder each, one table of events for all.

``{out}/{name}/`` holds what ``spot`` writes of a recording and its log, ``{out}/events.csv`` the proposals of all that are
done, now or before. A single video goes to ``{out}`` itself.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pfes.base import store
from pfes.base.errors import InputError
from pfes.commands.extract import STAGES
from pfes.commands.jobs import Outcome, by_name, distinct, each
from pfes.commands.spot import PROPOSALS, WITHOUT_MODEL, Wanted, model_paths, spot
from pfes.datasets.generic import read_videos
from pfes.media import decode
from pfes.media.images import IMAGES
from pfes.training.model import load_model

EVENTS = "events.csv"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """One recording: the file or folder, its native frames per second (0: what it says) and the folder of its results."""

    path: str
    fps: float
    out: Path


def asked(given: Sequence[Path], out: Path, fps: float = 0.0) -> dict[str, Asked]:
    """Return name -> recording for files, folders of numbered images, folders of videos, and sheets (datasets.generic).

    Raises
    ------
    InputError
        A sheet is wrong, a folder holds nothing, or two recordings have one name.
    """
    if len(given) == 1 and _is_recording(given[0]):
        return {by_name_of(given[0]): Asked(str(given[0]), fps, out)}
    found: list[tuple[str, str, float]] = []
    for path in given:
        if _is_recording(path):
            found.append((by_name_of(path), str(path), fps))
        elif path.is_dir():
            found += [(name, one, fps) for name, one in by_name([video.path for video in read_videos(path)]).items()]
        else:
            found += [(video.video_id, video.path, video.fps or fps) for video in read_videos(path)]
    rates = {name: rate for name, _, rate in reversed(found)}  # of a recording that is given twice the first
    named = distinct((name, recording) for name, recording, _ in found)
    return {name: Asked(recording, rates[name], out / name) for name, recording in named.items()}


def by_name_of(path: Path) -> str:
    """Return the name of one recording."""
    return next(iter(by_name([str(path)])))


def spot_all(
    recordings: Mapping[str, Asked], wanted: Wanted, *, jobs: int = 1, overwrite: bool = False, talk: bool = True
) -> Iterator[Outcome]:
    """Spot all recordings, ``jobs`` at a time, and yield each outcome as it ends; those that are done are not done again.

    ``talk``: of a single recording, say on the terminal which stage begins. With fewer recordings than jobs each uses several cores. Raises InputError for a neutral stretch of several recordings.
    """
    if wanted.neutral is not None and len(recordings) > 1:
        raise InputError(
            "--neutral is a stretch of one recording; set the threshold on that one, and give it to the others of that person"
            " with --threshold (its calibration.json says it)"
        )
    todo = {name: one for name, one in recordings.items() if overwrite or not (one.out / PROPOSALS).exists()}
    for name, one in recordings.items():
        if name not in todo:
            yield Outcome(one.path, name, _there_already(one))
    _check_model(wanted)
    for name in list(todo):
        problem = _unreadable(todo[name].path)
        if problem is not None:
            gone = todo.pop(name)
            (gone.out / PROPOSALS).unlink(missing_ok=True)  # an old result is not that of this file
            yield Outcome(gone.path, name, problem)
    if not todo:
        return
    together = min(jobs, len(todo))
    tasks = {name: (one.path, one.out, wanted, one.fps, jobs // together) for name, one in todo.items()}
    level = (logging.INFO if talk else logging.WARNING) if len(recordings) == 1 else logging.CRITICAL
    yield from each(_spot, tasks, {name: one.out / "spot.log" for name, one in todo.items()}, together, level)


def collect_events(recordings: Mapping[str, Asked], out: Path) -> pd.DataFrame:
    """Write ``events.csv``, the proposals of all recordings that are done, and return them; column ``recording`` first."""
    tables = []
    for name, one in recordings.items():
        if (one.out / PROPOSALS).exists():
            table = pd.read_csv(one.out / PROPOSALS).drop(columns="video_id")
            table.insert(0, "recording", name)
            tables.append(table)
    full = [table for table in tables if len(table)] or tables[:1]
    events = pd.concat(full, ignore_index=True) if full else pd.DataFrame()
    store.write_csv(out / EVENTS, events)
    return events


def _there_already(one: Asked) -> str:
    """Say whose results are in the folder of a recording."""
    try:
        sources = store.describe(one.out / "faces.h5")["provenance"]["sources"]
    except InputError:  # no such file, or damaged
        sources = {}
    other = next((name for name in sources if Path(name).name != Path(one.path).name), None)
    if other is not None:
        return f"{one.out} holds the results of another recording, {other}; choose another folder with --out"
    return f"{one.out / PROPOSALS} is there already; replace it with --overwrite"


def _check_model(wanted: Wanted) -> None:
    """Raise InputError where the model cannot be used, before any recording is looked at."""
    if str(wanted.model) in WITHOUT_MODEL:
        return
    path = model_paths(Path(wanted.model), wanted.experiment)[0]
    _, meta = load_model(path)
    videos = [parent / "dataset/videos.parquet" for parent in path.resolve().parents[4:5]]
    made_from = {name for table in videos if table.is_file() for name in store.read_table(table, "videos")["dataset"]}
    people = f"{len(meta['train_subjects'])} subjects"
    if not meta["train_subjects"]:
        log.warning("%s was trained on made motion and has seen no person: expect it to miss much", wanted.model)
    elif "demo" in made_from:
        log.warning(
            "%s was trained on the rendered demo: what it finds on a person shows that the recording is read, and no more",
            wanted.model,
        )
    else:
        log.warning(
            "%s was trained on %s%s: on other people, cameras and light expect other figures than its report has",
            wanted.model, people, f" of {', '.join(sorted(made_from))}" if made_from else "",
        )  # fmt: skip


def _unreadable(path: str) -> str | None:
    """Return why nothing can be decoded at ``path``, before a folder is made for its results; None where something can."""
    try:
        decode.check_recording(path)
        next(decode.glances(path, 1), None)
    except InputError as error:
        return str(error)
    return None


def _spot(path: str, out: Path, wanted: Wanted, fps: float, cores: int) -> None:
    (out / PROPOSALS).unlink(missing_ok=True)
    try:
        spot(path, out, wanted, fps=fps, cores=cores)
    except InputError:
        for stage in (*STAGES, "displacement"):  # files that hold nothing but the reason
            if (out / f"{stage}.h5").exists() and store.refusal(out / f"{stage}.h5", stage) is not None:
                (out / f"{stage}.h5").unlink()
        raise


def _is_recording(path: Path) -> bool:
    """Return whether a path is one recording: a folder of images, or a file that is no sheet."""
    if path.is_dir():
        return any(child.suffix.lower() in IMAGES for child in path.iterdir())
    return path.suffix.lower() not in (".csv", ".parquet")
