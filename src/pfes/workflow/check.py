"""What a run would find, before any work: labels, recordings, folds, hours and disk.

The tables are made by the very code of the stage ``dataset``, in a temporary folder, so that the check and the run agree.
Frames of folders are listed, those of video files decoded; of each recording some frames are looked at (``recordings``).
"""

import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import torch
from rich.console import Group, RenderableType
from rich.table import Table

from pfes import datasets
from pfes.base import config as configuration
from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.records import CLASSES, WINDOW, Video
from pfes.base.text import counted, duration
from pfes.datasets.demo import DemoParameters
from pfes.datasets.folds import Fold
from pfes.datasets.points import PointParameters, draw_points
from pfes.evaluation.caution import cautions, own_subjects
from pfes.faces.landmarks import FaceParameters
from pfes.media.decode import SamplingParameters
from pfes.workflow.estimate import Estimate, estimate
from pfes.workflow.plan import Plan, plan_file
from pfes.workflow.recordings import Look, look, table, write_pictures

TABLES = ("videos", "expressions", "clicks", "neutral", "repairs", "refusals")
NOTES = ("kept", "left out")  # values of a repair that changed no cell
MEDIANS_S = {"macro": (0.25, 8.0), "micro": (0.03, 1.0)}  # within a factor of two of what the classes are
SHOWN = 40  # names or ranges of rows in a line


@dataclass(frozen=True)
class Findings:
    """What was found; ``problems`` are what would stop the run, or make it end with something left out.

    ``cautions`` are what limits the figures of a run that would go through.
    """

    config: dict[str, Any]
    tables: dict[str, pd.DataFrame]
    folds: tuple[Fold, ...]
    problems: tuple[str, ...]
    cost: Estimate | None
    recordings: tuple[Look, ...] = ()
    cautions: tuple[str, ...] = ()


def check(path: Path | str, *, costs: bool = True, pictures: Path | None = None) -> Findings:
    """Check the configuration at ``path`` as a run in the working folder would use it.

    Parameters
    ----------
    costs
        Estimate hours and disk, which takes some seconds.
    pictures
        Folder for a picture of each recording with its face box; what is wrong with faces is then a problem.

    Raises
    ------
    InputError
        The run would not start (pfes.workflow.plan); whatever else is wrong is one of the problems.
    """
    plan = plan_file(path)
    config, experiments, folds = dict(plan.config), dict(plan.experiments), tuple(plan.folds.values())
    tables = _tables(plan.release, config)
    trained = {name: experiments[name] for name in plan.learned}
    problems = list(_problems(tables, trained))
    problems += _untrained(plan, {*tables["expressions"]["subject"], *tables["clicks"]["subject"]})
    if config["dataset"]["name"] not in datasets.RELEASED:
        problems += [*_odd_medians(tables), *_same_files(plan.release.videos)]
    if pictures is not None:
        faces = configuration.build(FaceParameters, config["faces"])
        problems += write_pictures(plan.release.videos, pictures, faces)
    cost = estimate(config, trained, tables["videos"], folds, plan.run) if costs else None
    if cost is not None:
        problems += _no_room(cost, plan.run)
    labelled = pd.concat([tables[name][["subject", "class"]] for name in ("expressions", "clicks")])
    said = [
        *cautions(labelled["subject"].nunique(), labelled["class"]),
        *own_subjects((video.subject, video.video) for video in plan.release.videos),
    ]
    return Findings(config, tables, folds, tuple(problems), cost, tuple(look(plan.release.videos)), tuple(said))


