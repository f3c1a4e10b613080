"""The command ``pfes``."""

import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from pfes.errors import InputError

# Numerical libraries take a second or more to import: each command imports what it needs, so that --help is instant.

app = typer.Typer(
    help="Find macro- and micro-expressions in face videos, trained from one labelled frame per expression.",
    epilog="Train and evaluate on a dataset with Snakemake: see README.md. Try it: make demo.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
bench = typer.Typer(help="Measure speed and accuracy on this machine.", no_args_is_help=True)
app.add_typer(bench, name="bench")
console = Console()


@app.command()
def spot(
    video: Annotated[Path, typer.Argument(help="A video file, or a folder of numbered images (then give --fps).")],
    model: Annotated[Path, typer.Option(help="A run folder such as results/demo, or one model.pt.")],
    out: Annotated[Path, typer.Option(help="Folder for curve, proposals and overlay video.")],
    experiment: Annotated[str | None, typer.Option(help="Experiment of the run folder, where it has several.")] = None,
    fps: Annotated[float, typer.Option(help="Native frames per second; 0: what the file says.")] = 0.0,
) -> None:
    """Spot expressions in one video of your own."""
    from pfes.spotting import spot as spot_video

    with console.status("spotting"):
        found = spot_video(video, model, out, experiment=experiment, fps=fps)
    table = Table(
        "class", "onset", "apex", "offset", "score", title=f"{len(found.proposals)} expressions in {video.name}"
    )
    for row in found.proposals.to_dict("records"):
        times = [f"{row[name] / found.fps:.2f} s" for name in ("onset", "apex", "offset")]
        table.add_row(row["class"], *times, f"{row['score']:.2f}")
    console.print(table)
    console.print(f"{out / 'proposals.csv'}, intensity.csv, intensity.png, overlay.mp4", soft_wrap=True)


@app.command()
def info(
    file: Annotated[Path, typer.Argument(help="Any file of a run: .h5, .parquet or model.pt.")],
) -> None:
    """Print what a file holds and what made it."""
    from pfes import store

    if file.suffix == ".pt":
        from pfes.training import load_model

        description = load_model(file)[1]
    else:
        description = store.describe(file)
    console.print_json(json.dumps(description, default=str))


@app.command()
def summary(
    run: Annotated[Path, typer.Argument(help="A run folder such as results/demo.")],
) -> None:
    """Print the results of a run and where its report is."""
    from pfes import store
    from pfes.report import results_table

    console.print(results_table(store.read_table(run / "evaluate" / "metrics.parquet", "metrics")))
    console.print(f"report: {run / 'report.html'}", soft_wrap=True)


@bench.command("flow")
def bench_flow(
    sizes: Annotated[list[int], typer.Option(help="Sides of the crop, px.")] = [128, 256],  # noqa: B006
    repeats: Annotated[int, typer.Option(help="Interleaved runs of every method.")] = 5,
) -> None:
    """Time and error of optical flow: OpenCV's methods and ours, against known displacement."""
    from pfes import bench as benchmarks

    console.print(benchmarks.machine())
    console.print(benchmarks.bench_flow(sizes, repeats).to_string(index=False))


def main() -> None:
    """Run the command; bad input ends with one line and status 2."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        handlers=[RichHandler(console=Console(stderr=True), show_path=False)],
    )
    logging.getLogger("pfes.spotting").setLevel(logging.INFO)
    try:
        app()
    except InputError as error:
        print(f"pfes: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
