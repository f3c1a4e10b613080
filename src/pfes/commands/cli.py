"""The command ``pfes``."""

import importlib.util
import json
import logging
import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.logging import RichHandler
from rich.table import Table

import pfes
from pfes.base.errors import InputError
from pfes.base.text import counted

# Numerical libraries take a second or more to import: each command imports what it needs, so that --help is instant.

app = typer.Typer(
    help="Find macro- and micro-expressions in face videos, trained from one labelled frame per expression.",
    epilog="Try it: pfes demo. Own videos: pfes spot. Own dataset: pfes init, then pfes run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
if importlib.util.find_spec("pfes.bench"):  # in a checkout; the wheel leaves it out
    app.add_typer(importlib.import_module("pfes.bench.cli").bench, name="bench")
console = Console(markup=False)  # names and messages may hold brackets
MOST_ROWS = 40  # of a table on the terminal


def _version(wanted: bool) -> None:
    if wanted:
        print(f"pfes {pfes.__version__}")
        raise typer.Exit


def _there(given: Any) -> Any:
    """Return the path or paths of an argument; raise InputError where none is there, before the libraries that read them load."""
    paths = given if isinstance(given, (list, tuple)) else [given]
    if not any(path.exists() for path in paths):
        raise InputError(f"{', '.join(map(str, paths))}: no such file or folder")
    return given


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    full: Annotated[bool, typer.Option("--full", help="On twice as many videos, of six subjects.")] = False,
    intensity: Annotated[bool, typer.Option("--intensity", help="Also continuous intensity, on these.")] = False,
    cores: Annotated[int | None, typer.Option(min=1, help="Processor cores; else all.")] = None,
) -> None:
    """Render a demo dataset, run the whole workflow on it, and print the results; some five minutes on two cores."""
    from pfes.commands.demo import demo as run_demo

    folder = run_demo(full=full, intensity=intensity, cores=cores)
    summary(folder, intensity=intensity)


