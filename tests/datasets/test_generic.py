"""The two sheets of anybody's recordings: what is read, repaired, refused and said."""

import cv2
import numpy as np
import pandas as pd
import pytest

from pfes import datasets
from pfes.base import store
from pfes.base.errors import InputError
from pfes.media.decode import SamplingParameters
from tests.conftest import write_video
from tests.layouts import images, tables

VIDEOS = "subject,video,path,fps\nanna,a,a.mp4,60\nben,b,b.mp4,\n"
EXPRESSIONS = "subject,video,onset,apex,offset,class\nanna,a,10,14,20,macro\nben,b,3,,9,micro\n"


def write(folder, videos=VIDEOS, expressions=EXPRESSIONS):
    (folder / "videos.csv").write_text(videos)
    (folder / "expressions.csv").write_text(expressions)
    return {"name": "generic", "videos": str(folder / "videos.csv"), "expressions": str(folder / "expressions.csv")}


def load(folder, **sheets):
    return datasets.load("generic", write(folder, **sheets))


def test_sheets_become_records(tmp_path):
    release = load(tmp_path)
    assert [(video.video_id, video.fps) for video in release.videos] == [("anna_a", 60), ("ben_b", 0)]
    assert release.videos[0].path == str(tmp_path / "a.mp4")
    assert release.expressions[["native_onset", "native_apex", "native_offset"]].to_numpy().tolist() == [
        [10, 14, 20],
        [3, 6, 9],
    ]
    assert release.repairs[["row", "column", "value"]].to_numpy().tolist() == [[3, "apex", "6"]]


def test_numbers_that_start_at_one_are_shifted(tmp_path):
    settings = write(tmp_path) | {"first_frame": 1}
    assert datasets.load("generic", settings).expressions["native_onset"].tolist() == [9, 2]


@pytest.mark.parametrize(
    ("sheets", "message"),
    [
        (
            {"videos": VIDEOS.replace("fps", "rate")},
            r"videos.csv: unknown column 'rate'; expected subject, video, path",
        ),
        ({"expressions": EXPRESSIONS.replace("offset", "end")}, "unknown column 'end'; expected subject, video, class"),
        (
            {"expressions": EXPRESSIONS.replace("macro", "makro")},
            r"row 2: class 'makro', expected macro, micro or neutral",
        ),
        ({"expressions": EXPRESSIONS.replace("ben,b", "bob,b")}, r"row 3: subject 'bob' has no video"),
        ({"expressions": EXPRESSIONS.replace("ben,b", "ben,c")}, r"row 3: video 'c' of subject 'ben' is not in"),
        ({"expressions": EXPRESSIONS.replace("10,14,20", "30,14,20")}, r"row 2: onset 30 > offset 20"),
        ({"expressions": EXPRESSIONS.replace("10,14,20", "10,24,20")}, r"row 2: apex 24 lies outside of 10..20"),
        ({"expressions": EXPRESSIONS.replace("10,14,20", "x,14,20")}, r"row 2: onset 'x', expected a frame number"),
        (
            {"expressions": EXPRESSIONS.replace("10,14,20", "-1,14,20")},
            r"row 2: onset '-1', expected a frame number from 0",
        ),
        ({"videos": VIDEOS.replace("60", "fast")}, r"row 2: fps 'fast' is not a number"),
        ({"videos": VIDEOS + "anna,a,c.mp4,30\n"}, "several videos are called 'anna_a'"),
        ({"videos": "subject,video,path\n", "expressions": "subject,video,onset,offset,class\n"}, "no video is listed"),
    ],
)
def test_what_is_wrong_is_named_with_its_row(tmp_path, sheets, message):
    with pytest.raises(InputError, match=message):
        load(tmp_path, **sheets)


def test_all_bad_rows_are_in_one_message(tmp_path):
    bad = EXPRESSIONS.replace("macro", "makro").replace("micro", "mikro")
    with pytest.raises(InputError, match=r"2 rows cannot be used(.|\n)*row 2(.|\n)*row 3"):
        load(tmp_path, expressions=bad)


def test_a_missing_sheet_is_named(tmp_path):
    settings = write(tmp_path) | {"videos": str(tmp_path / "gone.csv")}
    with pytest.raises(InputError, match=r"gone.csv: no such sheet"):
        datasets.load("generic", settings)


