"""Point labels: one labelled frame per instance, all that training may see of where an expression is.

Conventions
-----------
Frames are sampled frames, 0-based; an instance is inclusive ``[onset, offset]``, its length d = offset - onset + 1.
An expression of which one frame alone is known (table ``clicks``) has that frame as its point, whatever the mode.
Modes: ``gaussian`` N(apex, (spread d)^2) truncated to the instance, ``apex`` the apex itself, ``uniform`` any frame
of the instance, ``middle`` its midpoint, ``given`` an annotator's own click (column ``point`` of the expressions). The
released points of P-FES (arXiv 2511.16952) have a standard deviation of .17 to .18 d around the apex; ``gaussian`` with
the default spread gives .17 d on the labels of CAS(ME)^2 and SAMM-LV, the truncation taking off the rest.

A point depends on (seed, video_id, instance) and its own instance alone: adding a video changes no other point.

Differences
-----------
An instance without apex takes its midpoint as apex; an apex outside its instance takes the nearest frame inside.
"""

import hashlib
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from pfes.base import provenance, store
from pfes.base.config import setting
from pfes.base.errors import InputError
from pfes.base.records import POINT_COLUMNS

PointMode = Literal["gaussian", "apex", "uniform", "middle", "given"]
MODES: tuple[PointMode, ...] = ("gaussian", "apex", "uniform", "middle", "given")
SHOWN = 10  # instances without a click that a message names


@dataclass(frozen=True)
class PointParameters:
    """How points are drawn."""

    mode: PointMode = setting(
        "gaussian",
        "where the labelled frame of an expression lies: gaussian, apex, uniform, middle or given (column point of the expressions)",
    )
    spread: float = setting(0.18, "standard deviation of gaussian, share of the duration", minimum=0.001, maximum=10)
    share: float = setting(
        1.0,
        "share of the points that is kept, drawn anew for each seed; shows what fewer clicks would find",
        exclusiveMinimum=0,
        maximum=1,
    )
    one_based: bool = setting(
        False,
        "points one frame later, as in the release of GIM: it counts the labels of CAS(ME)^2 from 1 and the features from 0",
    )

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise InputError(f"points: mode {self.mode!r} is not known; expected one of {', '.join(MODES)}")
        if self.spread <= 0:
            raise InputError(f"points: spread {self.spread} must be above 0 (share of the instance's length)")


def write_points(
    expressions_path: Path | str,
    out_path: Path | str,
    params: PointParameters,
    seed: int,
    clicks_path: Path | str | None = None,
) -> None:
    """Draw one point per row of an ``expressions`` table, add those of ``clicks``, and write the ``points`` table."""
    expressions = store.read_table(expressions_path, "expressions")
    sources = [expressions_path, *([clicks_path] if clicks_path else [])]
    made = provenance.record("points", {**asdict(params), "seed": seed}, sources)
    points = draw_points(expressions, params, seed)
    if params.one_based:  # one later, as far as a frame of the video is known to be there
        last = expressions.groupby("video_id")["offset"].max()
        points["frame"] = np.minimum(points["frame"] + 1, points["video_id"].map(last)).astype(np.int64)
    if clicks_path:
        points = with_clicks(points, store.read_table(clicks_path, "clicks"))
    points = some_points(points, params.share, seed)
    store.write_table(out_path, "points", points, made)


def some_points(points: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """Return a share of the points of each class, rounded, at least one; of one seed a smaller share is part of a larger."""
    names = zip(points["video_id"], points["instance"], strict=True)
    drawn = pd.Series(
        [_generator(seed, video_id, f"kept {instance}").random() for video_id, instance in names], points.index
    )
    place = drawn.groupby(points["class"]).rank(method="first")
    count = points.groupby("class")["instance"].transform("size")
    return points[place <= np.maximum(np.rint(share * count), 1)].reset_index(drop=True)


def with_clicks(points: pd.DataFrame, clicks: pd.DataFrame) -> pd.DataFrame:
    """Return ``points`` and the rows of ``clicks`` as one table, in the order of their instances."""
    parts = [part for part in (points, clicks[list(POINT_COLUMNS)]) if len(part)] or [points]
    return pd.concat(parts).sort_values("instance", kind="stable", ignore_index=True)


def draw_points(expressions: pd.DataFrame, params: PointParameters, seed: int) -> pd.DataFrame:
    """Return one point per instance.

    Parameters
    ----------
    expressions : table with records.EXPRESSION_COLUMNS, and ``point`` (sampled frame) for the mode ``given``.
    seed : any integer; with the video_id and the instance it fixes each point.

    Returns
    -------
    table with records.POINT_COLUMNS, in the order of ``expressions``; ``frame`` int64, inside [onset, offset].

    Raises
    ------
    InputError
        Mode ``given``, and an instance has no click, or one outside of it; all of them are named.
    """
    points = expressions.loc[:, ["subject", "video_id", "instance", "class"]].reset_index(drop=True)
    if params.mode == "given":
        return points.assign(frame=_clicks(expressions))[list(POINT_COLUMNS)]
    labels = zip(expressions["onset"], expressions["apex"], expressions["offset"], strict=True)
    names = zip(points["video_id"], points["instance"], strict=True)
    points["frame"] = np.array(
        [
            _draw(int(onset), float(apex), int(offset), params, _generator(seed, video_id, instance))
            for (onset, apex, offset), (video_id, instance) in zip(labels, names, strict=True)
        ],
        np.int64,
    )
    return points[list(POINT_COLUMNS)]


def _clicks(expressions: pd.DataFrame) -> NDArray[np.int64]:
    """Return the column ``point`` as frames [I]."""
    clicks = pd.to_numeric(expressions.get("point", pd.Series(np.nan, expressions.index)))
    outside = ~clicks.between(expressions["onset"], expressions["offset"])
    if outside.any():
        named = [_named(row) for row in expressions[outside].assign(point=clicks).head(SHOWN).to_dict("records")]
        more = f" and {outside.sum() - SHOWN} more" if outside.sum() > SHOWN else ""
        raise InputError(
            f"points: mode given, but {outside.sum()} of {len(expressions)} instances have no click inside: "
            f"{'; '.join(named)}{more}; fill the column point of the expressions sheet, or choose another mode"
        )
    return clicks.to_numpy(np.int64)


def _named(row: Mapping[Hashable, Any]) -> str:
    click = "none" if pd.isna(row["point"]) else f"{row['point']:g}"
    return f"row {row['row']} ({row['video_id']}, {row['class']} {row['onset']}..{row['offset']}: {click})"


def _draw(onset: int, apex: float, offset: int, params: PointParameters, generator: np.random.Generator) -> int:
    middle = (onset + offset) // 2
    apex = float(np.clip(middle if pd.isna(apex) else apex, onset, offset))
    if params.mode == "gaussian":
        frame = _truncated_normal(apex, params.spread * (offset - onset + 1), onset, offset, generator.random())
    elif params.mode == "uniform":
        frame = generator.integers(onset, offset + 1)
    else:
        frame = apex if params.mode == "apex" else middle
    return int(np.clip(np.rint(frame), onset, offset))


def _truncated_normal(mean: float, deviation: float, low: float, high: float, uniform: float) -> float:
    """Return the quantile ``uniform`` in [0, 1) of N(mean, deviation^2) truncated to [low, high]."""
    below, above = ndtr((low - mean) / deviation), ndtr((high - mean) / deviation)
    return mean + deviation * float(ndtri(below + uniform * (above - below)))


def _generator(seed: int, video_id: str, instance: object) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}\0{video_id}\0{instance}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
