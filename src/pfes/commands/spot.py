"""Spot one recording of one's own with trained models: the stages of a run, on one video.

Differences from a run
----------------------
There is no held-out subject: given a run folder, intensity and class scores are the means over the models of all folds
and seeds of one experiment, each of which was trained without one subject; so are any further outputs of the method, and the
least scores of an experiment that chooses them for each fold. Candidates of all models are taken together.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pfes.base import store
from pfes.base.config import build
from pfes.base.errors import InputError
from pfes.base.records import CLASSES, file_name
from pfes.commands.extract import STAGES, extract, parameters
from pfes.decoding.proposals import SpotParameters
from pfes.drawing import figures, overlay
from pfes.intensity.comparison import Beside
from pfes.intensity.figures import stream_curves
from pfes.intensity.prediction import StreamParameters, find_models, write_stream
from pfes.media import decode
from pfes.methods.baseline import BaselineParameters
from pfes.methods.registry import spot_parameters
from pfes.spotting.limits import with_limits
from pfes.spotting.proposal_tables import locate
from pfes.training.model import SpottingModel, load_model, predict

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spotted:
    """What was found: curves [T] and [T, 2], the proposals, sampled frames per second, and whether a face was there [T]."""

    intensity: NDArray[np.float32]
    class_scores: NDArray[np.float32]
    proposals: pd.DataFrame
    fps: float
    valid: NDArray[np.bool_]


def spot(
    recording: Path | str,
    model: Path | str,
    out: Path | str,
    *,
    experiment: str | None = None,
    fps: float = 0.0,
    continuous: bool = False,
) -> Spotted:
    """Spot ``recording`` and write intermediate files, curves, proposals and an overlay video to the folder ``out``.

    Parameters
    ----------
    recording
        A video, or a folder of numbered images with ``fps``.
    model
        A run folder such as ``results/demo``, or one ``model.pt``.
    experiment
        Which experiment of the run folder; may be left out where there is one only.
    fps
        Native frames per second, 0 for what the file says.
    continuous
        Also the continuous intensity of the run folder's models for it (``pfes.intensity``).

    Writes
    ------
    faces.h5, flow.h5, snippets.h5 (see ``store``), intensity.csv, intensity.png, proposals.csv, overlay.mp4;
    with ``continuous`` also stream.h5, continuous_intensity.csv and continuous_intensity.png.

    Raises
    ------
    InputError
        The recording cannot be used, or the models cannot be found or do not belong together.
    """
    out = Path(out)
    paths = model_paths(Path(model), experiment)
    models, settings = load_models(paths)
    intensity_models = find_models(model) if continuous else []
    params = with_limits(spot_parameters(settings["spot"]), _limits(paths))
    snippets, valid = _snippets(str(recording), out, settings, fps)
    log.info("spotting")
    predicted = [predict(one, snippets) for one in models]
    intensity = np.mean([curve for _, curve, _ in predicted], axis=0)
    class_scores = np.mean([scores for _, _, scores in predicted], axis=0)
    rate = float(store.attributes(out / "faces.h5", "faces")["fps"])
    curves = {"intensity": intensity, "class_scores": class_scores, "valid": valid}
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
    proposals = models[0].method.propose(curves, params, rate)
    found = Spotted(intensity, class_scores, proposals, rate, valid)
    _write_results(str(recording), out, found, params, int(settings["flow"]["size"]))
    if intensity_models:
        _write_continuous(str(recording), out, found, intensity_models, settings)
    return found


def model_paths(model: Path, experiment: str | None = None) -> list[Path]:
    """Return the model files behind ``model``: itself, or those of all folds and seeds of a run's experiment."""
    if model.is_file():
        return [model]
    found = sorted(model.glob("train/*/*/seed*/model.pt"))
    experiments = sorted({path.parts[-4] for path in found})
    if not found:
        raise InputError(
            f"{model}: no trained model; expected a run folder (results/<run>) or a model.pt; train one with: make demo"
        )
    chosen = experiments[0] if experiment is None and len(experiments) == 1 else experiment
    if chosen not in experiments:
        raise InputError(
            f"{model}: experiment {experiment!r}; choose one of {', '.join(experiments)} with --experiment"
        )
    return [path for path in found if path.parts[-4] == chosen]


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


def _snippets(
    recording: str, out: Path, settings: dict[str, Any], fps: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    paths = {stage: out / f"{stage}.h5" for stage in STAGES}
    extract(recording, paths, parameters(settings), fps=fps)
    arrays = store.read(paths["snippets"], "snippets")
    return arrays["snippets"], arrays["valid"].astype(bool)


def _write_results(recording: str, out: Path, found: Spotted, params: SpotParameters, size: int) -> None:
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
        found.intensity, found.proposals, found.fps, params.thresholds, valid=found.valid, title=Path(recording).name
    )
    for name, content in (
        ("intensity.csv", curve.to_csv(index=False, float_format="%.6g").encode()),
        ("proposals.csv", table.drop(columns="subject").to_csv(index=False, float_format="%.6g").encode()),
        ("intensity.png", figures.png(figure)),
    ):
        with store.atomic(out / name) as temporary:
            temporary.write_bytes(content)
    frames = (frame for _, frame in decode.read_at(recording, faces["native_frame"].tolist()))
    boxes = overlay.face_boxes(faces["landmarks"], size, faces["cut"])
    overlay.write_overlay(
        frames, out / "overlay.mp4", found.fps, faces["landmarks"], *boxes, found.intensity, found.proposals
    )


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
    for name, content in (
        ("continuous_intensity.csv", table.to_csv(index=False, float_format="%.6g").encode()),
        ("continuous_intensity.png", figures.png(figure)),
    ):
        with store.atomic(out / name) as temporary:
            temporary.write_bytes(content)
