"""Spot one recording of one's own, with trained models or without any: the stages of a run, on one video.

Differences from a run
----------------------
There is no held-out subject: given a run folder, intensity and class scores are the means over the models of all folds
and seeds of one experiment, each of which was trained without one subject; so are any further outputs of the method, and the
least scores of an experiment that chooses them for each fold. Candidates of all models are taken together.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pfes.base import store
from pfes.base.config import build
from pfes.base.errors import InputError
from pfes.base.progress import watched
from pfes.base.records import CLASSES, file_name
from pfes.commands.experiments import of_experiment
from pfes.commands.extract import STAGES, ExtractParameters, extract, parameters
from pfes.decoding.proposals import SpotParameters
from pfes.drawing import figures, overlay
from pfes.intensity.comparison import Beside
from pfes.intensity.figures import stream_curves
from pfes.intensity.parameters import StreamParameters
from pfes.intensity.prediction import find_models, write_stream
from pfes.media import decode
from pfes.methods.baseline import BaselineParameters
from pfes.methods.registry import spot_parameters, training_free
from pfes.methods.training_free.calibration import Calibration, calibrate, check_stretch
from pfes.methods.training_free.parameters import TrainingFreeParameters
from pfes.spotting.limits import with_limits
from pfes.spotting.proposal_tables import locate, proposed
from pfes.spotting.training_free import read_signals
from pfes.training import box
from pfes.training.model import SpottingModel, load_model, predict

log = logging.getLogger(__name__)
PROPOSALS = "proposals.csv"


BOX = "box"  # what --model may be beside a path: the model that comes with pfes
WITHOUT_MODEL = {"none": "training_free", "baseline": "baseline"}  # what --model may be beside a path: its method


@dataclass(frozen=True)
class Wanted:
    """What is asked of a recording.

    Parameters
    ----------
    model
        A run folder such as ``results/demo``, one ``model.pt``, BOX, or a key of WITHOUT_MODEL.
    experiment
        Which experiment of the run folder; may be left out where there is one only.
    continuous
        Also the continuous intensity of the run folder's models for it (``pfes.intensity``).
    overlay
        Also the overlay video.
    threshold
        c of method training_free, None for its default.
    neutral, alarms_per_minute
        The stretch without expressions (from, to), s, on which c is set, and the false alarms that it may leave there.
    """

    model: Path | str = "none"
    experiment: str | None = None
    continuous: bool = False
    overlay: bool = True
    threshold: float | None = None
    neutral: tuple[float, float] | None = None
    alarms_per_minute: float | None = None

    def __post_init__(self) -> None:
        free, calibrated = str(self.model), (self.neutral, self.alarms_per_minute)
        if self.continuous and free in (BOX, *WITHOUT_MODEL):
            raise InputError(f"--intensity needs the models of a run; give --model results/<run> instead of {free}")
        if free != "none" and (self.threshold is not None or any(value is not None for value in calibrated)):
            raise InputError("--threshold, --neutral and --alarms-per-minute belong to --model none; leave them out")
        if (self.neutral is None) != (self.alarms_per_minute is None):
            raise InputError(
                "--alarms-per-minute needs --neutral, a stretch without expressions, and the other way round"
            )
        if self.neutral is not None and self.threshold is not None:
            raise InputError("--threshold and --neutral both set the threshold; give one of them")
        if self.neutral is not None and self.alarms_per_minute is not None:
            check_stretch(self.neutral[1] - self.neutral[0], self.alarms_per_minute)


@dataclass(frozen=True)
class Spotted:
    """What was found: curves [T] and [T, 2], the proposals, sampled frames per second, and whether a face was there [T].

    ``levels`` are those of the intensity at which proposals were cut, ``size`` the side of the crop, px.
    """

    intensity: NDArray[np.float64]
    class_scores: NDArray[np.float64]
    proposals: pd.DataFrame
    fps: float
    valid: NDArray[np.bool_]
    levels: tuple[float, ...]
    size: int


def spot(
    recording: Path | str, out: Path | str, wanted: Wanted = Wanted(), *, fps: float = 0.0, cores: int = 1
) -> Spotted:
    """Spot ``recording`` and write intermediate files, curves, proposals and an overlay video to the folder ``out``.

    ``recording``: a video, or a folder of numbered images with ``fps``, the native frames per second (0: what the file
    says). ``cores``: windows of flow that are measured side by side.

    Writes
    ------
    faces.h5; flow.h5 and snippets.h5, or displacement.h5 (see ``store``); intensity.csv, intensity.png, proposals.csv,
    overlay.mp4 if wanted, calibration.json where the threshold was set on a neutral stretch; with ``continuous`` also
    stream.h5, continuous_intensity.csv and continuous_intensity.png.

    Raises
    ------
    InputError
        The recording cannot be used, or the models cannot be found or do not belong together.
    """
    out = Path(out)
    if str(wanted.model) in WITHOUT_MODEL:
        found = _without_model(str(recording), out, wanted, fps, cores)
        _write_results(str(recording), out, found, overlaid=wanted.overlay)
        return found
    paths = model_paths(Path(wanted.model), wanted.experiment)
    models, settings = load_models(paths)
    intensity_models = find_models(wanted.model) if wanted.continuous else []
    extract(str(recording), _paths(out), parameters(settings), fps=fps, cores=cores)
    found = _with_models(out, models, with_limits(spot_parameters(settings["spot"]), _limits(paths)), settings)
    _write_results(str(recording), out, found, overlaid=wanted.overlay)
    if intensity_models:
        _write_continuous(str(recording), out, found, intensity_models, settings)
    return found


def _with_models(
    out: Path, models: Sequence[SpottingModel], params: SpotParameters, settings: Mapping[str, Any]
) -> Spotted:
    log.info("spotting")
    arrays = store.read(out / "snippets.h5", "snippets")
    valid = arrays["valid"].astype(bool)
    predicted = [predict(one, arrays["snippets"]) for one in models]
    intensity = np.mean([curve for _, curve, _ in predicted], axis=0)
    class_scores = np.mean([scores for _, _, scores in predicted], axis=0)
    rate = float(store.attributes(out / "faces.h5", "faces")["fps"])
    curves = {"intensity": intensity, "class_scores": class_scores, "valid": valid, "moved": arrays["snippets"][:, -1]}
    outputs = [
        one.method.outputs(one.head, torch.as_tensor(features))
        for one, (features, _, _) in zip(models, predicted, strict=True)
    ]
    if outputs[0] is not None:
        curves["outputs"] = np.mean([part.numpy() for part in outputs if part is not None], axis=0)
    candidates = [
        one.method.candidates(one.head, torch.as_tensor(features), valid)
        for one, (features, _, _) in zip(models, predicted, strict=True)
    ]
    if candidates[0] is not None:
        curves["candidates"] = np.concatenate([part for part in candidates if part is not None])
    proposals = proposed(models[0].method, curves, params, rate)
    return Spotted(intensity, class_scores, proposals, rate, valid, params.thresholds, int(settings["flow"]["size"]))


def _without_model(recording: str, out: Path, wanted: Wanted, fps: float, cores: int) -> Spotted:
    method, own = training_free(WITHOUT_MODEL[str(wanted.model)]), TrainingFreeParameters()
    if wanted.threshold is not None:
        own = replace(own, threshold=wanted.threshold)
    params, kind = SpotParameters(sections=(own,)), method.reads(SpotParameters(sections=(own,)))
    measuring = ExtractParameters()
    extract(recording, _paths(out), measuring, fps=fps, cores=cores, last=kind)
    log.info("spotting")
    signals, _ = read_signals(kind, out / f"{kind}.h5", out / "faces.h5")
    curves = {**method.curves(signals, params), "valid": signals.valid}
    if wanted.neutral is not None and wanted.alarms_per_minute is not None:
        seconds = np.arange(len(signals.valid)) / signals.fps
        neutral = (seconds >= wanted.neutral[0]) & (seconds < wanted.neutral[1]) & signals.valid
        said = calibrate(curves["outputs"][:, 0], neutral, signals.fps, own, wanted.alarms_per_minute)
        _tell(said, out)
        params = SpotParameters(sections=(replace(own, threshold=said.threshold),))
        curves = {**method.curves(signals, params), "valid": signals.valid}
    proposals = method.propose(curves, params, signals.fps)
    highest = max(1.0, float(curves["intensity"].max(initial=0)))  # that of baseline is in px
    levels = (0.5,) if method.name == "training_free" else ()
    return Spotted(
        curves["intensity"] / highest, curves["class_scores"] / highest, proposals, signals.fps, signals.valid,
        levels, measuring.flow.size,
    )  # fmt: skip


def _tell(said: Calibration, out: Path) -> None:
    log.info(
        "threshold %.3g: %d alarms in %.2f min of neutral face, so at most %.1f a minute (95 %%)%s",
        said.threshold, said.alarms, said.minutes, said.bound,
        "" if said.rule == "counted" else "; too short to count, set by a law of extremes",
    )  # fmt: skip
    with store.atomic(out / "calibration.json") as temporary:
        temporary.write_text(json.dumps({**asdict(said), "bound": said.bound}, indent=2), encoding="utf-8")


def _paths(out: Path) -> dict[str, Path]:
    return {stage: out / f"{stage}.h5" for stage in (*STAGES, "displacement")}


def model_paths(model: Path, experiment: str | None = None) -> list[Path]:
    """Return the model files behind ``model``: itself, that in the box, or those of all folds and seeds of a run's experiment."""
    if str(model) == BOX:
        return [box.MODEL]
    if model.is_file():
        return [model]
    found = sorted(model.glob("train/*/*/seed*/model.pt"))
    if not found:
        raise InputError(
            f"{model}: no trained model; expected a run folder (results/<run>) or a model.pt; train one with: make demo"
        )
    return of_experiment(model, found, experiment)


