"""From clicks to a model in one command: the workflow on somebody's own sheets, then a model of all recordings.

The held-out results are those of the workflow: every subject is tested by a model that never saw it (of one subject, every
recording). The final model has seen all of them, so that its own recall on them would say nothing; the card tells the held-out
one.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from pfes.base import provenance, store
from pfes.base.config import build
from pfes.base.errors import InputError
from pfes.base.records import CLASSES
from pfes.methods.registry import training_parameters
from pfes.network.parameters import ModelParameters
from pfes.training import box
from pfes.training.fold import FoldInputs, train_fold
from pfes.training.model import load_model
from pfes.workflow.plan import Plan, plan_file
from pfes.workflow.sizes import SIZES, sized

RUN, EXPERIMENT, BOX, STILL = "learn", "journal", "box", "training_free"
KEPT = (
    "training on these clicks was no gain: on clicks that it never saw, what was learned is worse than the model in the box, so"
    " model.pt is that one, unchanged; click more, in more recordings, and learn again"
)
DRAWS = 3  # of the clicks that are left out
# Where a training begins from the model in the box: fewer epochs, and no stages that only say where to look.
FROM_BOX: dict[str, Any] = {
    "start": "box",
    "start_layers": "heads",
    "epochs": 12,
    "decay_every": 4,
    "gim": {"hard_epochs": 0, "gaussian_epochs": 0, "theta_epochs": 6},
}
FOLDS = {"small": 4, "medium": 6}  # groups of subjects, where there are more subjects than that


@dataclass(frozen=True)
class Learned:
    """What came of it: the table ``clicks_found`` of the held-out results, what a person should know, and the files."""

    found: pd.DataFrame
    notes: tuple[str, ...]
    model: Path
    card: Path
    report: Path


def learn(
    expressions: Path,
    videos: Path,
    out: Path,
    *,
    size: str = "small",
    cores: int = 2,
    curve: bool = False,
    licence: str = "not stated",
) -> Learned:
    """Train on the sheets and write model.pt, model.json (its card), learn.yaml and results/learn below ``out``.

    Parameters
    ----------
    size : small, medium or paper, of the network and its training.
    curve : also train on a quarter and half of the clicks, three draws each.

    Raises
    ------
    InputError
        The sheets cannot be used, or the workflow ended with an error; its log is named.
    """
    if size not in SIZES:
        raise InputError(f"--size {size}: expected one of {', '.join(SIZES)}")
    out.mkdir(parents=True, exist_ok=True)
    path = out / "learn.yaml"
    config = configuration(expressions, videos, size, curve)
    _write(path, config)
    plan = plan_file(path)
    if not plan.release.labelled:
        raise InputError(f"{expressions}: no expression; click on some with: pfes label")
    config = for_release(config, plan, size)
    _write(path, config)
    plan = plan_file(path)
    _run(out, path, cores)
    run = out / "results" / RUN
    found = store.read_table(run / "evaluate/clicks_found.parquet", "clicks_found")
    notes = _notes(plan, found, run)
    if worse_than_box(found):
        shutil.copyfile(box.MODEL, out / "model.pt")
        notes.insert(0, KEPT)
    else:
        _final(run, plan, out)
    card = write_card(out, plan, found, tuple(notes), licence)
    return Learned(found, tuple(notes), out / "model.pt", card, run / "report.html")


def configuration(expressions: Path, videos: Path, size: str, curve: bool) -> dict[str, Any]:
    """Return the configuration of the workflow for sheets, before they are read."""
    chosen, begun = sized(size), size == "small"
    if begun:
        gim = {**chosen["training"]["gim"], **FROM_BOX["gim"]}
        chosen = {**chosen, "training": {**chosen["training"], **FROM_BOX, "gim": gim}, "spot": box.SPOT}
    sheets = {"videos": str(videos.resolve()), "expressions": str(expressions.resolve())}
    experiments = [EXPERIMENT, STILL, *([BOX] if begun else []), *(["clicks_half", "clicks_quarter"] if curve else [])]
    seeds = list(range(DRAWS)) if curve else [0]
    return {
        "run": RUN,
        "dataset": {"name": "generic", **sheets},
        "experiments": experiments,
        "seeds": seeds,
        **chosen,
    }


def for_release(config: dict[str, Any], plan: Plan, size: str) -> dict[str, Any]:
    """Return the configuration with what depends on the sheets: where points lie, and folds."""
    rows = plan.release.expressions
    clicked = "native_point" in rows and rows["native_point"].notna().all()
    subjects = len({video.subject for video in plan.release.videos})
    folds = FOLDS.get(size)
    groups = {"folds": {"scheme": "groups", "groups": folds}} if folds is not None and subjects > folds else {}
    return {**config, "points": {"mode": "given" if clicked or rows.empty else "apex"}, **groups}


def _write(path: Path, config: dict[str, Any]) -> None:
    with store.atomic(path) as temporary:
        temporary.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _run(out: Path, config: Path, cores: int) -> None:
    """Run the workflow in ``out`` as ``pfes run`` does, so that it goes on where it was killed; it talks to the terminal."""
    command = [sys.executable, "-m", "pfes.commands.cli", "run", str(config.resolve()), "--", "--cores", str(cores)]
    done = subprocess.run(command, cwd=out, check=False)
    if done.returncode and not (out / "results" / RUN / "evaluate/clicks_found.parquet").exists():
        raise InputError(
            f"the workflow ended with an error; see {out / 'results' / RUN / 'logs'} and pfes check {config}"
        )


def _final(run: Path, plan: Plan, out: Path) -> None:
    """Train a model on all recordings: no subject is held out."""
    own = plan.experiments[EXPERIMENT]
    dataset = run / "dataset"
    inputs = FoldInputs(
        {name: run / "snippets" / f"{name}.h5" for name in plan.videos}, run / f"points/{EXPERIMENT}/seed0.parquet",
        dataset / "videos.parquet", neutral=dataset / "neutral.parquet",
    )  # fmt: skip
    stages = {name: plan.depends("train", EXPERIMENT)[name] for name in ("sampling", "faces", "flow", "snippets")}
    spotting = {**stages, "spot": plan.depends("experiment", EXPERIMENT)["spot"]}
    model, training = build(ModelParameters, own["model"]), training_parameters(own["training"])
    train_fold(inputs, out, model, training, 0, EXPERIMENT, spotting)


def worse_than_box(found: pd.DataFrame) -> bool:
    """Return whether what was learned finds less of held-out clicks than the model in the box, if that was asked.

    ``found`` is the table ``clicks_found``. Compared is 2 found / (clicks + proposals), which a model that proposes more and
    finds no more loses.
    """
    overall = found[found["class"] == "overall"].set_index("experiment")
    if BOX not in overall.index:
        return False
    proposals = overall["proposals_per_minute"] * overall["recorded_minutes"]
    both = 2 * overall["found"] / (overall["clicks"] + proposals)
    return bool(both[EXPERIMENT] < both[BOX])


def _notes(plan: Plan, found: pd.DataFrame, run: Path) -> list[str]:
    """Return what a person should know of the results."""
    overall = found[found["class"] == "overall"].set_index("experiment")
    own, still = overall.loc[EXPERIMENT], overall.loc[STILL]
    notes = []
    if not own["recall"] > still["recall"] and not own["unmatched_per_minute"] < still["unmatched_per_minute"]:
        notes.append(
            f"the model is no better than pfes spot without a model on held-out clicks (recall {own['recall']:.2f} against"
            f" {still['recall']:.2f}): use that, and click more"
        )
    never = [kind for kind in CLASSES if not found.loc[found["class"] == kind, "clicks"].any()]
    notes += [f"class {kind}: never clicked; the model has not learned it" for kind in never]
    refused = store.read_table(run / "dataset/refusals.parquet", "refusals")
    notes += [f"row {row['row']} was left out: {row['reason']}" for row in refused.to_dict("records")]
    return notes


def write_card(out: Path, plan: Plan, found: pd.DataFrame, notes: tuple[str, ...], licence: str) -> Path:
    """Write what the model is and what it can do, model.json, and return its path."""
    dataset = out / "results" / RUN / "dataset"
    videos, expressions, clicks, neutral = (
        store.read_table(dataset / f"{name}.parquet", name) for name in ("videos", "expressions", "clicks", "neutral")
    )
    _, meta = load_model(out / "model.pt")
    seen = meta["train_videos"] or videos.loc[videos["n_frames"] > 0, "video_id"]  # that in the box has seen none
    usable = videos[videos["video_id"].isin(seen)]
    overall = found[(found["class"] == "overall") & (found["experiment"].isin([EXPERIMENT, BOX, STILL, "baseline"]))]
    one = any(
        rule.startswith("one subject") for rule in store.read_table(dataset / "repairs.parquet", "repairs")["rule"]
    )
    names = (
        "recall",
        "recall_low",
        "recall_high",
        "proposals_per_minute",
        "unmatched_per_minute",
        "minutes_80",
        "recorded_minutes",
    )
    card = {
        "model": "model.pt",
        "kind": "trained on these clicks" if meta["train_videos"] else "the model in the box, unchanged",
        "licence": licence,
        "subjects": 1 if one else int(usable["subject"].nunique()),
        "recordings": len(usable),
        "minutes": round(float((usable["n_frames"] / usable["sampled_fps"]).sum() / 60), 2),
        "clicks": {
            kind: int(sum((table["class"] == kind).sum() for table in (expressions, clicks))) for kind in CLASSES
        },
        "neutral_stretches": len(neutral),
        "protocol": f"{plan.config['folds']['scheme']}, {len(plan.folds)} folds"
        + (", recordings of one subject" if one else ""),
        "held_out": {
            row["experiment"]: {name: None if np.isnan(row[name]) else round(row[name], 4) for name in names}
            for row in overall.to_dict("records")
        },
        "notes": list(notes),
        "made": provenance.record("learn", {"experiment": EXPERIMENT}, [out / "model.pt"]),
    }
    path = out / "model.json"
    with store.atomic(path) as temporary:
        temporary.write_text(json.dumps(card, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    return path
