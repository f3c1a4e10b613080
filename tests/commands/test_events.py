"""Tables of events from the files of a run, and of one spotted recording."""

import json

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.base.records import PROPOSAL_COLUMNS, VIDEO_COLUMNS
from pfes.commands.events import write_events
from pfes.exchange.spss import write_sav
from pfes.faces.align import ROI_NAMES
from pfes.faces.landmarks import USABLE
from pfes.spotting.events import EVENT_COLUMNS
from tests.spotting.test_events import faces, proposal, snippets

ORIGIN = provenance.record("test", {})


def write_run(folder):
    """A run of one subject and one recording of 60 frames, whose cache also holds faces of another key."""
    run = folder / "results/run"
    run.mkdir(parents=True)
    (run / "cache.json").write_text(json.dumps({"faces": "new", "flow": "new"}))
    stages(run, {"snippets": "snippets/a_film", "faces": "faces/new/a_film"})
    (run / "faces/another").mkdir()
    (run / "faces/another/a_film.h5").write_bytes(b"not read")
    videos = pd.DataFrame(
        [("generic", "a", "film", "a_film", "x.mp4", 30.0, 60, 60, 30.0, None)], columns=list(VIDEO_COLUMNS)
    )
    store.write_table(run / "dataset/videos.parquet", "videos", videos, ORIGIN)
    store.write_table(run / "spot/journal/a/seed0/proposals.parquet", "proposals", rows("a_film"), ORIGIN)
    return run


def stages(folder, names):
    motion = snippets()
    store.write(
        folder / f"{names['snippets']}.h5",
        "snippets",
        {"snippets": motion, "valid": np.ones(60, bool)},
        ORIGIN,
        size=90,
    )
    write_faces(folder / f"{names['faces']}.h5")


def write_faces(path):
    frames = {"native_frame": 2 * np.arange(60), "found": np.ones(60, np.uint8), "cut": np.zeros(60, bool)}
    seen = {**faces(), **frames, "state": np.full(60, USABLE, np.uint8)}
    store.write(path, "faces", seen, ORIGIN, fps=30.0)


def rows(video):
    table = pd.DataFrame([proposal(10, 20, 39, video=video)]).assign(
        subject="a", mean_intensity=0.1, peak_intensity=0.2
    )
    return table[list(PROPOSAL_COLUMNS)]


def test_a_run_gives_events_with_the_conditions_of_the_sheet(tmp_path):
    run = write_run(tmp_path)
    (tmp_path / "v.csv").write_text("subject,video,path,condition,condition 2,stimulus_s\na,film,x.mp4,fear,late,0.1\n")
    write_events(run, tmp_path / "out", sheet=tmp_path / "v.csv")
    event = pd.read_csv(tmp_path / "out/events.csv").iloc[0]
    assert event[["subject", "video", "condition", "condition 2", "class"]].tolist() == [
        "a",
        "film",
        "fear",
        "late",
        "macro",
    ]
    summary = pd.read_parquet(tmp_path / "out/summary.parquet").set_index("class")
    assert summary.loc["macro", "rate_per_min"] == pytest.approx(30)  # one in the 2 s of 60 frames
    assert summary.loc["macro", "latency_s"] == pytest.approx(10 / 30 - 0.1)
    assert summary.loc["micro", "events"] == 0


def test_spss_reads_the_same_tables_with_labels(tmp_path):
    run = write_run(tmp_path)
    (tmp_path / "v.csv").write_text("subject,video,path,condition 2,stimulus_s\na,film,x.mp4,Zoë,0.1\n")
    write_events(run, tmp_path / "out", sheet=tmp_path / "v.csv", sav=True)
    for name in ("events", "summary"):
        table = pd.read_parquet(tmp_path / f"out/{name}.parquet")
        found, meta = pyreadstat.read_sav(tmp_path / f"out/{name}.sav")
        assert list(found) == [column.replace(" ", "_") for column in table]
        wanted = table.set_axis(list(found), axis=1)
        pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
    assert meta.column_names_to_labels["rate_per_min"] == "events per usable minute"
    assert meta.variable_measure["condition_2"] == "nominal" and meta.variable_measure["events"] == "scale"
    assert meta.original_variable_types["events"] == "F8.0"


def test_a_recording_without_events_has_the_same_types_in_spss(tmp_path):
    table = pd.DataFrame(columns=list(EVENT_COLUMNS))
    write_sav(tmp_path / "events.sav", table)
    _, meta = pyreadstat.read_sav(tmp_path / "events.sav")
    assert meta.variable_measure["onset"] == "scale" and meta.variable_measure["region"] == "nominal"


@pytest.mark.parametrize("other", ["condition_2", "Condition 2"])
def test_two_columns_of_one_spss_name_are_refused(tmp_path, other):
    table = pd.DataFrame({"condition 2": ["a"], other: ["b"]})
    with pytest.raises(InputError, match=f"condition 2, {other} have one name in SPSS"):
        write_sav(tmp_path / "x.sav", table)
    assert not list(tmp_path.iterdir())


def test_a_spotted_recording_gives_events_too(tmp_path):
    stages(tmp_path, {name: name for name in ("snippets", "faces")})
    rows("clip").drop(columns="subject").to_csv(tmp_path / "proposals.csv", index=False)
    write_events(tmp_path, tmp_path / "out")
    assert pd.read_csv(tmp_path / "out/events.csv")[["video", "onset", "offset"]].to_numpy().tolist() == [
        ["clip", 20, 78]
    ]


def test_a_recording_spotted_without_a_model_gives_events_too(tmp_path):
    place = np.zeros((60, 10, 2))
    place[:, 7, 0] = np.arange(60) / 40  # g, half the 30 px between the inner corners; the eyes are 60 px apart
    write_faces(tmp_path / "faces.h5")
    store.write(tmp_path / "displacement.h5", "displacement", {"displacement": place}, ORIGIN, fps=30.0)
    rows("clip").drop(columns="subject").to_csv(tmp_path / "proposals.csv", index=False)
    write_events(tmp_path, tmp_path / "out")
    event = pd.read_csv(tmp_path / "out/events.csv").iloc[0]
    assert event["displacement_pct"] == pytest.approx(100 * 10 / 40 * 15 / 60) and event["region"] == ROI_NAMES[7]


def test_a_sheet_of_other_recordings_is_refused(tmp_path):
    (tmp_path / "v.csv").write_text("subject,video,path,condition\nb,film,x.mp4,fear\n")
    with pytest.raises(InputError, match="no row of subject 'a', video 'film'"):
        write_events(write_run(tmp_path), tmp_path / "out", sheet=tmp_path / "v.csv")
