"""The label page from the terminal: which recordings, whose sheet, and where the motion and the candidates come from.

Motion is measured by a process of its own while the page is open (stages faces and displacement, ``commands.extract``); its
files lie beside the sheet, in ``<sheet>_motion``, and are found again. Candidates are what ``pfes spot`` finds without a model
(method ``training_free``), or proposals that are given.
"""

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.intervals import runs
from pfes.base.logs import to_file
from pfes.base.names import clean
from pfes.base.records import Video, file_name
from pfes.commands.experiments import of_experiment
from pfes.commands.extract import ExtractParameters, extract
from pfes.datasets import generic
from pfes.datasets.sheets import read_csv
from pfes.decoding.proposals import SpotParameters
from pfes.labelling.app import Candidate, Labelling, Motion
from pfes.labelling.pictures import Pictures
from pfes.labelling.sheet import Sheet, read_rows
from pfes.media import decode
from pfes.methods.registry import training_free
from pfes.methods.training_free.parameters import TrainingFreeParameters
from pfes.spotting.proposal_tables import locate
from pfes.spotting.training_free import read_signals

ORDERS = ("time", "score", "uncertain")
PROPOSED = ("video_id", "class", "native_onset", "native_apex", "native_offset", "score")


def open_labelling(
    recordings: Sequence[Path],
    sheet: Path,
    *,
    proposals: Sequence[Path] = (),
    order: str | None = None,
    beside: Path | None = None,
    fps: float = 0.0,
    experiment: str | None = None,
) -> Labelling:
    """Return what the label page shows, and start to measure motion where it is not yet known.

    Parameters
    ----------
    recordings : videos, folders of images, or one videos sheet.
    proposals : run folders, folders of ``pfes spot``, or tables of proposals, as candidates.
    order : of candidates: time, score (highest first) or uncertain (nearest to the median score first); by default time,
        of given proposals score.
    beside : a second coder's sheet, shown and never changed.

    Raises
    ------
    InputError
        A recording cannot be read, or the sheet cannot be opened.
    """
    order = order or ("score" if proposals else "time")
    if order not in ORDERS:
        raise InputError(f"--order {order}: expected one of {', '.join(ORDERS)}")
    videos = listed_videos(recordings, sheet.parent / "videos.csv", fps)
    clocks = [decode.recording_clock(video.path, video.fps) for video in videos]
    lengths = [decode.count_frames(video.path) for video in videos]
    given = None if not proposals else _given(proposals, experiment)
    motion = Measured(videos, sheet.with_name(f"{sheet.stem}_motion"), order, given)
    other = [] if beside is None else read_rows(beside, videos, clocks, lengths)[1]
    opened = Sheet(sheet, videos, clocks, lengths)
    motion.start()
    pictures = [Pictures(video.path, length) for video, length in zip(videos, lengths, strict=True)]
    return Labelling(videos, [clock.fps for clock in clocks], pictures, opened, other, motion.of)


def listed_videos(recordings: Sequence[Path], listing: Path, fps: float) -> list[Video]:
    """Return the recordings, with the subject and video that ``listing`` gives them; those it lacks are added to it.

    A recording that no sheet names is its own subject, both called as its file.
    """
    if len(recordings) == 1 and recordings[0].suffix in (".csv", ".parquet"):
        return list(generic.read_videos(recordings[0]))
    known = {Path(video.path).resolve(): video for video in generic.read_videos(listing)} if listing.exists() else {}
    found, added = [], []
    for path in map(decode.check_recording, recordings):
        name = clean(path.name if path.is_dir() else path.stem)
        video = known.get(path.resolve())
        if video is None:
            video = Video("generic", name, name, str(path.resolve()), fps)
            added.append({"subject": name, "video": name, "path": video.path, "fps": fps or ""})
        found.append(video)
    owner: dict[str, str] = {}
    for video in (*known.values(), *found):
        if Path(owner.setdefault(video.video_id, video.path)).resolve() != Path(video.path).resolve():
            raise InputError(
                f"{video.path}: {owner[video.video_id]} is called {video.video_id} too; name both in {listing}"
            )
    if added:
        before = read_csv(listing) if listing.exists() else pd.DataFrame()
        with store.atomic(listing) as temporary:
            pd.concat([before, pd.DataFrame(added)], ignore_index=True).to_csv(temporary, index=False)
    return found