def load_models(paths: Sequence[Path]) -> tuple[list[SpottingModel], dict[str, Any]]:
    """Return the models and the settings of the other stages, which must be the same for all.

    How curves become proposals stands beside the models of a run (rule experiment), in models of before in themselves; for
    a model without either these are the defaults, which the log says.
    """
    loaded = [load_model(path) for path in paths]
    settings = loaded[0][1]["spotting"]
    for path, (_, meta) in zip(paths, loaded, strict=True):
        if meta["spotting"] != settings:
            raise InputError(
                f"{path}: made with other parameters than {paths[0]}; rerun the workflow, or give one model.pt"
            )
    return [model for model, _ in loaded], {"spot": {}, **settings, **_beside(paths[0], "spot" in settings)}


def _beside(model: Path, in_model: bool) -> dict[str, Any]:
    """Return what the settings file of the model's experiment, results/<run>/spot/<experiment>/settings.json, says."""
    parents = model.resolve().parents
    path = parents[4] / "spot" / parents[2].name / "settings.json" if len(parents) > 4 else Path("settings.json")
    if not path.is_file():
        if not in_model:
            log.warning("%s: no %s; proposals are made with the default settings of section spot", model, path)
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _limits(models: Sequence[Path]) -> list[Path]:
    """Return the files of least scores chosen for the folds of a run's models; none where they are fixed."""
    folders = [path.resolve().parent for path in models]
    found = [
        folder.parents[3] / "spot" / Path(*folder.parts[-3:]) / "limits.json"
        for folder in folders
        if len(folder.parts) > 5
    ]
    return [path for path in found if path.is_file()]