@app.command()
def spot(
    videos: Annotated[
        list[Path],
        typer.Argument(callback=_there, help="Videos, folders of videos or of numbered images, or a sheet of videos."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results; of several recordings one folder each below it.")],
    model: Annotated[
        str,
        typer.Option(
            help="A run folder such as results/demo, one model.pt, none (no training), box (trained on made motion), or baseline."
        ),
    ] = "none",
    experiment: Annotated[str | None, typer.Option(help="Experiment of the run folder, where it has several.")] = None,
    fps: Annotated[float, typer.Option(min=0, help="Native frames per second; 0: what the file says.")] = 0.0,
    intensity: Annotated[
        bool, typer.Option("--intensity", help="Also continuous intensity, from the run's models.")
    ] = False,
    overlay: Annotated[bool, typer.Option(help="Write the overlay video.")] = True,
    jobs: Annotated[int, typer.Option(min=1, help="Cores: recordings at a time, or windows of a single one.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that are there.")] = False,
    neutral: Annotated[
        str | None, typer.Option(help="Stretch without expressions, 0:00-1:30, that sets the threshold (model none).")
    ] = None,
    alarms_per_minute: Annotated[
        float | None, typer.Option(help="False alarms a minute that the threshold may leave on that stretch.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, help="Threshold c itself, as calibration.json says it (model none).")
    ] = None,
) -> None:
    """Spot expressions in videos of your own; without a model what is found are candidates, not a validated measurement."""
    from pfes.commands import progress
    from pfes.commands import spot_all as many
    from pfes.commands.spot import PROPOSALS, Wanted

    wanted = Wanted(
        model, experiment, intensity, overlay, threshold, _stretch(neutral) if neutral else None, alarms_per_minute
    )
    recordings = many.asked(videos, out, fps)
    skipped = []
    seen = sys.stderr.isatty()
    outcomes = many.spot_all(recordings, wanted, jobs=jobs, overwrite=overwrite, talk=not seen)
    with os.fdopen(os.dup(2), "w") as terminal:  # a recording's log takes all that is written to stderr meanwhile
        shown = Console(file=terminal, markup=False)
        with progress.bars(shown, len(recordings), seen) as step:
            for outcome in outcomes:
                skipped += [outcome.problem] if outcome.problem else []
                step(outcome.problem)
    if len(recordings) == 1 and skipped:
        raise InputError(skipped[0])
    events = many.collect_events(recordings, out)
    table = Table("recording", "class", "onset", "apex", "offset", "score", title=counted(len(events), "expression"))
    for row in events.head(MOST_ROWS).to_dict("records"):
        times = [f"{row[f'{name}_s']:.2f} s" for name in ("onset", "apex", "offset")]
        table.add_row(str(row["recording"]), str(row["class"]), *times, f"{row['score']:.2f}")
    console.print(table)
    console.print(
        f"{out / many.EVENTS}; {PROPOSALS}, curve and more in {out if len(recordings) == 1 else f'{out}/*/'}",
        soft_wrap=True,
    )
    if skipped:
        raise InputError("\n  ".join([f"{len(skipped)} of {len(recordings)} recordings were skipped:", *skipped]))


def _stretch(text: str) -> tuple[float, float]:
    """Return from and to, s, of a stretch such as 0:00-1:30 or 12.5-40; raises InputError for anything else."""
    match = re.fullmatch(r"(?:(\d+):)?(?:(\d+):)?(\d+(?:\.\d+)?)-(?:(\d+):)?(?:(\d+):)?(\d+(?:\.\d+)?)", text.strip())
    if match is None:
        raise InputError(f"--neutral {text!r}: expected from-to in minutes and seconds, such as 0:00-1:30")
    parts = [[float(part) for part in match.groups()[side : side + 3] if part is not None] for side in (0, 3)]
    start, end = (sum(part * 60**power for power, part in enumerate(reversed(side))) for side in parts)
    if start >= end:
        raise InputError(f"--neutral {text!r}: ends before it begins; expected from-to, such as 0:00-1:30")
    return start, end


@app.command()
def snippets(
    videos: Annotated[
        list[Path],
        typer.Argument(callback=_there, help="Video files, or folders of numbered images (then give --fps)."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for snippets/{name}.h5 and what leads to them.")],
    config: Annotated[Path | None, typer.Option(help="Configuration with other parameters.")] = None,
    fps: Annotated[float, typer.Option(min=0, help="Native frames per second; 0: what the file says.")] = 0.0,
    jobs: Annotated[int, typer.Option(min=1, help="Recordings at a time.")] = 1,
    format: Annotated[list[str], typer.Option(help="Also write npz or csv.")] = [],  # noqa: B006
    plots: Annotated[bool, typer.Option("--plots", help="Also draw the motion of each ROI over time.")] = False,
) -> None:
    """Write snippets (SW-MRO optical flow at the regions of interest) of videos; no model is needed."""
    from pfes.commands import extract
    from pfes.workflow.plan import read_config

    if unknown := set(format) - set(extract.FORMATS):
        raise InputError(f"--format {unknown.pop()}: expected {' or '.join(extract.FORMATS)}")
    params = extract.parameters(read_config(config)) if config else extract.ExtractParameters()
    lost = []
    outcomes = extract.extract_all([str(video) for video in videos], out, params, fps=fps, jobs=jobs)
    for number, outcome in enumerate(outcomes, 1):
        files = [] if outcome.problem else extract.finish(out, outcome.name, format, plots=plots)
        console.print(f"{number}/{len(videos)} {outcome.problem or ', '.join(map(str, files))}", soft_wrap=True)
        lost += [outcome.problem] if outcome.problem else []
    if lost:
        raise InputError("\n  ".join([f"{len(lost)} of {len(videos)} recordings have no snippets:", *lost]))


@app.command()
def label(
    videos: Annotated[
        list[Path],
        typer.Argument(callback=_there, help="Video files, folders of numbered images, or one videos sheet."),
    ],
    sheet: Annotated[Path, typer.Option(help="Expressions sheet that is filled in; goes on where it stopped.")] = Path(
        "expressions.csv"
    ),
    proposals: Annotated[
        list[Path] | None, typer.Option(help="Run folder, folder of pfes spot, or table: candidates to review.")
    ] = None,
    order: Annotated[str | None, typer.Option(help="Candidates by time, score, or uncertain first.")] = None,
    experiment: Annotated[str | None, typer.Option(help="Experiment of the run folder, where it has several.")] = None,
    beside: Annotated[Path | None, typer.Option(help="A second coder's sheet to show beside.")] = None,
    fps: Annotated[float, typer.Option(min=0, help="Native frames per second; 0: what the file says.")] = 0.0,
    port: Annotated[int, typer.Option(help="Port on this machine; 0: any that is free.")] = 0,
) -> None:
    """Click on expressions, or review proposals, in a page on this machine; nothing leaves it."""
    if importlib.util.find_spec("starlette") is None or importlib.util.find_spec("uvicorn") is None:
        raise InputError('the label page needs two more packages: pip install "pfes[label]"')
    from pfes.commands.label import open_labelling
    from pfes.labelling.app import serve

    labelling = open_labelling(
        videos, sheet, proposals=proposals or (), order=order, beside=beside, fps=fps, experiment=experiment
    )
    serve(labelling, lambda address: print(f"label page: {address}\nstop with Ctrl-C", flush=True), port)


@app.command()
def learn(
    expressions: Annotated[
        Path, typer.Argument(callback=_there, help="Expressions sheet: clicks, with or without intervals.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for model.pt, its card and the held-out results.")],
    videos: Annotated[Path | None, typer.Option(help="Videos sheet; else videos.csv beside the expressions.")] = None,
    size: Annotated[str, typer.Option(help="small, medium or paper.")] = "small",
    cores: Annotated[int, typer.Option(min=1, help="Processor cores.")] = 2,
    curve: Annotated[bool, typer.Option("--curve", help="Also recall from a quarter and half of the clicks.")] = False,
    licence: Annotated[str, typer.Option(help="Licence that the model's card names.")] = "not stated",
) -> None:
    """Train on your own clicks: held-out results first, then a model of all recordings for pfes spot."""
    from pfes.commands.learn import learn as learn_from

    learned = learn_from(
        expressions,
        videos or expressions.parent / "videos.csv",
        out,
        size=size,
        cores=cores,
        curve=curve,
        licence=licence,
    )
    from pfes.report.sections import cautions_of
    from pfes.report.tables import clicks_table

    console.print(clicks_table(learned.found))
    for line in (*learned.notes, *cautions_of(learned.report.parent)):
        console.print(line, soft_wrap=True)
    console.print(f"{learned.model}, {learned.card}, {learned.report}", soft_wrap=True)


@app.command()
def pretrain(
    out: Annotated[Path, typer.Option(help="Folder for model.pt and model.json, its card.")],
    width: Annotated[int, typer.Option(min=4, help="Channels of the network: 32 is what comes with pfes.")] = 32,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps; else those of the model in the box.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and of all that is made.")] = 0,
) -> None:
    """Train a network on made motion, without any video: a prior of how faces move. Goes on where it was interrupted."""
    from pfes.commands.pretrain import write_pretrained
    from pfes.network.parameters import ModelParameters
    from pfes.training.pretrain import PretrainParameters

    params = PretrainParameters() if steps is None else PretrainParameters(steps=steps)
    model = ModelParameters(width=width, heads=2 if width < 64 else 4, head_dropout=0.2)
    card = write_pretrained(out, model, params, seed)
    for where, found in card["measured_on"].items():
        console.print(f"{out / 'model.pt'}: {where}: {found}", soft_wrap=True, markup=False)


@app.command()
def events(
    run: Annotated[Path, typer.Argument(help="A run folder such as results/demo, or a folder of pfes spot.")],
    out: Annotated[Path, typer.Option(help="Folder for events and summary, CSV and Parquet.")],
    experiment: Annotated[str | None, typer.Option(help="Experiment of the run, where it has several.")] = None,
    videos: Annotated[
        Path | None, typer.Option(help="Videos sheet with columns condition... and stimulus_s to carry through.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed; else the lowest.")] = None,
    sav: Annotated[
        bool, typer.Option("--sav", help='Write SPSS files (.sav) too; needs pip install "pfes[spss]".')
    ] = False,
) -> None:
    """Write what was spotted as tables for statistics: events, and a summary per subject and condition."""
    from pfes.commands.events import write_events

    for path in write_events(run, out, experiment=experiment, sheet=videos, seed=seed, sav=sav):
        console.print(str(path), soft_wrap=True)


@app.command()
def clips(
    video: Annotated[
        Path, typer.Argument(callback=_there, help="A video file, or a folder of numbered images (then give --fps).")
    ],
    proposals: Annotated[Path, typer.Option(help="Folder of pfes spot, or a table of proposals or events.")],
    out: Annotated[Path, typer.Option(help="Folder for one short video per event.")],
    margin: Annotated[float, typer.Option(min=0, help="What is shown before and after an event, s.")] = 0.5,
    fps: Annotated[float, typer.Option(min=0, help="Native frames per second; 0: what the file says.")] = 0.0,
) -> None:
    """Cut one short video per event out of a recording."""
    from pfes.commands.clips import write_clips

    for path in write_clips(video, proposals, out, margin_s=margin, fps=fps):
        console.print(str(path), soft_wrap=True)


@app.command()
def agreement(
    first: Annotated[Path, typer.Argument(callback=_there, help="Expressions sheet of one coder.")],
    second: Annotated[
        Path, typer.Argument(callback=_there, help="Expressions sheet of the other, of the same recordings.")
    ],
    videos: Annotated[Path | None, typer.Option(help="Videos sheet; else videos.csv beside the first.")] = None,
    within: Annotated[float, typer.Option(min=0, help="Clicks so far apart are one event, s.")] = 0.5,
) -> None:
    """Say how far two coders agree: kappa on frames, and events that both have."""
    from pfes.labelling.agreement import agreement_of, agreement_table

    listing = videos or first.parent / "videos.csv"
    console.print(agreement_table(agreement_of(first, second, listing, within_s=within)))


@app.command()
def plot(
    file: Annotated[Path, typer.Argument(callback=_there, help="A file of snippets or of flow (.h5).")],
    out: Annotated[Path, typer.Option(help="Picture to write (.png).")],
    lag: Annotated[int, typer.Option(min=1, max=16, help="Frames over which motion is measured.")] = 8,
) -> None:
    """Draw how each region of interest moves over time."""
    from pfes.drawing import flow_figures

    flow_figures.write_trajectories(file, out, lag=lag)
    console.print(str(out), soft_wrap=True)


@app.command()
def arrows(
    video: Annotated[Path, typer.Argument(callback=_there, help="The recording.")],
    faces: Annotated[Path, typer.Option(help="Its file of stage faces (.h5).")],
    frame: Annotated[list[int], typer.Option(help="Sampled frame, from 0; may be given several times.")],
    out: Annotated[Path, typer.Option(help="Picture to write (.png).")],
    lag: Annotated[int, typer.Option(min=1, max=16, help="Frames over which motion is measured.")] = 8,
) -> None:
    """Draw the optical flow of some frames as arrows over the face."""
    from pfes.drawing import flow_figures

    flow_figures.write_arrows(str(video), faces, frame, out, lag=lag)
    console.print(str(out), soft_wrap=True)


@app.command()
def cache(
    run: Annotated[Path, typer.Argument(help="A run folder such as results/demo.")],
    key: Annotated[str | None, typer.Argument(help="With --prune: the one key to delete.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Delete what is not in use, or KEY.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """List the cached files of faces and flow by what computed them, or delete those that no run uses."""
    from pfes.flow import cache as files

    table = Table("stage", "key", "files", "size", "in use", "parameters")
    for entry in files.entries(run):
        used = "yes" if entry.in_use else "no"
        table.add_row(entry.stage, entry.key, str(entry.files), decimal(entry.bytes), used, entry.parameters)
    console.print(table)
    if not prune:
        return
    chosen = files.prunable(run, key)
    total = f"{sum(entry.files for entry in chosen)} files, {decimal(sum(entry.bytes for entry in chosen))}"
    names = ", ".join(f"{entry.stage}/{entry.key}" for entry in chosen)
    if not chosen:
        console.print("nothing to delete: all of it is in use")
    elif yes or typer.confirm(f"delete {names} ({total})?"):
        files.delete(chosen)
        console.print(f"deleted {names} ({total})", soft_wrap=True)


@app.command()
def info(
    file: Annotated[Path, typer.Argument(callback=_there, help="Any file of a run: .h5, .parquet or model.pt.")],
) -> None:
    """Print what a file holds and what made it."""
    from pfes.base import store

    if file.suffix == ".pt":
        from pfes.training.model import load_model

        description = load_model(file)[1]
    else:
        description = store.describe(file)
    console.print_json(json.dumps(description, default=str))


@app.command()
def summary(
    run: Annotated[Path, typer.Argument(help="A run folder such as results/demo.")],
    intensity: Annotated[bool, typer.Option("--intensity", help="The table of continuous intensity instead.")] = False,
) -> None:
    """Print the results of a run and where its report is."""
    from pfes.base import store
    from pfes.commands.experiments import run_file
    from pfes.report.sections import cautions_of
    from pfes.report.tables import clicks_table, results_table

    if intensity:
        from pfes.intensity.comparison import rich_table

        folder = run / "intensity"
        clips = store.read_table(run_file(run, "intensity/metrics.parquet"), "intensity_metrics")
        whole = store.read_table(folder / "recording_metrics.parquet", "intensity_recording_metrics")
        metrics = {"spearman": "Spearman", "kendall": "Kendall", "mae": "error"}
        console.print(rich_table(clips[clips["class"] == "all"], metrics, "Continuous intensity, per clip"))
        metrics = {"auc": "AUC", "spearman": "Spearman", "mae": "error"}
        console.print(rich_table(whole, metrics, "Continuous intensity, whole recordings"))
        console.print(f"figures: {folder}", soft_wrap=True)
        return

    results = store.read_table(run_file(run, "evaluate/metrics.parquet"), "metrics")
    if len(store.read_table(run / "dataset" / "expressions.parquet", "expressions")):
        console.print(results_table(results, json.loads((run / "summary.json").read_text())["protocol"]))
    console.print(clicks_table(store.read_table(run / "evaluate" / "clicks_found.parquet", "clicks_found")))
    for text in cautions_of(run):
        console.print(text)
    console.print(f"report: {run / 'report.html'}", soft_wrap=True)


@app.command()
def methods(
    run: Annotated[Path, typer.Argument(help="A run folder such as results/demo.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write to; else paper/ of the run.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the results, for the RO-Crate.")] = "not stated",
    creator: Annotated[str | None, typer.Option(help="Who ran it, for the RO-Crate.")] = None,
) -> None:
    """Write the methods section of a run (text, Markdown, BibTeX) and its RO-Crate metadata; print the text."""
    from pfes.commands.crate import write_crate
    from pfes.commands.methods import write_methods

    written = write_methods(run, out or run / "paper")
    console.print(written[0].read_text(encoding="utf-8"), highlight=False, markup=False)
    for path in (*written, write_crate(run, licence, creator)):
        console.print(str(path), soft_wrap=True)


@app.command()
def compare(
    run: Annotated[Path, typer.Argument(help="A run folder such as results/demo.")],
    reference: Annotated[
        str | None, typer.Option(help="Experiment that the others are compared with; else journal, or the first.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Table to write as well, .csv or .parquet.")] = None,
) -> None:
    """Print the experiments of a run side by side: F1, intervals, seed spread, differences."""
    from pfes.base import store
    from pfes.commands.experiments import run_file
    from pfes.evaluation import comparison
    from pfes.report.sections import cautions_of

    tables = comparison.RunTables.read(run_file(run, "evaluate/metrics.parquet").parent)
    if store.read_table(run / "dataset/expressions.parquet", "expressions").empty:
        raise InputError(
            f"{run}: no expression is labelled with onset and offset, so there is no F1 to compare; clicks found and "
            f"proposals per minute: pfes summary {run}"
        )
    if out is not None and out.suffix == ".parquet":
        table = comparison.write_comparison(tables, out, reference=reference)
    else:
        table = comparison.compare(tables, reference)
    console.print(comparison.comparison_table(table, json.loads((run / "summary.json").read_text())))
    for text in cautions_of(run):
        console.print(text)
    if out is not None and out.suffix != ".parquet":
        with store.atomic(out) as temporary:
            temporary.write_text(table.to_csv(index=False, float_format="%.4f"), encoding="utf-8")


@app.command()
def check(
    config: Annotated[Path, typer.Argument(callback=_there, help="Your configuration file.")],
    estimate: Annotated[bool, typer.Option(help="Estimate hours and disk, which takes some seconds.")] = True,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder for a picture of each recording with its face box.")
    ] = None,
) -> None:
    """Say what a run would find, before any work; ends with status 1 if something would be wrong."""
    from pfes.workflow import check as checks

    with console.status("reading labels, listing frames"):
        findings = checks.check(config, costs=estimate, pictures=pictures)
    console.print(checks.render(findings))
    if findings.problems:
        raise typer.Exit(1)
    console.print("nothing wrong was found")


@app.command()
def config(
    write: Annotated[bool, typer.Option("--write", help="Write schema, config.yaml and docs/settings.md.")] = False,
) -> None:
    """Print every setting with its default and what it is; in a checkout, write the files made from them."""
    from pfes.base import store
    from pfes.workflow.settings import config_yaml, written

    if not write:
        print(config_yaml(), end="")
        return
    for path, text in written().items():
        if not path.parent.is_dir():
            raise InputError(f"{path.parent}: no such folder; run pfes config --write at the root of a checkout")
        with store.atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        console.print(str(path), soft_wrap=True)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder for the configuration.")],
    dataset: Annotated[str, typer.Option(help="casme2, samm_lv, casme3 or generic.")] = "",
    root: Annotated[Path | None, typer.Option(help="Folder of your copy of the release, or of your videos.")] = None,
    size: Annotated[
        str, typer.Option(help="Network and training: paper, or small or medium for few data or no GPU.")
    ] = "paper",
    cluster: Annotated[str, typer.Option(help="slurm: a profile for this cluster, which pfes run then takes.")] = "",
) -> None:
    """Write a commented configuration for a dataset, or a profile for a cluster."""
    from pfes.commands.starter import write_starter

    if cluster not in ("", "slurm"):
        raise InputError(f"--cluster {cluster}: expected slurm")
    if cluster:
        from pfes.commands.site import write_profile

        console.print(str(write_profile(folder)), soft_wrap=True)
        if not dataset:
            return
    if not dataset or root is None:
        raise InputError("give --dataset (casme2, samm_lv, casme3 or generic) and --root, the folder of the recordings")
    written = write_starter(folder, dataset, root, size)
    for path in written:
        console.print(str(path), soft_wrap=True)
    for path in written[1:]:
        todo = "who is seen in each recording (column subject)" if path.name == "videos.csv" else "a row per expression"
        console.print(f"to fill in or correct, {path}: {todo}", soft_wrap=True)
    console.print(f"next: pfes check {written[0]}", soft_wrap=True)


@app.command("export")
def export_command(
    videos: Annotated[Path, typer.Option(help="videos.parquet of a run, or a videos sheet.")],
    format: Annotated[str, typer.Option(help="megc, elan, boris or csv.")],
    out: Annotated[Path, typer.Option(help="File to write; for elan a folder, which gets one .eaf per video.")],
    expressions: Annotated[Path | None, typer.Option(help="expressions.parquet of a run, or a sheet.")] = None,
    proposals: Annotated[list[Path] | None, typer.Option(help="proposals.parquet of a run; once per fold.")] = None,
    first_frame: Annotated[int, typer.Option(min=0, max=1, help="Number of the first frame in sheets.")] = 0,
) -> None:
    """Write labels or proposals for another tool: MEGC list, ELAN, BORIS or CSV."""
    from pfes.exchange import annotations

    table = annotations.read_videos(videos)
    given = {"expressions": [expressions] if expressions else [], "proposals": proposals or []}
    labels = {
        kind: annotations.read_labels(paths, kind, table, first_frame=first_frame)
        for kind, paths in given.items()
        if paths
    }
    if not labels:
        raise InputError("nothing to export; give --expressions or --proposals")
    files = annotations.export_labels(labels, table, format, out, first_frame=first_frame)
    counts = ", ".join(counted(len(found), kind.removesuffix("s")) for kind, found in labels.items())
    console.print(f"{counts} of {counted(len(table), 'video')} in {counted(len(files), 'file')}: {out}", soft_wrap=True)


@app.command("import")
def import_command(
    files: Annotated[list[Path], typer.Argument(callback=_there, help="Files of the other tool.")],
    videos: Annotated[Path, typer.Option(help="The videos sheet, or videos.parquet of a run.")],
    format: Annotated[str, typer.Option(help="megc, elan, boris or csv.")],
    out: Annotated[Path, typer.Option(help="Expressions sheet (CSV) to write.")],
    labels: Annotated[str, typer.Option(help="Which tiers of ELAN files: expressions or proposals.")] = "expressions",
    first_frame: Annotated[int, typer.Option(min=0, max=1, help="Number of the first frame in sheets.")] = 0,
    annotator: Annotated[
        str | None, typer.Option(help="Whose ELAN tiers to read, where several have labelled.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the sheet if it is there.")] = False,
) -> None:
    """Read labels of another tool and write them as the expressions sheet of a dataset."""
    from pfes.exchange import annotations

    if out.exists() and not overwrite:
        raise InputError(f"{out} is there already; choose another name, or replace it with --overwrite")
    table = annotations.read_videos(videos)
    found = annotations.import_labels(files, format, table, name=labels, first_frame=first_frame, annotator=annotator)
    annotations.write_sheet(found, out, first_frame=first_frame)
    videos_of = counted(found["video_id"].nunique(), "video")
    console.print(f"{counted(len(found), 'label')} of {videos_of}: {out}", soft_wrap=True)


@app.command()
def labels(
    dataset: Annotated[str, typer.Option(help="casme2, samm_lv or casme3.")],
    labels: Annotated[Path, typer.Option(help="Label file of the release, an Excel file.")],
    out: Annotated[Path, typer.Option(help="Folder for videos, expressions, repairs and refusals (Parquet).")],
    root: Annotated[
        Path | None, typer.Option(help="Folder of the recordings; without it frames are not counted.")
    ] = None,
    repair: Annotated[str, typer.Option(help="casme2: official or apex-symmetric.")] = "official",
) -> None:
    """Read the labels of an official release and print what is in them, with every repair and refusal."""
    from pfes.commands.labels import write_labels

    table = Table("what", "number", "which", title=str(labels))
    for what, number, which in write_labels(dataset, labels, out, root=root, repair=repair):
        table.add_row(what, str(number), which)
    console.print(table)
    console.print(f"{out}: videos, expressions, repairs, refusals (.parquet)", soft_wrap=True)


@app.command("import-features")
def import_features(
    features: Annotated[
        Path,
        typer.Argument(callback=_there, help="Object array .npy of [T, 17, n, 2] per video; n is 10, or 13 or more."),
    ],
    annotations: Annotated[
        Path, typer.Option(help="Folder of videoname, segments, labels and labels_gau_frame (.npy).")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the dataset and its configuration, run.yaml.")],
    dataset: Annotated[str | None, typer.Option(help="casme2, samm_lv or casme3; else by the names of videos.")] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames per second of the features; else those of the dataset.")
    ] = None,
    first_frame: Annotated[
        int | None, typer.Option(min=0, max=1, help="Number of the first frame in annotations; else 1 on casme2, 0.")
    ] = None,
) -> None:
    """Convert published features to a dataset of the workflow, without running code that they may hold."""
    from pfes.exchange.published import import_published

    found = import_published(features, annotations, out, dataset=dataset, fps=fps, first_frame=first_frame)
    points = "with their points" if found.points else "points are drawn: not every instance has a published one"
    repeated = f", {found.repeated} repeated rows left out" if found.repeated else ""
    console.print(f"{found.dataset}: {found.videos} videos, {found.instances} instances{repeated}; {points}")
    console.print(f"next: pfes run {out}/run.yaml", soft_wrap=True)


@app.command()
def onnx(
    model: Annotated[Path, typer.Argument(callback=_there, help="A model.pt.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
) -> None:
    """Write a trained model as an ONNX file, snippets in, curves out; needs pip install "pfes[onnx]"."""
    from pfes.exchange.onnx_model import export_onnx

    print(f"{out}: snippets -> {', '.join(export_onnx(model, out))}")


@app.command()
def evaluate(
    instances: Annotated[Path, typer.Option(help="List of labelled expressions, CSV or Parquet.")],
    proposals: Annotated[Path, typer.Option(help="List of predicted intervals, CSV or Parquet.")],
    videos: Annotated[Path | None, typer.Option(help="List of all videos; else those in the two lists count.")] = None,
    protocol: Annotated[str, typer.Option(help="strict, gim-release, megc2020, megc-strs or he-2021.")] = "strict",
    iou: Annotated[float, typer.Option(help="Least intersection over union of a hit.")] = 0.5,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Dataset to score; repeat for several. Else those the proposals name.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    all_protocols: Annotated[bool, typer.Option("--all-protocols", help="Score under every protocol.")] = False,
    intervals: Annotated[bool, typer.Option("--intervals", help="Add 95 % intervals of F1 over subjects.")] = False,
) -> None:
    """Score predictions of any method: columns video, class, onset, offset; see docs/evaluation.md."""
    from pfes.evaluation.parameters import BootstrapParameters
    from pfes.evaluation.protocols import PROTOCOLS
    from pfes.exchange import scoring

    draws = BootstrapParameters() if intervals else None

    def scored(name: str) -> dict[str, Any]:
        return scoring.score_lists(
            instances, proposals, videos, protocol=name, iou=iou, datasets=dataset or (), bootstrap=draws
        )

    results = [scored(name) for name in (PROTOCOLS if all_protocols else [protocol])]
    if results[0]["datasets_left_out"]:
        left_out = ", ".join(results[0]["datasets_left_out"])
        print(f"pfes: not scored, no proposals: {left_out} (score it with --dataset)", file=sys.stderr)
    if as_json:
        found = {result["protocol"]: result for result in results} if all_protocols else results[0]
        print(json.dumps(found, indent=2))
    else:
        console.print(scoring.score_table(results))
        for result in results if intervals else ():
            console.print(scoring.interval_line(result), highlight=False)


@app.command("doctor")
def doctor_command() -> None:
    """Say what is missing on this machine, and what of its SLURM a profile has to know."""
    from pfes.commands import doctor, site

    doctor.main()
    console.print("all libraries can be loaded")
    for line in site.report():
        console.print(line, soft_wrap=True, highlight=False)


@app.command("run", context_settings={"ignore_unknown_options": True})
def run_command(
    configs: Annotated[list[Path], typer.Argument(help="Configuration files; after -- any options of Snakemake.")],
) -> None:
    """Run the workflow on this machine or a cluster, going on where a killed run ended; docs/cluster.md."""
    from pfes.commands.run import run

    sys.exit(run(*_parted(configs)))


def _parted(words: list[Path]) -> tuple[list[Path], list[str]]:
    """Return the configurations (.yaml), which come first, and what is Snakemake's: options, files to make."""
    first = next((i for i, word in enumerate(words) if word.suffix not in (".yaml", ".yml")), len(words))
    return words[:first], [str(word) for word in words[first:]]


def main() -> None:
    """Run the command; bad input ends with one line and status 2."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=Console(stderr=True), show_path=False)],
    )
    try:
        app()
    except InputError as error:
        print(f"pfes: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