@dataclass
class Measured:
    """Motion and candidates of recordings, measured into ``folder`` by a process that ends with this one."""

    videos: Sequence[Video]
    folder: Path
    order: str
    given: pd.DataFrame | None
    process: multiprocessing.process.BaseProcess | None = None

    def start(self) -> None:
        """Start to measure what is not there yet."""
        missing = [video for video in self.videos if not _paths(self.folder, video)["displacement"].exists()]
        if missing:
            context = multiprocessing.get_context("spawn")
            self.process = context.Process(target=measure, args=(missing, self.folder), daemon=True)
            self.process.start()

    def of(self, number: int) -> Motion:
        """Return what is known of recording ``number``."""
        video = self.videos[number]
        paths = _paths(self.folder, video)
        given = None if self.given is None else self.given[self.given["video_id"].isin(_names(video))]
        known = () if given is None else _candidates(given, self.order)
        if not paths["displacement"].exists():
            if self.process is not None and self.process.is_alive():
                return Motion("measuring", candidates=known)
            return Motion("failed", f"see {self.folder / 'logs'}", candidates=known)
        if (reason := store.refusal(paths["displacement"], "displacement")) is not None:
            return Motion("failed", reason, candidates=known)
        return _motion(paths, video, None if given is None else known, self.order)


def measure(videos: Sequence[Video], folder: Path) -> None:
    """Write faces and displacement of recordings to ``folder``; one that cannot be used never stops the others."""
    for video in videos:
        with to_file(folder / "logs" / f"{video.video_id}.log"):
            try:
                extract(video.path, _paths(folder, video), ExtractParameters(), fps=video.fps, last="displacement")
            except InputError:
                continue  # its files say why


def _paths(folder: Path, video: Video) -> dict[str, Path]:
    return {stage: folder / stage / f"{video.video_id}.h5" for stage in ("faces", "displacement")}


def _motion(paths: dict[str, Path], video: Video, known: Sequence[Candidate] | None, order: str) -> Motion:
    method, params = training_free("training_free"), SpotParameters(sections=(TrainingFreeParameters(),))
    signals, native = read_signals("displacement", paths["displacement"], paths["faces"])
    curves = {**method.curves(signals, params), "valid": signals.valid}
    curve = np.where(signals.valid, curves["outputs"][:, 0], 0.0)
    if known is None:
        found = method.propose(curves, params, signals.fps)
        known = _candidates(locate(found, video.subject, video.video_id, native, signals.fps), order)
    gaps = [(int(native[start]), int(native[end])) for start, end in runs(~signals.valid)]
    return Motion("ready", "", native.tolist(), (curve / (curve.max() or 1.0)).round(4).tolist(), gaps, known)


def _given(places: Sequence[Path], experiment: str | None) -> pd.DataFrame:
    """Return proposals (PROPOSED) of run folders, folders of ``pfes spot`` and tables."""
    tables = []
    for place in places:
        for path in _files(place, experiment):
            table = store.read_table(path, "proposals") if path.suffix == ".parquet" else pd.read_csv(path)
            missing = [name for name in PROPOSED if name not in table]
            if missing:
                raise InputError(f"{path}: no column {missing[0]}; expected proposals of pfes spot or of a run")
            tables.append(table[list(PROPOSED)])
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)


def _files(place: Path, experiment: str | None) -> list[Path]:
    if place.is_file():
        return [place]
    if (place / "proposals.csv").is_file():
        return [place / "proposals.csv"]
    found = sorted(place.glob("spot/*/*/seed*/proposals.parquet"))
    expected = "; expected a table of proposals, a folder of pfes spot, or a run"
    return of_experiment(place, found, experiment, expected=expected)


def _names(video: Video) -> tuple[str, str]:
    """Return the names that proposals may give a recording: that of a run, and that of ``pfes spot``."""
    return video.video_id, file_name(Path(video.path).stem)


def _candidates(proposals: pd.DataFrame, order: str) -> list[Candidate]:
    if order == "time":
        place = proposals["native_apex"]
    elif order == "score":
        place = -proposals["score"]
    else:
        place = (proposals["score"] - proposals["score"].median()).abs()
    rows = proposals.iloc[np.argsort(place.to_numpy(np.float64), kind="stable")]
    columns = (rows[name] for name in ("class", "native_onset", "native_apex", "native_offset", "score"))
    return [
        Candidate(kind, int(onset), int(apex), int(offset), float(score))
        for kind, onset, apex, offset, score in zip(*columns, strict=True)
    ]