def test_names_cannot_leave_the_results_folder(tmp_path):
    release = load(
        tmp_path,
        videos="subject,video,path\n../../etc,pass wd,a.mp4\n",
        expressions="subject,video,onset,offset,class\n",
    )
    assert release.videos[0].video_id == "_.._etc_pass_wd"


def test_parquet_sheets_work_too(tmp_path):
    settings = write(tmp_path)
    for name in ("videos", "expressions"):
        pd.read_csv(settings[name]).to_parquet(tmp_path / f"{name}.parquet")
        settings[name] = str(tmp_path / f"{name}.parquet")
    assert len(datasets.load("generic", settings).expressions) == 2


def test_tables_count_frames_and_refuse_labels_beyond_the_end(tmp_path):
    """anna: 24 frames at 60 fps, sampled by 2; ben's video is missing: his row and label stay, with the reason."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(24):
        cv2.imwrite(str(frames / f"{number}.png"), np.zeros((8, 8, 3), np.uint8))
    rows = EXPRESSIONS + "anna,a,10,20,40,macro\n"
    release = load(tmp_path, videos=VIDEOS.replace("a.mp4", "frames"), expressions=rows)
    datasets.write_dataset(release, tmp_path, SamplingParameters(), {})
    tables = {
        kind: store.read_table(tmp_path / f"{kind}.parquet", kind) for kind in ("videos", "expressions", "refusals")
    }
    assert tables["videos"]["n_frames"].tolist() == [12, 0]
    assert "no such file" in tables["videos"]["refused"][1]
    assert tables["expressions"][["onset", "apex", "offset"]].to_numpy().tolist()[0] == [5, 7, 10]
    assert tables["expressions"]["video_id"].tolist() == ["anna_a", "ben_b"]
    assert tables["refusals"]["reason"].tolist() == ["offset 40 lies beyond the last frame 23 of anna_a"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_sheets_of_any_spreadsheet_program_are_read(tmp_path, encoding, separator):
    """With a byte order mark or without, Windows line ends, accents and spaces in names and paths."""
    (tmp_path / "Überblick").mkdir()
    settings = write(tmp_path / "Überblick")
    for name, text in (("videos", VIDEOS), ("expressions", EXPRESSIONS)):
        text = text.replace("anna", "José María").replace("a.mp4", "mes vidéos/a.mp4")
        content = text.replace(",", separator).replace("\n", "\r\n")
        coded = b"\xff\xfe" + content.encode("utf-16-le") if encoding == "utf-16-le-bom" else content.encode(encoding)
        (tmp_path / "Überblick" / f"{name}.csv").write_bytes(coded)
    release = datasets.load("generic", settings)
    assert [video.subject for video in release.videos] == ["José María", "ben"]
    assert release.videos[0].path == str(tmp_path / "Überblick/mes vidéos/a.mp4")
    assert release.videos[0].video_id == "José_María_a"
    assert release.expressions["native_onset"].tolist() == [10, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("subject,video,path\nJosé,a,a.mp4\n".encode("latin-1"), r"cannot be read as CSV .*save it as CSV in UTF-8"),
        (
            b"subject,video,path\nanna,a,a.mp4,extra\n,,,\nb,c,d,e,f\n",
            r"cannot be read as CSV .*Expected 4 fields",
        ),
        (b"PK\x03\x04 an Excel file", r"this is an Excel file; expected CSV or Parquet; save it as CSV in UTF-8"),
        (b"", r"cannot be read as CSV .*No columns"),
    ],
    ids=["latin-1", "ragged", "excel", "empty"],
)
def test_a_sheet_that_cannot_be_read_is_named(tmp_path, content, message):
    settings = write(tmp_path)
    (tmp_path / "videos.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"videos.csv: " + message):
        datasets.load("generic", settings)


def test_blank_lines_count_in_the_numbers_of_rows(tmp_path):
    with pytest.raises(InputError, match=r"row 5: class 'makro'"):
        load(tmp_path, expressions=EXPRESSIONS.replace("\nben", "\n\n,,,,,\nben").replace("micro", "makro"))


def test_a_repeated_row_is_named(tmp_path):
    with pytest.raises(InputError, match=r"1 rows cannot be used(.|\n)*row 4: same as row 2"):
        load(tmp_path, expressions=EXPRESSIONS + "anna,a,10,15,20,macro\n")


def test_overlaps_and_instances_of_one_frame_are_kept_and_named(tmp_path):
    """anna       10..........20
      20..........30               same class, one common frame: named
                    31..........40   same class, none: not named
    18                               other class, one frame: named for its length"""
    rows = "anna,a,20,25,30,macro\nanna,a,18,18,18,micro\nanna,a,31,35,40,macro\n"
    release = load(tmp_path, expressions=EXPRESSIONS + rows)
    assert len(release.expressions) == 5
    kept = release.repairs[release.repairs["value"] == "kept"]
    assert kept[["row", "found", "rule"]].to_numpy().tolist() == [
        [4, "20-30, as row 2", "overlaps another of its class"],
        [5, "1 frames", "instance of one frame"],
    ]


def test_a_name_that_means_nothing_elsewhere_is_a_name(tmp_path):
    release = load(tmp_path, videos=VIDEOS.replace("anna", "NA"), expressions=EXPRESSIONS.replace("anna", "NA"))
    assert release.videos[0].subject == "NA"


def test_clicks_go_with_their_expressions(tmp_path):
    """At 60 fps click 15 is sampled frame rint(7.5) = 8; an expression without one has none."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(24):
        cv2.imwrite(str(frames / f"{number}.png"), np.zeros((8, 8, 3), np.uint8))
    rows = "subject,video,onset,offset,class,point\nanna,a,10,20,macro,15\nanna,a,1,5,micro,\n"
    release = load(tmp_path, videos="subject,video,path,fps\nanna,a,frames,60\n", expressions=rows)
    datasets.write_dataset(release, tmp_path, SamplingParameters(), {})
    table = store.read_table(tmp_path / "expressions.parquet", "expressions")
    assert table["point"].fillna(-1).tolist() == [8, -1]


