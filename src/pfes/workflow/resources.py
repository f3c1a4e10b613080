"""What a job asks of a scheduler: memory, time and disk, from the frames, the network and the steps that it will have.

Frames are those of ``dataset/videos.parquet``; until it is there, ``UNCOUNTED`` a recording. Seconds a frame are those of
docs/benchmarks.md on one core, taken ``MARGIN`` times: nodes are slower than laptops, and shared. A job that is started
again after a failure asks for its first amount times the attempt. No job asks for more than ``MOST_MINUTES``: a training that
needs longer goes on from its state in the next attempt.

Memory, time and disk are in MB, minutes and MB.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pfes.base import store
from pfes.base.config import build
from pfes.base.errors import InputError
from pfes.base.records import WINDOW
from pfes.datasets.folds import Fold
from pfes.faces.align import ROIS
from pfes.methods.registry import training_parameters
from pfes.network.memory import step_mb
from pfes.network.parameters import ModelParameters
from pfes.workflow.plan import Plan

UNCOUNTED = 10_000  # frames of a recording that was not looked at yet: five and a half minutes
MARGIN = 4.0
START_MINUTES = 10  # Python and its libraries from a busy file system, the first compilation of the flow
MOST_MINUTES = 24 * 60
START_MB = 1500  # of a job that imports torch: 700, and on a cluster Snakemake twice beside it, 350 each
VIDEO_MB = 1500  # of a job on one recording, which streams: 500, and the same beside it
SNIPPET_BYTES = WINDOW * 10 * 2 * 4  # of a frame
FRAME_BYTES = {
    "faces": 68 * 2 * 4,
    "flow": WINDOW * len(ROIS) * 2 * 4,
    "snippets": SNIPPET_BYTES,
    "clips": 4 * SNIPPET_BYTES,
}
FRAME_SECONDS = {"demo_video": 0.05, "faces": 0.02, "flow": 0.1, "snippets": 0.005, "displacement": 0.02, "clips": 0.05}
DECODE_SECONDS, TABLE_SECONDS = 0.002, 0.0005  # per frame, of the jobs that there is one of
TRAIN_SECONDS = 0.00084 / 32**2  # per frame, step and squared width
FEATURE_SECONDS = 0.3 * TRAIN_SECONDS

NOTHING: Mapping[str, int] = {}

Ask = Callable[[Any, int], int]


class Demand(NamedTuple):
    """What the first attempt of a job asks for: memory and disk, MB, and processor time, s."""

    mem_mb: float
    seconds: float
    disk_mb: float


class Demands:
    """The demands of all jobs of a run."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._counted: Mapping[str, int] = NOTHING
        self._known: dict[tuple[str | None, ...], Demand] = {}
        self._of_subject = plan.subjects

    def asks(self, rule: str) -> dict[str, Ask]:
        """Return the resources of ``rule`` as functions of wildcards and attempt, for Snakemake."""
        return {
            "mem_mb": lambda wildcards, attempt: round(self.demand(rule, wildcards).mem_mb * attempt),
            "runtime": lambda wildcards, attempt: min(MOST_MINUTES, minutes(self.demand(rule, wildcards)) * attempt),
            "disk_mb": lambda wildcards, attempt: 100 + round(self.demand(rule, wildcards).disk_mb),
        }

    def demand(self, rule: str, wildcards: Any = None) -> Demand:
        """Return what a job of ``rule`` with ``wildcards`` (attributes video, fold, experiment, system) asks for."""
        key = (rule, *(getattr(wildcards, name, None) for name in ("video", "fold", "experiment", "system")))
        counted = _counted(self._plan.run / "dataset/videos.parquet")
        if counted is not self._counted:  # counted meanwhile
            self._counted, self._known = counted, {}
        if key not in self._known:
            self._known[key] = self._demand(rule, wildcards)
        return self._known[key]

    def _demand(self, rule: str, wildcards: Any) -> Demand:
        if rule in ("train", "intensity_train"):
            return self._training(rule, wildcards)
        if hasattr(wildcards, "video"):
            frames = self.frames([wildcards.video])
            size = frames * FRAME_BYTES.get(rule, SNIPPET_BYTES) / 1e6
            return Demand(VIDEO_MB + 2 * size, frames * FRAME_SECONDS.get(rule, 0.05), size)
        if hasattr(wildcards, "fold"):
            return self._testing(rule, wildcards)
        frames = self.frames(self._plan.videos)
        each = DECODE_SECONDS if rule == "dataset" else TABLE_SECONDS
        return Demand(2000 + frames * SNIPPET_BYTES / 1e6, frames * each, 50 + frames * 100 / 1e6)

    def frames(self, video_ids: Iterable[str]) -> int:
        """Return the number of sampled frames of some recordings."""
        counted = _counted(self._plan.run / "dataset/videos.parquet")
        return sum(counted.get(video_id, UNCOUNTED) for video_id in video_ids)

    def longest(self, video_ids: Iterable[str]) -> int:
        """Return the number of sampled frames of the longest of some recordings."""
        counted = _counted(self._plan.run / "dataset/videos.parquet")
        return max((counted.get(video_id, UNCOUNTED) for video_id in video_ids), default=0)

    def _training(self, rule: str, wildcards: Any) -> Demand:
        fold = self._plan.folds[wildcards.fold]
        videos = self._videos([*fold.train, *fold.validation])
        frames, longest = self.frames(videos), self.longest(videos)
        if rule == "intensity_train":
            epochs = int(self._plan.systems[wildcards.system]["training"]["epochs"])
            return Demand(START_MB + 700 + frames * SNIPPET_BYTES / 1e6, frames * epochs * 0.001, 50)
        own = self._plan.experiments[wildcards.experiment]
        return training(own, frames, longest)

    def _testing(self, rule: str, wildcards: Any) -> Demand:
        fold: Fold = self._plan.folds[wildcards.fold]
        everyone = rule == "limits" or (rule == "features" and self._plan.config["all_features"])
        frames = self.frames(self._plan.videos if everyone else self._videos(fold.held_out))
        own = self._plan.experiments[wildcards.experiment] if hasattr(wildcards, "experiment") else self._plan.config
        width = build(ModelParameters, own["model"]).width
        size = frames * (SNIPPET_BYTES + 4 * width) / 1e6
        return Demand(START_MB + 700 + size, frames * FEATURE_SECONDS * width**2, frames * 4 * width / 1e6)

    def _videos(self, subjects: Iterable[str]) -> list[str]:
        return [video_id for subject in subjects for video_id in self._of_subject.get(subject, [])]


