"""The files of a run that its report reads, and what can be said of a run from their names and refusals alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd

from pfes.base import store
from pfes.drawing.experiment_data import with_clicks

Key = tuple[str, int]  # experiment, seed
KEPT = 256  # files of faces in memory, at most: a megabyte each for a video of two minutes


@dataclass(frozen=True)
class IntensityFiles:
    """The files of continuous intensity (``pfes.intensity``), of the first seed but for ``metrics``.

    Attributes
    ----------
    metrics, recordings : tables of every system and reference, over clips and over whole recordings
    curves : system -> curves of clips, one path per fold
    streams : intensity of whole recordings by the first system, one path per fold
    """

    metrics: Path
    recordings: Path
    curves: Mapping[str, Sequence[Path]]
    streams: Sequence[Path]


@dataclass(frozen=True)
class RunFiles:
    """The files of a run; ``proposals`` and ``scores`` are by (experiment, seed), one path per fold or baseline.

    Attributes
    ----------
    faces, snippets, truth : video_id -> file; ``snippets`` adds refusals made after ``faces``, ``truth`` is of the demo
    recordings : video_id -> video file or folder of frames; read for thumbnails only
    statistics : kind -> further table of rule ``evaluate``; what is not there is left out of the report
    benchmarks : stage -> benchmark files of Snakemake (tab-separated)
    intensity : of continuous intensity, where the run has it
    clicks : table of the expressions without interval
    """

    videos: Path
    expressions: Path
    repairs: Path
    refusals: Path
    metrics: Path
    matches: Path
    proposals: Mapping[Key, Sequence[Path]]
    faces: Mapping[str, Path]
    scores: Mapping[Key, Sequence[Path]] = field(default_factory=dict)
    snippets: Mapping[str, Path] = field(default_factory=dict)
    truth: Mapping[str, Path] = field(default_factory=dict)
    recordings: Mapping[str, Path] = field(default_factory=dict)
    statistics: Mapping[str, Path] = field(default_factory=dict)
    benchmarks: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    intensity: IntensityFiles | None = None
    clicks: Path | None = None

    def labelled(self) -> pd.DataFrame:
        """Return the table of expressions; of one without interval onset, apex and offset are its one frame."""
        table = store.read_table(self.expressions, "expressions")
        if self.clicks is None:
            return table
        return with_clicks(table, store.read_table(self.clicks, "clicks"))

    def clicks_alone(self) -> bool:
        """Return whether there are expressions, and none of them has an interval: an F1 means nothing then."""
        if self.clicks is None or len(store.read_table(self.expressions, "expressions")):
            return False
        return len(store.read_table(self.clicks, "clicks")) > 0

    def first_seeds(self) -> list[Key]:
        """Return (experiment, lowest seed) of every experiment that has proposals: those with curves first, as given."""
        names = dict.fromkeys(name for name, _ in self.proposals)
        keys = [(name, min(seed for other, seed in self.proposals if other == name)) for name in names]
        return sorted(keys, key=lambda key: key not in self.scores)

    def face(self, video_id: str) -> store.Whole:
        """Return the file of kind ``faces`` of a video, read once."""
        return self._read(self.faces[video_id])

    @cached_property
    def _read(self) -> Callable[[Path], store.Whole]:
        return lru_cache(maxsize=KEPT)(partial(store.read_whole, kind="faces"))

    def why_refused(self, video_id: str, stated: object) -> str | None:
        """Return the first reason for which a video was refused: ``stated`` in the table, of its faces or its snippets."""
        if isinstance(stated, str) and stated:
            return stated
        reason = self.face(video_id).refused if video_id in self.faces else None
        if reason is None and video_id in self.snippets:
            reason = store.refusal(self.snippets[video_id], "snippets")
        if reason is not None:
            return reason
        return None if video_id in self.faces else "no file of faces for this video; rerun rule faces"


def run_files(paths: Mapping[str, Any], benchmarks: Path | str, stages: Sequence[str]) -> RunFiles:
    """Return the files of a run from ``paths`` by field, with the benchmark files of ``stages`` below a folder."""
    measured = {name: sorted(Path(benchmarks, name).rglob("*.tsv")) for name in stages}
    intensity = paths["intensity"] and IntensityFiles(**paths["intensity"])
    return RunFiles(**{**paths, "intensity": intensity}, benchmarks=measured)
