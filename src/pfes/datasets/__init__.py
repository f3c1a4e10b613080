"""Datasets: where recordings and labels come from. Each adapter is one module in this package, named in ADAPTERS.

An adapter is a function ``load(settings, folder) -> Release``: it reads label files and folder names, no recording, so that it
is fast enough to run while Snakemake reads the workflow. ``write_dataset`` then counts frames and writes the tables.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pfes.base.errors import InputError
from pfes.datasets import casme2, casme3, demo, generic, samm_lv
from pfes.datasets.release import REPAIR_COLUMNS, Release, joined, table
from pfes.datasets.tables import write_dataset

__all__ = ["ADAPTERS", "RELEASED", "load", "write_dataset"]

ADAPTERS: dict[str, Callable[[Mapping[str, Any], Path], Release]] = {
    "demo": lambda settings, folder: demo.load({**settings["demo"], "folder": folder / "demo"}),
    "generic": generic.load,
    "casme2": casme2.load,
    "samm_lv": samm_lv.load,
    "casme3": casme3.load,
    "published": generic.load_imported,
}
RELEASED = ("casme2", "samm_lv", "casme3")  # official releases, found at dataset.root


def load(
    name: str, settings: Mapping[str, Any], folder: Path | str = "results", *, labels_only: bool = False
) -> Release:
    """Return what the adapter ``name`` finds; ``settings`` is the config's section ``dataset``.

    Parameters
    ----------
    folder
        Where an adapter that renders its recordings (the demo) puts them.
    labels_only
        An official release may lack ``root``: its videos are then those that the labels name, without a path.

    Raises
    ------
    InputError
        Unknown adapter, no video, two videos of one name, or whatever the adapter finds wrong with its sheets.
    """
    if name not in ADAPTERS:
        raise InputError(f"dataset.name: {name!r} is not known; expected one of {', '.join(ADAPTERS)}")
    if name == "published" and not settings.get("root"):
        raise InputError("dataset.root is missing; point it to the folder that pfes import-features wrote")
    if name in RELEASED and not labels_only and not settings.get("root"):
        raise InputError(f"dataset.root is missing; point it to your copy of {name}, see config/README.md")
    release = ADAPTERS[name](settings, Path(folder))
    names = [video.video_id for video in release.videos]
    doubled = sorted({item for item in names if names.count(item) > 1})
    if doubled:
        raise InputError(f"dataset {name}: several videos are called {doubled[0]!r}; give each (subject, video) once")
    if not names:
        raise InputError(f"dataset {name}: no video is listed; expected at least one")
    return release if name in RELEASED else by_recording(release)


def by_recording(release: Release) -> Release:
    """Return a release of one subject and several recordings with every recording as a subject, ``anna/film``.

    Then folds leave one recording out, intervals are over recordings, and all that tells subjects apart tells these apart.
    Any other release comes back as it is. Each renaming is a repair.
    """
    if len({video.subject for video in release.videos}) > 1 or len(release.videos) < 2:
        return release
    units = {video.video_id: f"{video.subject}/{video.video}" for video in release.videos}
    rule = "one subject: each recording stands for one"
    notes: list[tuple[object, ...]] = [
        (0, video.video_id, "subject", video.subject, units[video.video_id], rule) for video in release.videos
    ]
    expressions, clicks, neutral = (
        rows.assign(subject=rows["video_id"].map(units).astype(object))
        for rows in (release.expressions, release.clicks, release.neutral)
    )
    return replace(
        release,
        videos=tuple(replace(video, subject=units[video.video_id]) for video in release.videos),
        repairs=joined(release.repairs, table(notes, REPAIR_COLUMNS)),
        expressions=expressions,
        clicks=clicks,
        neutral=neutral,
    )
