"""Sheets whose expressions are one frame each: what becomes of clicks, of neutral stretches and of a single subject."""

import numpy as np
import pytest

from pfes import datasets
from pfes.base import store
from pfes.base.errors import InputError
from pfes.datasets.points import PointParameters, write_points
from pfes.media.decode import SamplingParameters
from tests.conftest import write_video

VIDEOS = "subject,video,path\nanna,a,a.mp4\nben,b,b.mp4\n"


def write(folder, expressions, videos=VIDEOS):
    (folder / "videos.csv").write_text(videos)
    (folder / "expressions.csv").write_text(expressions)
    return {"name": "generic", "videos": str(folder / "videos.csv"), "expressions": str(folder / "expressions.csv")}


def tables(folder, expressions, fps=60, length=120):
    """Write videos of ``length`` frames and return the tables of stage dataset."""
    for name in "ab":
        write_video(folder / f"{name}.mp4", np.arange(length) / fps)
    settings = write(folder, expressions)
    datasets.write_dataset(datasets.load("generic", settings), folder / "out", SamplingParameters(), settings)
    kinds = ("expressions", "clicks", "neutral", "refusals", "repairs")
    return {kind: store.read_table(folder / "out" / f"{kind}.parquet", kind) for kind in kinds}


def test_rows_become_intervals_clicks_and_neutral_stretches(tmp_path):
    sheet = (
        "subject,video,class,onset,offset,point\nanna,a,macro,,,40\nanna,a,macro,60,80,70\n"
        "ben,b,neutral,0,30,\nben,b,micro,90,,95\n"
    )
    found = tables(tmp_path, sheet)  # 60 frames/s: every second frame is sampled
    assert found["expressions"][["instance", "onset", "apex", "offset", "point"]].to_numpy().tolist() == [
        [1, 30, 35, 40, 35]
    ]
    assert found["clicks"][["instance", "class", "frame", "native_frame", "row"]].to_numpy().tolist() == [
        [0, "macro", 20, 40, 2],
        [2, "micro", 48, 95, 5],
    ]
    assert found["neutral"][["video_id", "onset", "offset"]].to_numpy().tolist() == [["ben_b", 0, 15]]
    assert found["repairs"].query("value == 'kept'")[["row", "found"]].to_numpy().tolist() == [[5, "onset alone"]]


def test_seconds_give_the_same_tables_as_frames(tmp_path):
    frames = "subject,video,class,onset,offset,point\nanna,a,macro,,,40\nanna,a,macro,60,80,70\nben,b,neutral,0,30,\n"
    seconds = "subject,video,class,onset_s,offset_s,point_s\nanna,a,macro,,,0.6667\nanna,a,macro,1,1.3333,1.1667\nben,b,neutral,0,0.5,\n"
    expected = tables(tmp_path, frames)
    found = tables(tmp_path, seconds)
    for kind in ("expressions", "clicks", "neutral"):
        assert found[kind].astype(object).to_numpy().tolist() == expected[kind].astype(object).to_numpy().tolist(), kind


def test_a_click_beyond_the_end_and_a_second_one_on_a_frame_are_refused_by_row(tmp_path):
    sheet = (
        "subject,video,class,point,point_s\nanna,a,macro,120,\nanna,a,macro,40,\nanna,a,macro,,0.667\nben,b,micro,3,\n"
    )
    found = tables(tmp_path, sheet)
    assert found["refusals"][["row", "reason"]].to_numpy().tolist() == [
        [2, "click lies beyond the last frame 119 of anna_a"],
        [4, "a second macro click on the frame of row 3"],
    ]
    assert found["clicks"]["row"].tolist() == [3, 5]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("anna,a,macro,,,7\nanna,a,macro,,,7\n", "row 3: a second macro click on the frame of row 2"),
        ("anna,a,macro,,,7\nanna,a,neutral,5,9,\n", "row 2: its click lies in the neutral stretch of row 3"),
        ("anna,a,macro,,,\n", "row 2: no frame"),
    ],
)
def test_clicks_that_contradict_stop_the_run(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        datasets.load("generic", write(tmp_path, f"subject,video,class,onset,offset,point\n{rows}"))


def test_points_are_the_clicks_whatever_the_mode(tmp_path):
    tables(
        tmp_path, "subject,video,class,onset,offset,point\nanna,a,macro,,,40\nanna,a,macro,60,80,70\nben,b,micro,,,95\n"
    )
    folder = tmp_path / "out"
    write_points(
        folder / "expressions.parquet", folder / "p.parquet", PointParameters("middle"), 0, folder / "clicks.parquet"
    )
    points = store.read_table(folder / "p.parquet", "points")
    assert points[["instance", "class", "frame"]].to_numpy().tolist() == [
        [0, "macro", 20],
        [1, "macro", 35],
        [2, "micro", 48],
    ]


def test_one_subject_becomes_one_per_recording(tmp_path):
    videos = "subject,video,path\nanna,a,a.mp4\nanna,b,b.mp4\n"
    settings = write(tmp_path, "subject,video,class,point\nanna,a,macro,7\nanna,b,micro,9\n", videos)
    release = datasets.load("generic", settings)
    assert [(video.subject, video.video_id) for video in release.videos] == [("anna/a", "anna_a"), ("anna/b", "anna_b")]
    assert release.clicks["subject"].tolist() == release.labelled == ["anna/a", "anna/b"]
    assert release.repairs["rule"].tolist() == ["one subject: each recording stands for one"] * 2