def _tables(release: datasets.Release, config: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    sampling = configuration.build(SamplingParameters, config["sampling"])
    with TemporaryDirectory() as folder:
        datasets.write_dataset(release, folder, sampling, config["dataset"])
        tables = {kind: store.read_table(Path(folder) / f"{kind}.parquet", kind) for kind in TABLES}
    if config["dataset"]["name"] == "demo":
        demo = configuration.build(DemoParameters, config["dataset"]["demo"])
        tables["videos"] = _rendered(tables["videos"], demo, sampling.step(demo.fps))
    return tables


def _rendered(videos: pd.DataFrame, demo: DemoParameters, step: float) -> pd.DataFrame:
    """Return the videos as they will be: the run renders them."""
    frames = round(demo.seconds * demo.fps)
    return videos.assign(
        refused=None, fps=demo.fps, n_native=frames, n_frames=round(frames / step), sampled_fps=demo.fps / step
    )


def _problems(tables: Mapping[str, pd.DataFrame], experiments: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    videos, refusals = tables["videos"], tables["refusals"]
    for video in videos.to_dict("records"):
        if video["refused"] is not None:
            yield f"video {video['video_id']}: {video['refused']}"
        elif video["n_frames"] < WINDOW:
            yield f"video {video['video_id']}: {video['n_frames']} frames when sampled, expected at least {WINDOW}"
    for refusal in refusals.to_dict("records"):
        yield f"label in row {refusal['row']}: {refusal['reason']}"
    for name, config in experiments.items():
        try:
            draw_points(tables["expressions"], configuration.build(PointParameters, config["points"]), 0)
        except InputError as error:
            yield f"experiment {name}: {error}"
        if config["training"]["device"] == "cuda" and not torch.cuda.is_available():
            yield f"experiment {name}: training.device is cuda, but this machine has no CUDA device; use auto or cpu"


def _odd_medians(tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Yield a line for every class whose median label is far from what the class is: seconds, perhaps, or milliseconds."""
    videos, labels = tables["videos"].set_index("video_id"), tables["expressions"]
    rates = videos["fps"].where(videos["fps"] > 0, videos["sampled_fps"])
    frames = labels["native_offset"] - labels["native_onset"] + 1
    seconds = frames / labels["video_id"].map(rates)
    for kind, (least, most) in MEDIANS_S.items():
        of_kind = labels["class"] == kind
        median = float(seconds[of_kind].median())
        if of_kind.any() and not least <= median <= most:
            yield (
                f"labels: the median {kind}-expression is {median:.2g} s long ({frames[of_kind].median():g} frames), expected"
                f" {least} to {most} s; are onset and offset frame numbers, and not seconds or milliseconds? is the rate right?"
            )


def _same_files(videos: Iterable[Video]) -> Iterator[str]:
    """Yield a line for every recording that two videos share."""
    first: dict[Path, str] = {}
    for video in videos:
        place = Path(video.path).resolve()
        other = first.setdefault(place, video.video_id)
        if other != video.video_id and video.path:
            yield f"videos {other} and {video.video_id} are one recording, {place}; a model would be tested on what it has seen"


def _untrained(plan: Plan, labelled: set[str]) -> Iterator[str]:
    if plan.nothing_to_learn:
        yield plan.nothing_to_learn
    elif plan.learned:
        for fold in plan.folds.values():
            if not labelled & set(fold.train):
                yield f"fold {fold.name}: none of its training subjects has a labelled expression"


def _no_room(cost: Estimate, run: Path) -> Iterator[str]:
    place = next(folder for folder in (run, *run.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if cost.bytes > free:
        yield f"disk: the run needs up to {size(cost.bytes)}, but {size(free)} are free at {place.resolve()}"


# ------------------------------------------------------------------------------------------------ what is printed


def render(findings: Findings) -> RenderableType:
    """Return the tables of ``pfes check``."""
    dataset, run = findings.config["dataset"]["name"], findings.config["run"]
    found = Table("", "number", "", title=f"{run}: {dataset}", title_justify="left")
    for row in _found_lines(findings):
        found.add_row(*row)
    parts: list[RenderableType] = [found]
    if len(findings.tables["repairs"]):
        changed = Table("label rows", "rule", "number", "rows", title="repairs and notes", title_justify="left")
        for line in _repair_lines(findings.tables["repairs"]):
            changed.add_row(*line)
        parts.append(changed)
    if findings.recordings:
        parts.append(table(findings.recordings))
    if findings.cost is not None:
        parts.append(_cost_table(findings.cost))
    if findings.cautions:
        parts += ["", *findings.cautions]
    if findings.problems:
        wrong = Table("what would go wrong", title=counted(len(findings.problems), "problem"), title_justify="left")
        for problem in findings.problems:
            wrong.add_row(problem)
        parts.append(wrong)
    return Group(*parts)


def _found_lines(findings: Findings) -> Iterator[tuple[str, str, str]]:
    videos, expressions, clicks = (findings.tables[name] for name in ("videos", "expressions", "clicks"))
    good = videos[videos["refused"].isna()]
    seconds = float((good["n_frames"] / good["sampled_fps"]).sum())
    yield "subjects", str(videos["subject"].nunique()), ""
    rendered = " (rendered by the run)" if findings.config["dataset"]["name"] == "demo" else ""
    yield "videos found", str(len(good)), f"{good['n_native'].sum():,} frames, {duration(seconds)}{rendered}"
    missing = videos[videos["refused"].notna()]["video_id"]
    yield "videos missing or broken", str(len(missing)), listed(missing)
    bare = sorted(set(good["video_id"]) - set(expressions["video_id"]) - set(clicks["video_id"]))
    yield "videos without labels", str(len(bare)), listed(bare)
    kinds = [f"{(expressions['class'] == name).sum()} {name}" for name in CLASSES]
    yield "labels", str(len(expressions)), ", ".join(kinds)
    if len(clicks):
        kinds = [f"{(clicks['class'] == name).sum()} {name}" for name in CLASSES]
        yield "clicks without onset or offset", str(len(clicks)), ", ".join(kinds)
    if len(findings.tables["neutral"]):
        yield "neutral stretches", str(len(findings.tables["neutral"])), ""
    refused = findings.tables["refusals"]["row"]
    yield "labels refused", str(len(refused)), f"rows {ranges(refused)}" if len(refused) else ""
    scheme = findings.config["folds"]["scheme"]
    yield "folds", str(len(findings.folds)), scheme
    experiments, seeds = findings.config["experiments"], findings.config["seeds"]
    number = len(findings.folds) * len(experiments) * len(seeds)
    yield "trainings", str(number), f"experiments {listed(experiments)}; seeds {listed(seeds)}"


def _repair_lines(repairs: pd.DataFrame) -> Iterator[tuple[str, str, str, str]]:
    what = repairs["value"].where(repairs["value"].isin(NOTES), "repaired")
    rule = repairs["rule"].where(repairs["column"] == "row", repairs["column"] + ": " + repairs["rule"])
    for (kind, text), rows in repairs.groupby([what, rule], sort=True):
        yield str(kind), str(text), str(len(rows)), ranges(rows["row"])


def _cost_table(cost: Estimate) -> Table:
    table = Table(
        "estimate", "time of one core", "disk", "memory of a job", "from", title="cost, about", title_justify="left"
    )
    for stage in cost.stages:
        table.add_row(stage.name, duration(stage.seconds), size(stage.bytes), size(stage.mem_mb * 1e6), stage.source)
    wall = f"{duration(cost.wall_seconds)} on {counted(cost.cores, 'core')}"
    table.add_row("all", duration(cost.seconds), size(cost.bytes), "", wall)
    return table


def listed(names: Iterable[Any], most: int = SHOWN) -> str:
    """Return names with commas, the first ``most`` of them."""
    texts = list(map(str, names))
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def ranges(rows: Iterable[int], most: int = SHOWN) -> str:
    """Return row numbers as ranges, the first ``most`` of them.

    >>> ranges([4, 3, 5, 9])
    '3-5, 9'
    """
    texts: list[list[int]] = []
    for row in sorted(set(map(int, rows))):
        if texts and row == texts[-1][1] + 1:
            texts[-1][1] = row
        else:
            texts.append([row, row])
    return listed((f"{first}-{last}" if last > first else str(first) for first, last in texts), most)


def size(count: float) -> str:
    """Return a number of bytes for people.

    >>> size(1536)
    '1.5 kB'
    """
    power = min(4, int(math.log(max(count, 1), 1024)))
    return f"{count / 1024**power:.{1 if power else 0}f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