@pytest.mark.parametrize("mark", ["", "/", "-1", "-1.0"])
def test_an_apex_that_was_not_annotated_is_the_midpoint(tmp_path, mark):
    release = load(tmp_path, expressions=EXPRESSIONS.replace("10,14,20", f"10,{mark},20"))
    assert release.expressions["native_apex"][0] == 15
    assert tuple(release.repairs.iloc[0][["row", "found", "value", "rule"]]) == (2, mark, "15", "no apex: midpoint")


def test_named_frames_are_those_of_the_images(tmp_path):
    """img98 img99 img101 img102 .. img109: the missing 100 is the next one; in time, 109 stays 11 frames after 98."""
    images(tmp_path / "frames", [f"img{number}.jpg" for number in range(98, 110) if number != 100])
    rows = "subject,video,onset,apex,offset,class,point\nanna,a,98,100,109,micro,102\nanna,a,101,103,120,macro,\n"
    settings = write(tmp_path, "subject,video,path,fps\nanna,a,frames,30\n", rows) | {"first_frame": "named"}
    made = tables("generic", settings, tmp_path / "out")
    assert made["expressions"][["onset", "apex", "offset"]].to_numpy().tolist() == [[0, 3, 11], [3, 5, 11]]
    assert made["expressions"]["native_offset"].tolist() == [10, 10]
    assert made["expressions"]["point"].fillna(-1).tolist() == [4, -1]
    assert made["repairs"][["row", "column", "found", "value"]].to_numpy().tolist() == [
        [2, "apex", "100", "101"],
        [3, "offset", "120", "109"],
    ]


def test_labels_of_a_variable_rate_are_sampled_by_time(tmp_path):
    """30 frames at 30 fps, then 30 at 15 fps: native frame 40 is shown at 1 + 10 / 15 s, sampled frame 50."""
    write_video(tmp_path / "a.mp4", np.concatenate([np.arange(30) / 30, 1 + np.arange(30) / 15]))
    rows = "subject,video,onset,apex,offset,class\nanna,a,10,31,40,macro\n"
    release = load(tmp_path, videos="subject,video,path\nanna,a,a.mp4\n", expressions=rows)
    datasets.write_dataset(release, tmp_path, SamplingParameters(), {})
    videos = store.read_table(tmp_path / "videos.parquet", "videos")
    assert (videos["n_native"][0], videos["sampled_fps"][0]) == (60, 30.0)
    table = store.read_table(tmp_path / "expressions.parquet", "expressions")
    assert table[["onset", "apex", "offset"]].to_numpy().tolist() == [[10, 32, 50]]


def test_a_click_outside_is_named(tmp_path):
    rows = "subject,video,onset,offset,class,point\nanna,a,10,20,macro,25\n"
    with pytest.raises(InputError, match=r"row 2: point 25 lies outside of 10..20"):
        load(tmp_path, expressions=rows)
