"""Datasets: where recordings and labels come from. Each adapter is one module in this package, named in ADAPTERS.

An adapter is a function ``load(settings, folder) -> Release``: it reads label files and folder names, no recording, so that it
is fast enough to run while Snakemake reads the workflow. ``write_dataset`` then counts frames and writes the tables.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pfes import decode, provenance, store
from pfes.datasets import demo, generic
from pfes.datasets.release import REFUSAL_COLUMNS, REPAIR_COLUMNS, Release
from pfes.errors import InputError
from pfes.records import EXPRESSION_COLUMNS, VIDEO_COLUMNS, Video

ADAPTERS: dict[str, Callable[[Mapping[str, Any], Path], Release]] = {
    "demo": lambda settings, folder: demo.load({**settings["demo"], "folder": folder / "demo"}),
    "generic": generic.load,
}


def load(name: str, settings: Mapping[str, Any], folder: Path | str = "results") -> Release:
    """Return what the adapter ``name`` finds; ``settings`` is the config's section ``dataset``.

    ``folder`` is where an adapter that renders its recordings (the demo) puts them.

    Raises
    ------
    InputError
        Unknown adapter, no video, two videos of one name, or whatever the adapter finds wrong with its sheets.
    """
    if name not in ADAPTERS:
        raise InputError(f"dataset.name: {name!r} is not known; expected one of {', '.join(ADAPTERS)}")
    release = ADAPTERS[name](settings, Path(folder))
    names = [video.video_id for video in release.videos]
    doubled = sorted({item for item in names if names.count(item) > 1})
    if doubled:
        raise InputError(f"dataset {name}: several videos are called {doubled[0]!r}; give each (subject, video) once")
    if not names:
        raise InputError(f"dataset {name}: no video is listed; expected at least one")
    return release


def write_dataset(
    release: Release, folder: Path | str, sampling: decode.SamplingParameters, settings: Mapping[str, Any]
) -> None:
    """Count the frames of every video and write videos, expressions, repairs and refusals (Parquet) to ``folder``.

    A video that cannot be decoded keeps its row with the reason in ``refused``; so do its expressions, which then
    count as missed. A label beyond the last frame is refused.
    """
    videos = pd.DataFrame([_video_row(video, sampling) for video in release.videos], columns=list(VIDEO_COLUMNS))
    expressions, refusals = _sampled(release, videos, sampling)
    tables = {
        "videos": videos,
        "expressions": expressions[list(EXPRESSION_COLUMNS)],
        "repairs": release.repairs[list(REPAIR_COLUMNS)],
        "refusals": refusals[list(REFUSAL_COLUMNS)],
    }
    for kind, table in tables.items():
        store.write_table(Path(folder) / f"{kind}.parquet", kind, table, provenance.record("dataset", settings))


def _video_row(video: Video, sampling: decode.SamplingParameters) -> dict[str, Any]:
    row = {
        "dataset": video.dataset,
        "subject": video.subject,
        "video": video.video,
        "video_id": video.video_id,
        "path": video.path,
    }
    try:
        fps, n_native = decode.frame_rate(video.path, video.fps), decode.count_frames(video.path)
        step = sampling.step(fps)
        n_frames = len(decode.sampled_to_native(n_native, step))
        return {
            **row,
            "fps": fps,
            "n_native": n_native,
            "n_frames": n_frames,
            "sampled_fps": fps / step,
            "refused": None,
        }
    except InputError as error:
        return {
            **row,
            "fps": video.fps,
            "n_native": 0,
            "n_frames": 0,
            "sampled_fps": sampling.fps,
            "refused": str(error),
        }


def _sampled(
    release: Release, videos: pd.DataFrame, sampling: decode.SamplingParameters
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add sampled frames to the expressions; move those beyond the last frame of a good video to the refusals."""
    facts = videos.set_index("video_id").loc[release.expressions["video_id"]]
    expressions = release.expressions.reset_index(drop=True).copy()
    good, n_native = facts["refused"].isna().to_numpy(), facts["n_native"].to_numpy()
    beyond = good & (expressions["native_offset"].to_numpy() >= n_native)
    for column in ("onset", "apex", "offset"):
        steps = [sampling.step(fps) if fps > 0 else 1.0 for fps in facts["fps"]]
        limits = [n if n else 10**9 for n in facts["n_frames"]]
        native = expressions[f"native_{column}"]
        expressions[column] = [
            int(decode.native_to_sampled(frame, step, n)) for frame, step, n in zip(native, steps, limits, strict=True)
        ]
    refused = expressions[beyond]
    reasons = [
        f"offset {row.native_offset} lies beyond the last frame {n - 1} of {row.video_id}"
        for row, n in zip(refused.itertuples(), n_native[beyond], strict=True)
    ]
    rows = pd.DataFrame(
        {"row": refused["row"].to_numpy(), "video_id": refused["video_id"].to_numpy(), "reason": reasons}
    )
    return expressions[~beyond], pd.concat([release.refusals, rows], ignore_index=True)
