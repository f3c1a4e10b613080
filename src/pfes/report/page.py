"""The report of a run: one HTML page that opens offline, and the timelines of its videos as files.

``RunFiles`` names the files of a run; all that is shown is read from them. The page holds everything: its style, its
script, the data of every timeline (``pfes.report.views``), the tables (``pfes.report.tables``), the charts
(``pfes.drawing.charts``) and, where wanted, small pictures of faces (``pfes.drawing.thumbnails``). Its content security policy forbids
the browser every request, and every script but its own. The same files and parameters give the same bytes.

What grows with the number of videos is limited by ``ReportParameters``; where a limit bites, the page says so, and the
videos with the most mistakes of the first experiment are served first.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from pfes.base import store
from pfes.drawing import figures, plotting
from pfes.drawing.charts import charts
from pfes.drawing.thumbnails import thumbnails
from pfes.evaluation.metrics import NO_SEED, read_proposals
from pfes.report import sections
from pfes.report.files import Key, RunFiles
from pfes.report.intensity import intensity_section
from pfes.report.parameters import ReportParameters
from pfes.report.sections import Row
from pfes.report.tables import (
    OF_CLICKS,
    dataset_counts,
    flatten,
    number,
    outcome_counts,
    present,
    result_rows,
    seeds_of,
    stage_cost,
    stage_origins,
    undefined,
    video_quality,
)
from pfes.report.views import by_video, pack, read_intensities, views

SCRIPTS = ("timeline.js", "report.js")


def write_report(
    files: RunFiles,
    out: Path | str,
    *,
    run: str,
    demo: bool,
    settings: Mapping[str, Any] | None = None,
    descriptions: Mapping[str, str] | None = None,
    params: ReportParameters = ReportParameters(),
) -> None:
    """Write the HTML report of ``run`` to ``out``.

    Parameters
    ----------
    demo : the dataset is the rendered one; the page then says what that proves and what not
    settings : the run's configuration, nested mappings and plain values
    descriptions : experiment -> what it is, in a sentence
    """
    content = _content(files, run, demo, settings or {}, params)
    names = {name: (descriptions or {}).get(name, "") for name in content["experiments"]}
    page = _environment().get_template("report.html.j2").render(**content, descriptions=names)
    with store.atomic(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def draw_timelines(
    files: RunFiles, folder: Path | str, suffix: str = ".svg", *, limit: int | None = None
) -> list[Path]:
    """Write one timeline per usable video, ``{video_id}.svg`` (or ``.png``), and return the paths in order.

    ``limit``: greatest number of them; the videos with the most mistakes of the first experiment are drawn.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    written = []
    for video_id, figure in timelines(files, limit=limit):
        path = Path(folder) / f"{video_id}{suffix}"
        with store.atomic(path) as temporary:
            temporary.write_bytes(plotting.png(figure) if suffix == ".png" else plotting.svg(figure).encode())
        written.append(path)
    return written


def timelines(files: RunFiles, *, limit: int | None = None) -> Iterator[tuple[str, Figure]]:
    """Yield (video_id, Figure) of every usable video, in the order of the table; the first seed of each experiment."""
    videos = figures.rows(store.read_table(files.videos, "videos"))
    usable = [row for row in videos if files.why_refused(row["video_id"], row["refused"]) is None]
    matches = store.read_table(files.matches, "matches")
    expressions = files.labelled()
    truths, keys = by_video(expressions), files.first_seeds()
    proposals = {key: by_video(read_proposals(files.proposals[key])) for key in keys}
    judged = {key: by_video(sections.first_seed_rows(matches, key)) for key in keys}
    curves = {key[0]: read_intensities(files, key) for key in keys if key in files.scores}
    chosen = sections.worst_first([row["video_id"] for row in usable], outcome_counts(matches, keys), keys)[:limit]
    for video in (row for row in usable if row["video_id"] in set(chosen)):
        video_id = video["video_id"]
        faces, facts, _ = files.face(video_id)
        truth = truths.get(video_id, expressions.iloc[:0])
        split = {key[0]: split_outcomes(judged[key].get(video_id), proposals[key].get(video_id), truth) for key in keys}
        figure = figures.timeline(
            f"{video['subject']} / {video['video']}",
            float(facts["fps"]),
            {name: curve[video_id] for name, curve in curves.items() if video_id in curve},
            truth,
            {name: found for name, (found, _) in split.items()},
            faces["found"] > 0,
            store.read(files.truth[video_id], "truth")["intensity"] if video_id in files.truth else None,
            missed={name: missed for name, (_, missed) in split.items()},
        )
        yield video_id, figure