def _write_results(recording: str, out: Path, found: Spotted, *, overlaid: bool) -> None:
    log.info("curve and overlay")
    faces = store.read(out / "faces.h5", "faces")
    table = locate(found.proposals, "", file_name(Path(recording).stem), faces["native_frame"], found.fps)
    curve = pd.DataFrame(
        {
            "frame": np.arange(len(found.intensity)),
            "native_frame": faces["native_frame"],
            "time_s": np.arange(len(found.intensity)) / found.fps,
            "intensity": found.intensity,
            **{f"{name}_score": found.class_scores[:, index] for index, name in enumerate(CLASSES)},
            "face_found": faces["found"],
        }
    )
    figure = figures.intensity_curve(
        found.intensity, found.proposals, found.fps, found.levels, valid=found.valid, title=Path(recording).name
    )
    if overlaid:
        native = faces["native_frame"].tolist()
        frames = watched("overlay", (frame for _, frame in decode.read_at(recording, native)), len(native))
        boxes = overlay.face_boxes(faces["landmarks"], found.size, faces["cut"])
        overlay.write_overlay(
            frames, out / "overlay.mp4", found.fps, faces["landmarks"], *boxes, found.intensity, found.proposals
        )
    store.write_csv(out / "intensity.csv", curve)
    with store.atomic(out / "intensity.png") as temporary:
        temporary.write_bytes(figures.png(figure))
    store.write_csv(out / PROPOSALS, table.drop(columns="subject"))  # last: where they are, all is


def _write_continuous(
    recording: str, out: Path, found: Spotted, models: Sequence[Path], settings: Mapping[str, Any]
) -> None:
    log.info("continuous intensity, %d models", len(models))
    said = settings.get("intensity", {}).get("stream")
    stream = None if said is None else build(StreamParameters, said)
    write_stream(models, {"video": recording}, {"video": out / "faces.h5"}, out / "stream.h5", stream)
    beside = Beside(
        snippets={"video": out / "snippets.h5"}, baseline=spot_parameters(settings["spot"]).of(BaselineParameters)
    )
    curves = {
        "continuous intensity": store.read(out / "stream.h5", "stream")["intensity/video"],
        "GIM intensity": found.intensity,
        "flow magnitude, px": beside.magnitude("video")[:, 0],
    }
    table = pd.DataFrame(
        {"frame": np.arange(len(found.intensity)), "time_s": np.arange(len(found.intensity)) / found.fps}
    )
    for name, curve in curves.items():
        table[name.partition(",")[0].replace(" ", "_").lower()] = curve
    figure = stream_curves(curves, found.proposals, found.fps, Path(recording).name, bands="spotted")
    store.write_csv(out / "continuous_intensity.csv", table)
    with store.atomic(out / "continuous_intensity.png") as temporary:
        temporary.write_bytes(figures.png(figure))