def training(experiment: Mapping[str, Any], frames: int, longest: int) -> Demand:
    """Return what a training on ``frames`` frames, ``longest`` of them in one recording, asks for."""
    width, params = build(ModelParameters, experiment["model"]).width, training_parameters(experiment["training"])
    if params.cached is not None:  # heads alone, on features [T, D]
        return Demand(START_MB + 700 + 3 * frames * 4 * width / 1e6, frames * params.epochs * 0.0002, 50)
    step = step_mb(longest, width, params.chunk_frames, params.chunk_memory_mb)
    seconds = frames * params.epochs * TRAIN_SECONDS * width**2
    return Demand(START_MB + 1.25 * step + frames * SNIPPET_BYTES / 1e6, seconds, 200)


def minutes(demand: Demand) -> int:
    """Return the time limit of a first attempt."""
    return min(MOST_MINUTES, START_MINUTES + round(demand.seconds * MARGIN / 60))


def _counted(path: Path) -> Mapping[str, int]:
    """Return video_id -> frames as rule dataset counted them; empty before it ran."""
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError:
        return NOTHING


@cache
def _read(path: Path, modified: int) -> Mapping[str, int]:
    try:
        table = store.read_table(path, "videos")
    except InputError:  # the job that reads it says so
        return NOTHING
    frames = table["n_frames"].fillna(0).astype(int)
    return dict(zip(table["video_id"], frames, strict=True))
