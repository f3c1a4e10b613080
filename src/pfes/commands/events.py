"""Events and their summary from a run, or of one spotted recording: the tables of ``pfes.spotting.events``, as CSV, Parquet and SPSS files."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.names import clean
from pfes.commands.experiments import of_experiment
from pfes.datasets.generic import CONDITION
from pfes.datasets.sheets import number, read_csv
from pfes.evaluation.metrics import read_proposals
from pfes.exchange.spss import write_sav
from pfes.flow.cache import LAST_RUN
from pfes.methods.base import Measured
from pfes.spotting.events import EVENT_COLUMNS, STIMULUS, events_of, summary
from pfes.spotting.training_free import read_signals


def write_events(
    run: Path,
    out: Path,
    *,
    experiment: str | None = None,
    sheet: Path | None = None,
    seed: int | None = None,
    sav: bool = False,
) -> list[Path]:
    """Write events and summary of a run and return the files.

    Parameters
    ----------
    run : folder of a run, or of ``pfes spot`` (one recording, subject and video called as its file).
    experiment, seed : whose proposals; may be left out where there is one experiment, and for the lowest seed.
    sheet : the videos sheet, with columns ``condition...`` and ``stimulus_s``.
    sav : write the tables for SPSS too.

    Raises
    ------
    InputError
        There are no such proposals, or the sheet lacks a recording of the run.
    """
    spotted = (run / "proposals.csv").is_file()
    if spotted:
        proposals = pd.read_csv(run / "proposals.csv", dtype={"video_id": str})
        name = str(proposals["video_id"].iloc[0]) if len(proposals) else run.name
        videos = pd.DataFrame({"subject": [name], "video": [name], "video_id": [name]})
    else:
        proposals = read_proposals(_proposal_files(run, experiment, seed))
        videos = store.read_table(run / "dataset/videos.parquet", "videos")
    known, conditions = _conditions(sheet, videos)
    rows, events = [], []
    for video in videos.to_dict("records"):
        faces, measured = _stage_files(run, None if spotted else video["video_id"])
        kind = next((kind for kind, path in measured.items() if path.is_file()), None)
        if kind is None or store.refusal(measured[kind], kind) is not None:
            continue
        signals, _ = read_signals(kind, measured[kind], faces)
        own = proposals[proposals["video_id"] == video["video_id"]]
        names = {"subject": video["subject"], "video": video["video"], **known.get(video["video_id"], {})}
        events.append(events_of(own, kind, signals, store.read(faces, "faces")["interocular"]).assign(**names))
        rows.append({**names, "usable_s": signals.valid.sum() / signals.fps})
    if not rows:
        raise InputError(f"{run}: no recording with motion; run the workflow first")
    table = pd.concat([part for part in events if len(part)] or events[:1], ignore_index=True)
    kept = [*EVENT_COLUMNS, *conditions, *([STIMULUS] if STIMULUS in table else [])]
    tables = {"events": table[kept], "summary": summary(table, pd.DataFrame(rows), conditions)}
    written = []
    for name, found in tables.items():
        written += [out / f"{name}.csv", out / f"{name}.parquet"]
        store.write_csv(written[-2], found)
        with store.atomic(written[-1]) as temporary:
            found.to_parquet(temporary, index=False)
        if sav:
            written.append(out / f"{name}.sav")
            write_sav(written[-1], found)
    return written


def _stage_files(run: Path, video_id: str | None) -> tuple[Path, dict[Measured, Path]]:
    """Return the faces of a recording of a run, or of the only one, and by stage where its motion may lie, best first."""
    if video_id is None:
        return run / "faces.h5", {"snippets": run / "snippets.h5", "displacement": run / "displacement.h5"}
    last = run / LAST_RUN
    keys = json.loads(last.read_text(encoding="utf-8")) if last.is_file() else {}
    measured: dict[Measured, Path] = {kind: run / kind / f"{video_id}.h5" for kind in ("snippets", "displacement")}
    return run / "faces" / keys.get("faces", "") / f"{video_id}.h5", measured


def _proposal_files(run: Path, experiment: str | None, seed: int | None) -> list[Path]:
    found = sorted(run.glob("spot/*/*/seed*/proposals.parquet"))
    if experiment is not None and (run / "spot" / experiment / "proposals.parquet").is_file():
        return [run / "spot" / experiment / "proposals.parquet"]
    own = of_experiment(run, found, experiment, also=("baseline",))
    seeds = sorted({int(path.parts[-2].removeprefix("seed")) for path in own})
    if seed is not None and seed not in seeds:
        raise InputError(f"{run}: no seed {seed} of {own[0].parts[-4]}, found {', '.join(map(str, seeds))}")
    return [path for path in own if path.parts[-2] == f"seed{seeds[0] if seed is None else seed}"]


def _conditions(sheet: Path | None, videos: pd.DataFrame) -> tuple[dict[str, dict[str, object]], Sequence[str]]:
    """Return video_id -> its cells of the condition columns and the stimulus, and the names of the conditions."""
    if sheet is None:
        return {}, []
    cells = read_csv(sheet) if sheet.suffix != ".parquet" else pd.read_parquet(sheet).astype(str)
    conditions = [str(name) for name in cells if CONDITION.fullmatch(str(name))]
    found: dict[str, dict[str, object]] = {}
    places = {(clean(row["subject"]), clean(row["video"])): row for row in cells.to_dict("records")}
    for video in videos.to_dict("records"):
        subject = video["subject"].removesuffix(f"/{video['video']}")
        row = places.get((subject, video["video"]))
        if row is None:
            raise InputError(
                f"{sheet}: no row of subject {subject!r}, video {video['video']!r}, which the run has; is it its sheet?"
            )
        found[video["video_id"]] = {name: clean(str(row[name])) for name in conditions}
        if STIMULUS in cells:
            time = number(row[STIMULUS])
            found[video["video_id"]][STIMULUS] = np.nan if time is None else time
    return found, conditions
