"""The methods section of a paper, from a run itself: a paragraph with its settings, versions and citations.

Every number is read from the run's files (their provenance, models, tables), none from a configuration that may have changed
since. ``[@key]`` marks a citation, as Pandoc reads it; in plain text it becomes authors and year.

Written
-------
methods.txt     the paragraph for a word processor
methods.md      the paragraph with Pandoc citations, every setting that the methods read, and what was chosen on what data
references.bib  the works that it cites
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.records import CLASSES
from pfes.base.text import counted
from pfes.commands.citations import WORKS, bibtex
from pfes.commands.experiments import run_file
from pfes.methods.base import LearnedMethod
from pfes.methods.registry import method_of
from pfes.report.tables import flatten
from pfes.training.model import load_model, method_name

METHOD_WORKS = {
    "conference": "gim2025", "journal": "gim2026", "as_released": "gim2026", "supervised": "spotformer",
    "baseline": "moilanen", "lac": "lac", "hrpro_stage1": "hrpro", "hrpro": "hrpro", "tsp": "tsp", "sfnet": "sfnet",
}  # fmt: skip
DATASETS = {"casme2": "CAS(ME)^2 [@casme2]", "samm_lv": "SAMM Long Videos [@samm_lv]", "casme3": "CAS(ME)^3 [@casme3]",
            "demo": "the rendered demo dataset of pfes"}  # fmt: skip
POINTS = {
    "gaussian": "drawn from a normal distribution around the apex with a standard deviation of {spread} of the duration, cut to"
    " the expression",
    "apex": "the apex",
    "uniform": "drawn evenly from the expression",
    "middle": "the middle of the expression",
    "given": "the frame that an annotator had clicked on",
}
CITATION = re.compile(r"\[@([^\]]+)\]")


@dataclass(frozen=True)
class Trained:
    """One learned experiment: the meta of one of its models, its section spot, its folds (held-out subjects) and seeds."""

    meta: Mapping[str, Any]
    spot: Mapping[str, Any]
    points: Mapping[str, Any]
    folds: tuple[tuple[str, ...], ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class RunFacts:
    """What a methods section tells of a run; ``free`` is experiment -> settings of methods without training."""

    name: str
    videos: pd.DataFrame
    labels: pd.Series
    evaluate: Mapping[str, Any]
    versions: Mapping[str, str]
    trained: Mapping[str, Trained]
    free: Mapping[str, Mapping[str, Any]]
    faces: Mapping[str, Any]
    repairs: int


def write_methods(run: Path, out: Path) -> list[Path]:
    """Write the methods section of a finished run to the folder ``out`` and return the files.

    Raises
    ------
    InputError
        ``run`` is not the folder of a run, or the run has not come to its results.
    """
    facts = read_facts(run)
    text = paragraph(facts)
    keys = list(dict.fromkeys(key for found in CITATION.findall(text) for key in re.split(r"; ?@", found)))
    written = {
        "methods.txt": plain(text) + "\n",
        "methods.md": "\n".join(
            [f"# Methods of the run {facts.name}", "", text, "", *_settings(facts), *_choices(facts)]
        ),
        "references.bib": bibtex(keys),
    }
    for name, content in written.items():
        with store.atomic(out / name) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return [out / name for name in written]


def read_facts(run: Path) -> RunFacts:
    """Return what is to be told of a run."""
    metrics = run_file(run, "evaluate/metrics.parquet")
    made = store.describe(metrics)["provenance"]
    dataset = run / "dataset"
    videos = store.read_table(dataset / "videos.parquet", "videos")
    labels = [store.read_table(dataset / f"{name}.parquet", name)["class"] for name in ("expressions", "clicks")]
    trained, free = {}, {}
    for name in dict.fromkeys(store.read_table(metrics, "metrics")["experiment"]):
        if (run / "spot" / name / "proposals.parquet").is_file():
            free[name] = store.describe(run / "spot" / name / "proposals.parquet")["provenance"]["parameters"]
        else:
            trained[name] = _trained(run, name)
    usable = videos[videos["refused"].isna()]["video_id"]
    faces = next((path for name in usable for path in sorted((run / "faces").glob(f"*/{name}.h5"))), None)
    return RunFacts(
        run.resolve().name, videos, pd.concat(labels), made["parameters"],
        {"pfes": made["pfes"], "Python": made["python"], **made["libraries"]}, trained, free,
        {} if faces is None else store.describe(faces)["provenance"]["parameters"],
        len(store.read_table(dataset / "repairs.parquet", "repairs")),
    )  # fmt: skip


def _trained(run: Path, name: str) -> Trained:
    models = sorted((run / "train" / name).glob("*/seed*/model.pt"))
    if not models:
        raise InputError(f"{run}: no model of experiment {name}; go on with: pfes run and its configuration")
    metas = [load_model(path)[1] for path in models]
    points = store.describe(run / f"points/{name}/seed{metas[0]['seed']}.parquet")["provenance"]["parameters"]
    settings = run_file(run, f"spot/{name}/settings.json")
    spot = pd.read_json(settings, typ="series")["spot"]
    folds = dict.fromkeys(tuple(meta["held_out"]) for meta in metas)
    return Trained(metas[0], spot, points, tuple(folds), tuple(sorted({meta["seed"] for meta in metas})))


def paragraph(facts: RunFacts) -> str:
    """Return the paragraph, citations as ``[@key]``."""
    return " ".join(
        [_data(facts), *_preparation(facts), *(_experiment(name, one) for name, one in facts.trained.items()),
         *(_free(name, one) for name, one in facts.free.items()), _evaluation(facts), _software(facts)]
    )  # fmt: skip


def plain(text: str) -> str:
    """Return a text with authors and years in place of citation marks.

    >>> plain("Flow [@tvl1] and faces [@mediapipe; @dlib].")
    'Flow (Zach et al., 2007) and faces (Lugaresi et al., 2019; King, 2009).'
    """
    return CITATION.sub(
        lambda found: f"({'; '.join(WORKS[key].label for key in re.split(r'; ?@', found.group(1)))})", text
    )


def _data(facts: RunFacts) -> str:
    good = facts.videos[facts.videos["refused"].isna()]
    minutes = float((good["n_frames"] / good["sampled_fps"]).sum() / 60)
    names = [DATASETS.get(name, "our own recordings") for name in dict.fromkeys(facts.videos["dataset"])]
    counts = facts.labels.value_counts()
    marked = " and ".join(f"{counts.get(kind, 0)} {kind}-expressions" for kind in CLASSES)
    lost = len(facts.videos) - len(good)
    return (
        f"We used {counted(len(good), 'recording')} ({minutes:.1f} min) of {counted(good['subject'].nunique(), 'subject')} from"
        f" {' and '.join(names)}, with {marked} labelled"
        f"{'; ' + counted(lost, 'recording') + ' could not be used' if lost else ''}."
    )


def _preparation(facts: RunFacts) -> Iterator[str]:
    """Yield what was done before any method: sampling, faces, flow."""
    if facts.faces:
        found, sampling = facts.faces["faces"], facts.faces["sampling"]
        found_by = {
            "mediapipe": f"with MediaPipe {facts.versions['mediapipe']} [@mediapipe]",
            "dlib": "with dlib [@dlib]",
        }
        how = found_by.get(found["backend"], "by another program (OpenFace or py-feat)")
        yield (
            f"Recordings were sampled at about {sampling['fps']:g} frames/s, and 68 facial landmarks were found in every frame"
            f" {how}; frames in which the face had turned by more than {found['max_yaw']:g} degrees or the eyes were less than"
            f" {found['min_interocular']:g} px apart were not used."
        )
    first = next(iter(facts.trained.values()), None)
    if first is not None:
        flow, snippets = first.meta["spotting"]["flow"], first.meta["spotting"]["snippets"]
        solver = {"tvl1": "TV-L1 [@tvl1]", "farneback": "Farnebäck's [@farneback]"}.get(flow["method"], flow["method"])
        yield (
            f"The face was aligned to a crop of {flow['size']} x {flow['size']} px, and {solver} optical flow was computed over a"
            f" sliding window of 17 frames [@spotformer] and averaged at ten regions of interest"
            f"{', less the motion of the nose' if snippets['head_motion'] == 'nose' else ''}."
        )


def _experiment(name: str, one: Trained) -> str:
    """Return the sentences about an experiment that is trained."""
    model, training, method = one.meta["model"], one.meta["training"], method_of(method_name(one.meta))
    work = METHOD_WORKS.get(method.name)
    cited = f" [@{work}]" if work else ""
    if method.labels == "intervals":
        learned = "onset and offset of every expression"
    else:
        kept = POINTS[one.points["mode"]].format(spread=one.points.get("spread"))
        share = f" (a share of {one.points['share']:g} of them)" if one.points.get("share", 1) < 1 else ""
        learned = f"one labelled frame per expression{share}, {kept}"
    single = all(len(fold) == 1 for fold in one.folds)
    folds = f"leave-one-subject-out, {len(one.folds)} folds" if single else f"{len(one.folds)} folds of subjects"
    seeds = ", ".join(map(str, one.seeds))
    text = (
        f"{name}: the method {method.name}{cited} with a SpotFormer [@spotformer] of {model['width']} channels and"
        f" {model['heads']} attention heads was trained on {learned}. Each subject was tested by a model that had not seen it"
        f" ({folds}), trained for {counted(training['epochs'], 'epoch')} with Adam (learning rate {training['learning_rate']:g}, times"
        f" {training['decay']:g} every {training['decay_every']} epochs; weight decay {training['weight_decay']:g};"
        f" {'seed' if len(one.seeds) == 1 else 'seeds'} {seeds})."
    )
    if training["cached"]:
        text += f" Its SpotFormer was that of {training['cached']}, frozen."
    return f"{text} {_spotting(one.spot)}" if method.reads_spot else text


def _spotting(spot: Mapping[str, Any]) -> str:
    thresholds = ", ".join(f"{value:g}" for value in spot["thresholds"])
    nms = "" if spot["sigma"] is None else f"soft-NMS [@softnms] (sigma {spot['sigma']:g}) and "
    limits = "; ".join(
        f"{kind} {spot[kind]['min_frames']} to {spot[kind]['max_frames']} frames, score at least"
        f" {'chosen by the points of each fold' if spot['limits'] == 'points' else format(spot[kind]['min_score'], 'g')}, at most"
        f" {spot[kind]['max_per_video']} a video"
        for kind in CLASSES
    )
    smooth = f", smoothed over {spot['smooth_frames']} frames," if spot["smooth_frames"] > 1 else ""
    kept = "" if spot["both_classes"] else " (of two such classes the one of the higher score)"
    early = "limited in length first, " if spot["length_first"] else ""
    return (
        f"Proposals are runs of the intensity{smooth} above {thresholds}, of each class whose score at the apex is above"
        f" {spot['class_threshold']:g}{kept}, {early}after {nms}non-maximum suppression at an IoU of {spot['nms_iou']:g} ({limits}),"
        f" scored {'by eq. 15' if spot['score'] == 'eq15' else 'as in the published code'} of GIM [@gim2025]."
    )


def _free(name: str, settings: Mapping[str, Any]) -> str:
    """Return the sentence about an experiment without training."""
    method = method_of(settings.get("method", name))
    work = METHOD_WORKS.get(method.name)
    own = {kind.section: settings[kind.section] for kind in method.spot_sections if kind.section in settings}
    said = ", ".join(f"{key} {value}" for key, value in flatten(own))
    return f"{name}: the method {method.name}{f' [@{work}]' if work else ''}, without training ({said})."


def _evaluation(facts: RunFacts) -> str:
    settings, draws = facts.evaluate, facts.evaluate["bootstrap"]
    counted = (
        "optimal one-to-one matching of all proposals and all expressions of a class"
        if settings["protocol"] == "strict"
        else f"the protocol {settings['protocol']}"
    )
    return (
        f"Results were counted by {counted} at an IoU of at least {settings['iou']:g}; intervals of F1 are {100 * draws['level']:g} %"
        f" bootstrap intervals over subjects ({draws['samples']} draws)."
    )


def _software(facts: RunFacts) -> str:
    versions = facts.versions
    return (
        f"All was computed with pfes {versions['pfes']} under Snakemake [@snakemake], Python {versions['Python']}, PyTorch"
        f" {versions['torch']} [@pytorch], NumPy {versions['numpy']} and OpenCV {versions['opencv-contrib-python']}."
    )


def _settings(facts: RunFacts) -> Iterator[str]:
    """Yield the tables of every setting that the methods of the run read."""
    yield "## Settings"
    for name, one in facts.trained.items():
        method = method_of(method_name(one.meta))
        assert isinstance(method, LearnedMethod)
        read = {kind.section for kind in (*method.training_sections, *method.spot_sections)}
        meta = one.meta
        sections = {
            **meta["spotting"],
            "points": one.points,
            "model": meta["model"],
            "training": meta["training"],
            "spot": one.spot,
        }
        rows = {
            section: {
                key: value
                for key, value in values.items()
                if not isinstance(value, Mapping) or key in (*read, *CLASSES)
            }
            for section, values in sections.items()
        }
        yield from _table(name, rows)
    for name, settings in facts.free.items():
        read = {kind.section for kind in method_of(settings.get("method", name)).spot_sections}
        yield from _table(name, {"spot": {key: value for key, value in settings.items() if key in read}})
    yield from _table(
        "evaluation", {"evaluate": {key: value for key, value in facts.evaluate.items() if key != "proposals"}}
    )


def _table(name: str, settings: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"### {name}", "", "| setting | value |", "|---|---|")
    yield from (f"| `{key}` | `{value}` |" for key, value in flatten(settings))


def _choices(facts: RunFacts) -> Iterator[str]:
    """Yield the list of what was chosen on what data."""
    yield from ("", "## What was chosen on what data", "")
    for name, one in facts.trained.items():
        validated = one.meta["training"]["epoch_choice"] == "validation"
        epoch = "by the validation subjects of each fold" if validated else "the last one, fixed beforehand"
        limits = "by the points of each fold's own subjects" if one.spot["limits"] == "points" else "fixed beforehand"
        yield f"- {name}: epoch {epoch}; least scores {limits}."
    if "demo" in set(facts.videos["dataset"]):
        yield "- Fixed settings of config/demo.yaml: chosen on the demo itself, the subjects that are tested among it."
    yield "- On what data the settings that are fixed beforehand were chosen stands in no file: say it yourself."
    yield f"- Labels repaired or noted: {facts.repairs}, listed in dataset/repairs.parquet and in the report."
    yield ""