def split_outcomes(
    matches: pd.DataFrame | None, proposals: pd.DataFrame | None, truth: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the proposals of one video with the column ``matched``, and the rows of ``truth`` that were missed."""
    if proposals is None:
        proposals = pd.DataFrame(columns=["class", "onset", "apex", "offset", "score"])
    proposals = proposals.reset_index(drop=True)  # ``matches`` counts within the video
    if matches is None:
        return proposals.assign(matched=False), truth
    paired = matches[(matches["proposal"] >= 0) & (matches["instance"] >= 0)]
    found = proposals.assign(matched=proposals.index.isin(paired["proposal"]))
    return found, truth[~truth["instance"].isin(paired["instance"])]


def _content(
    files: RunFiles, run: str, demo: bool, settings: Mapping[str, Any], params: ReportParameters
) -> dict[str, Any]:
    """Everything that the template shows."""
    metrics = store.read_table(files.metrics, "metrics")
    videos = store.read_table(files.videos, "videos")
    expressions = files.labelled()
    matches = store.read_table(files.matches, "matches")
    statistics = {kind: present(kind, store.read_table(path, kind), metrics) for kind, path in files.statistics.items()}
    keys = files.first_seeds()
    alone = files.clicks_alone()
    if alone:
        statistics = {kind: table for kind, table in statistics.items() if kind in OF_CLICKS}
        metrics = metrics.iloc[:0]
    counts = outcome_counts(matches, keys)
    quality = [_video_row(row, files, counts, keys, expressions) for row in figures.rows(videos)]
    errors = sections.errors(statistics.get("errors"), files, matches, keys)
    order = sections.worst_first([row["video_id"] for row in quality if row["refused"] is None], counts, keys)
    show_faces = demo if params.faces is None else params.faces
    pictures = _pictures(files, order, expressions, errors, keys, params) if show_faces else {}
    return {
        "run": run,
        "demo": demo,
        "faces": show_faces,
        "no_seed": NO_SEED,
        "protocol": sections.protocol(files.metrics),
        "experiments": [name for name, _ in keys],
        "facts": sections.facts(quality, expressions, result_rows(metrics), statistics.get("intervals")),
        "results": sections.with_intervals(result_rows(metrics), statistics.get("intervals")),
        "seeds": seeds_of(metrics),
        "cautions": sections.run_cautions(videos, expressions),
        "by_seed": figures.rows(undefined(metrics).sort_values(["experiment", "seed"], kind="stable")),
        "clicks_alone": alone,
        "clicks_found": sections.clicks_found(statistics.get("clicks_found")),
        "review_s": sections.protocol(files.metrics)["review_s"],
        "differences": sections.differences(statistics.get("differences")),
        "protocols": sections.protocols(statistics.get("protocol_table")),
        "apex_errors": figures.rows(statistics.get("apex_errors")),
        **_charts(statistics, errors),
        **sections.error_tables(errors, keys, quality),
        "intensity": intensity_section(files),
        "subjects": sections.subject_rows(quality, keys),
        "true_intensity": bool(files.truth),
        "quality": quality,
        "limits": sections.limits(order, pictures, show_faces, params),
        "dataset": dataset_counts(videos, expressions),
        "repairs": store.read_table(files.repairs, "repairs"),
        "refusals": store.read_table(files.refusals, "refusals"),
        "stages": stage_origins(files),
        "settings": list(flatten(settings)),
        "costs": [stage_cost(stage, paths) for stage, paths in files.benchmarks.items() if paths],
        "index": sections.index(quality, keys, order, params),
        "views": _packed(files, quality, order, errors, pictures, params),
        **_assets(),
    }


def _video_row(
    video: Mapping[str, Any], files: RunFiles, counts: pd.DataFrame, keys: Sequence[Key], expressions: pd.DataFrame
) -> Row:
    row = video_quality(video, files)
    found = [sections.count_of(counts, key, row["video_id"]) for key in keys]
    return {**row, "counts": found, "labelled": int((expressions["video_id"] == row["video_id"]).sum())}


def _charts(statistics: Mapping[str, pd.DataFrame], errors: pd.DataFrame) -> Row:
    """Return the charts as SVG elements of the page: those of the results, and those of the errors."""
    made: dict[str, list[Row]] = {"charts": [], "error_charts": []}
    for chart in charts({**statistics, "errors": errors}):
        svg = Markup(plotting.svg(chart.figure, label=chart.caption, prefix=f"c-{chart.name}-"))
        group = "error_charts" if chart.name.startswith("error") else "charts"
        made[group].append({"title": chart.title, "caption": chart.caption, "svg": svg})
    return dict(made)


def _pictures(
    files: RunFiles, order: Sequence[str], expressions: pd.DataFrame, errors: pd.DataFrame, keys: Sequence[Key],
    params: ReportParameters,
) -> dict[str, list[Row]]:  # fmt: skip
    """Return the pictures of labelled apexes, and of the apexes of false positives of the first experiment."""
    wanted: dict[str, list[Row]] = {video_id: [] for video_id in order}
    for row in figures.rows(expressions):
        if row["video_id"] in wanted:
            wanted[row["video_id"]].append({"frame": int(row["apex"]), "kind": row["class"], "note": "labelled"})
    first = errors[(errors["experiment"] == keys[0][0]) & (errors["proposal"] >= 0)] if keys else errors.iloc[:0]
    for row in figures.rows(first):
        note = row["kind"] + (f": {row['cause']}" if row["cause"] else "")
        if row["video_id"] in wanted:
            wanted[row["video_id"]].append({"frame": int(row["apex"]), "kind": row["class"], "note": note})
    return thumbnails(
        wanted,
        files.recordings,
        lambda video_id: files.face(video_id).arrays,
        limit=params.max_thumbnails,
        size=params.thumbnail_px,
    )


def _packed(
    files: RunFiles, quality: Sequence[Row], order: Sequence[str], errors: pd.DataFrame,
    pictures: Mapping[str, Sequence[Row]], params: ReportParameters,
) -> Iterator[tuple[int, str]]:  # fmt: skip
    """Yield (number of the video, its packed view)."""
    place = {row["video_id"]: index for index, row in enumerate(quality)}
    kinds = {
        (row["experiment"], row["video_id"], int(row["instance"]), int(row["proposal"])): row["kind"]
        + (f": {row['cause']}" if row["cause"] else "")
        for row in figures.rows(errors)
    }
    with_flow = set(order[: params.max_flow_videos])
    for video_id, view in views(files, quality, with_flow=with_flow, points=params.curve_points, kinds=kinds):
        yield place[video_id], pack({**view, "pictures": list(pictures.get(video_id, ()))})


def _assets() -> Row:
    """Return style and script of the page, and the digest by which its content security policy knows the script."""
    script = '"use strict";\n' + "\n".join(_template_source(name) for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "style": Markup(_template_source("report.css")),
        "script": Markup(script),
        "script_digest": Markup(f"sha256-{digest}"),
    }


def _template_source(name: str) -> str:
    return jinja2.PackageLoader("pfes.report").get_source(jinja2.Environment(autoescape=True), name)[0]


def _environment() -> jinja2.Environment:
    loader = jinja2.PackageLoader("pfes.report")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(number=number, shown=_shown, segment=_segment)
    return environment


def _shown(value: Any) -> str:
    """Write a cell: three decimals for a number that is not whole, a dash for nothing."""
    if value is None:
        return "\N{EN DASH}"
    return number(float(value)) if isinstance(value, float | np.floating) else str(value)


def _segment(value: object) -> str:
    """Return ``value`` as one segment of a path in an address."""
    return quote(str(value), safe="")
