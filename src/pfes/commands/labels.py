"""What a released label file holds, in numbers: the adapter's work alone, for the terminal."""

import re
from pathlib import Path

import pandas as pd

from pfes import datasets
from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.records import CLASSES
from pfes.media.decode import SamplingParameters
from pfes.workflow.check import listed, ranges

TABLES = ("videos", "expressions", "repairs", "refusals")
SHOWN = 10  # ranges of rows in a line; all of them are in the tables


def write_labels(
    name: str, labels: Path | str, out: Path | str, *, root: Path | str | None = None, repair: str = "official"
) -> list[tuple[str, int, str]]:
    """Write the tables of an official release to ``out`` and return ``counts`` of them.

    Without ``root`` only the labels are read: videos are those that they name, frames are not counted, and frame
    numbers are the release's own, from 0.
    """
    if name not in datasets.RELEASED:
        raise InputError(f"--dataset {name!r} is no official release; expected one of {', '.join(datasets.RELEASED)}")
    if repair not in ("official", "apex-symmetric"):
        raise InputError(f"--repair {repair!r} is not known; expected official or apex-symmetric")
    settings = {"name": name, "labels": str(labels), "root": root and str(root), "repair": repair}
    release = datasets.load(name, settings, labels_only=root is None)
    datasets.write_dataset(release, out, SamplingParameters(), settings)
    return counts(out)


def counts(folder: Path | str) -> list[tuple[str, int, str]]:
    """Return (what, number, which) for the tables in ``folder``: instances, videos, subjects, repairs, refusals.

    ``which`` names the rows of the sheet for repairs, rows left out and odd rows kept (by rule) and refusals (by
    reason), and the videos that are not labelled or cannot be used.
    """
    videos, expressions, repairs, refusals = (
        store.read_table(Path(folder) / f"{kind}.parquet", kind) for kind in TABLES
    )
    labelled = set(expressions["video_id"])
    unlabelled = [video_id for video_id in videos["video_id"] if video_id not in labelled]
    unusable = videos.loc[videos["refused"].notna(), "video_id"]
    found = [(f"{name}-expressions", int((expressions["class"] == name).sum()), "") for name in CLASSES]
    found += [("labelled videos", len(labelled), ""), ("subjects", expressions["subject"].nunique(), "")]
    found += [("videos without labels", len(unlabelled), listed(unlabelled))] if unlabelled else []
    found += [("videos that cannot be used", len(unusable), listed(unusable))] if len(unusable) else []
    found += [("frames", int(videos["n_native"].sum()), "")] if videos["n_native"].any() else []
    for what in ("repaired", "left out", "kept"):
        chosen = repairs[repairs["value"].where(repairs["value"].isin(["left out", "kept"]), "repaired") == what]
        found += _by(what, chosen["rule"], chosen["row"])
    return found + _by("refused", refusals["reason"].map(lambda reason: re.sub(r"\d+", "#", reason)), refusals["row"])


def _by(what: str, kinds: pd.Series, rows: pd.Series) -> list[tuple[str, int, str]]:
    return [
        (f"{what}: {kind}", len(group), f"rows {ranges(group, most=SHOWN)}")
        for kind, group in rows.groupby(kinds, sort=False)
    ]
