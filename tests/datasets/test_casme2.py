"""CAS(ME)^2: code_final.xlsx and frame folders as released, with their dirt."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from pfes import datasets
from pfes.base import store
from pfes.base.errors import InputError
from pfes.commands.cli import app
from pfes.commands.labels import write_labels
from tests.layouts import changes, frames, images, tables, workbook

MAE, ME = "macro-expression", "micro-expression"
ROWS = [
    [1, "disgust1_1", 5, 8, 30, "4+7", "negative", MAE, "fear"],
    [1, "disgust1_2", 12, 14, 18, "4", "others", ME, "fear"],
    [2, "happy5_1", 3, 6, 25, "12", "positive", MAE, "happiness"],
]


def row(subject=1, video="disgust1_3", onset=5, apex=8, offset=30, kind=MAE):
    return [subject, video, onset, apex, offset, "4", "others", kind, "anger"]


def labels(tmp_path, *rows, repair="official"):
    settings = {"labels": str(workbook(tmp_path / "code_final.xlsx", list(rows))), "repair": repair}
    return datasets.load("casme2", settings, labels_only=True)


@pytest.fixture
def release(tmp_path):
    """Two subjects; a gap, an unreadable image and unpadded numbers in s15/0101; s16/0508 padded; s16/0401 has no label."""
    root = tmp_path / "Données CASME 2"
    numbers = [number for number in range(1, 41) if number not in (8, 9)]
    images(root / "rawpic/s15/15_0101disgustingteeth", [f"img{n:03d}.jpg" for n in numbers], bad=["img020.jpg"])
    images(root / "rawpic/s16/16_0508funny", [f"img{n}.jpg" for n in range(1, 121)])
    images(root / "rawpic/s16/16_0401girlcrash", ["img001.jpg", ".hidden.jpg"])
    workbook(root / "code_final.xlsx", ROWS, [[15, "s15", 1], [16, "s16", 2]], [[101, "disgust1"], [508, "happy5"]])
    (root / "~$code_final.xlsx").write_bytes(b"lock file of Excel")
    return root


def test_a_release_folder_is_all_that_is_needed(release, tmp_path):
    found = tables("casme2", {"root": str(release)}, tmp_path / "out")
    assert found["videos"]["video_id"].tolist() == ["s15_0101", "s16_0401", "s16_0508"]
    assert found["videos"]["n_frames"].tolist() == [38, 1, 120]
    assert set(found["videos"]["fps"]) == {30.0}
    assert found["videos"]["refused"].isna().all()
    assert found["expressions"]["video_id"].tolist() == ["s15_0101", "s15_0101", "s16_0508"]
    assert found["expressions"]["class"].tolist() == ["macro", "micro", "macro"]


def test_labels_count_the_images_that_are_there(release, tmp_path):
    """Numbers 8 and 9 are missing: an apex on 8 takes number 10, which is frame 7, and later labels lie two earlier."""
    found = tables("casme2", {"root": str(release)}, tmp_path / "out")
    assert frames(found["expressions"]) == [[4, 7, 27], [9, 11, 15], [2, 5, 24]]
    assert changes(found["repairs"]) == [(1, "apex", "8", "10", "no such frame: the next present one")]


def test_the_cropped_release_has_the_same_videos(tmp_path):
    root = tmp_path / "CAS(ME)2_longVideoFaceCropped"
    images(root / "longVideoFaceCropped/s27/27_0505funnyinnovations", ["img1.jpg"])
    path = workbook(tmp_path / "CAS(ME)^2code_final.xlsx", [row(11, "happy3_1", 1, 1, 1)])
    release = datasets.load("casme2", {"root": str(root)})
    assert [video.video_id for video in release.videos] == ["s27_0505"]
    assert release.videos[0].path.endswith("27_0505funnyinnovations")
    assert release.sources == (str(path),)


def test_rawpic_is_taken_before_the_cropped_folders(release):
    images(release / "longVideoFaceCropped/s15/15_0101disgustingteeth", ["img001.jpg"])
    videos = datasets.load("casme2", {"root": str(release)}).videos
    assert all(Path(video.path).relative_to(release).parts[0] == "rawpic" for video in videos)


def test_video_files_are_recordings_too(tmp_path):
    workbook(tmp_path / "code_final.xlsx", ROWS)
    (tmp_path / "rawvideo/s15").mkdir(parents=True)
    (tmp_path / "rawvideo/s15/15_0101disgustingteeth.avi").touch()
    release = datasets.load("casme2", {"root": str(tmp_path)})
    assert [video.path.endswith(".avi") for video in release.videos] == [True, False]


@pytest.mark.parametrize(
    ("repair", "cells", "expected", "rules"),
    [
        ("official", (100, 110, 0), [100, 110, 120], ["offset 0: onset + 20"]),
        ("apex-symmetric", (100, 113, 0), [100, 113, 126], ["offset 0: 2 apex - onset"]),
        (
            "official",
            (100, 131, 0),
            [100, 110, 120],
            ["offset 0: onset + 20", "apex after the repaired offset: midpoint"],
        ),
        ("official", (100, 0, 124), [100, 112, 124], ["apex 0: midpoint"]),
        ("apex-symmetric", (100, 0, 124), [100, 112, 124], ["apex 0: midpoint"]),
        ("official", (100, 130, 124), [100, 112, 124], ["apex after offset: midpoint"]),
        ("official", (100, 90, 124), [100, 112, 124], ["apex before onset: midpoint"]),
        ("official", (100, None, 124), [100, 112, 124], ["apex -1: midpoint"]),
        ("official", ("100 ", "110.0", 124.4), [100, 110, 124], ["not whole: rounded"]),
    ],
)
def test_repairs_are_made_and_named(tmp_path, repair, cells, expected, rules):
    release = labels(tmp_path, row(), row(1, "anger1_1", *cells), repair=repair)
    assert [frame + 1 for frame in frames(release.expressions, native=True)[1]] == expected
    assert [(number, rule) for number, *_, rule in changes(release.repairs)] == [(2, rule) for rule in rules]


@pytest.mark.parametrize(
    ("repair", "expected"), [("official", [448, 1521, 1521]), ("apex-symmetric", [428, 1520, 1521])]
)
def test_two_offsets_of_the_published_arrays_are_no_onset_plus_20(tmp_path, repair, expected):
    """Subject 10 is s26, 14 is s31; a row of the same onset in another video has onset + 20."""
    rows = [row(10, "happy2_1", 408, 418, 0), row(14, "happy4_1", 1500, 1510, 0), row(14, "happy5_1", 1501, 1511, 0)]
    found = labels(tmp_path, *rows, repair=repair)
    assert [frame + 1 for *_, frame in frames(found.expressions, native=True)] == expected


def test_every_offset_of_the_official_repair_is_that_of_the_published_arrays(shared_data):
    """Their rule, from METHOD 2, in a loop over the sheet as it is: 357 of 357, 44 of them repaired."""
    sheet = pd.read_excel(shared_data / "labels/code_final.xlsx", header=None, dtype=str)
    expected = []
    for _, cells in sheet.iterrows():
        onset, offset = int(cells[2]), int(cells[4])
        who = (cells[0].strip(), cells[1].strip().rsplit("_", 1)[0])
        special = {(("10", "happy2"), 408): 448, (("14", "happy4"), 1500): 1521}
        expected.append(offset or special.get((who, onset), onset + 20))
    settings = {"labels": str(shared_data / "labels/code_final.xlsx"), "repair": "official"}
    found = datasets.load("casme2", settings, labels_only=True)
    assert len(expected) == 357
    assert (found.expressions["native_offset"] + 1).tolist() == expected
    repaired = found.repairs[found.repairs["column"] == "offset"]["rule"].value_counts().to_dict()
    assert repaired == {"offset 0: onset + 20": 42, "offset 0: as in the published arrays": 2}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(23), "subject '23', expected a number from 1 to 22"),
        (row(video="sad1_1"), "video 'sad1_1', expected one of disgust1, disgust2"),
        (row(kind="big"), "type 'big', expected macro- or micro-expression"),
        (row(onset=40, offset=30), "onset 40 > offset 30"),
        (row(onset="?"), "onset '?', expected a frame number"),
        (row(onset=None), "onset '', expected a frame number"),
        (row(onset=0), "onset 0, expected a frame number from 1 on"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_and_the_others_go_on(tmp_path, bad, reason):
    release = labels(tmp_path, row(), bad, row(2))
    assert release.expressions["row"].tolist() == [1, 3]
    assert release.expressions["instance"].tolist() == [0, 1]
    assert release.refusals["row"].tolist() == [2]
    assert reason in release.refusals["reason"][0]


def test_blank_rows_count_in_the_numbers_of_rows(tmp_path):
    assert labels(tmp_path, row(), [None] * 9, row(2)).expressions["row"].tolist() == [1, 3]


def test_odd_rows_are_kept_and_named_and_repeated_ones_left_out(tmp_path):
    """frames    10......20......30
    row 1        ==================   macro
    row 2                ==========   macro, same video and class
    row 3        =======              micro of 17 frames
    row 4        as row 1
    row 5        =                    macro of one frame, other video
    """
    release = labels(
        tmp_path,
        row(onset=10, apex=20, offset=30),
        row(onset=20, apex=25, offset=30),
        row(onset=10, apex=12, offset=26, kind=ME),
        row(onset=10, apex=20, offset=30),
        row(2, "happy1_1", 7, 7, 7),
    )
    assert release.expressions["row"].tolist() == [1, 2, 3, 5]
    assert changes(release.repairs) == [
        (4, "row", "same as row 1", "left out", "row that repeats another"),
        (2, "row", "20-30, as row 1", "kept", "overlaps another of its class"),
        (2, "row", "11 frames", "kept", "macro shorter than 0.5 s"),
        (3, "row", "17 frames", "kept", "micro longer than 0.5 s"),
        (5, "row", "1 frames", "kept", "instance of one frame"),
    ]


def test_an_overlap_is_told_with_the_instance_that_reaches_furthest(tmp_path):
    """frames    10......20......30......40
    row 1        ==========================
    row 2          ====                       overlaps row 1
    row 3                ========             overlaps row 1, not row 2
    """
    rows = [row(onset=10, apex=20, offset=40), row(onset=12, apex=14, offset=18), row(onset=20, apex=24, offset=30)]
    found = labels(tmp_path, *rows).repairs.query("rule == 'overlaps another of its class'")["found"]
    assert found.tolist() == ["12-18, as row 1", "20-30, as row 1"]


def test_labels_past_the_end_are_clipped_or_refused(tmp_path):
    """The recording has numbers 1 to 40."""
    images(tmp_path / "s15/15_0101x", [f"img{n:03d}.jpg" for n in range(1, 41)])
    workbook(tmp_path / "code_final.xlsx", [row(onset=30, apex=35, offset=60), row(onset=30, apex=50, offset=61),
                                             row(onset=41, apex=50, offset=62)])  # fmt: skip
    found = tables("casme2", {"root": str(tmp_path)}, tmp_path / "out")
    assert frames(found["expressions"], native=True) == [[29, 34, 39], [29, 34, 39]]
    past = [change for change in changes(found["repairs"]) if "beyond" in change[-1]]
    assert past == [
        (1, "offset", "60", "40", "offset beyond the last frame: the last one"),
        (2, "offset", "61", "40", "offset beyond the last frame: the last one"),
        (2, "apex", "50", "35", "apex beyond the last frame: midpoint"),
    ]
    assert found["refusals"]["reason"].tolist() == ["onset 41 lies beyond the last frame 40 of s15_0101"]


def test_a_labelled_video_that_is_missing_stays_with_its_labels(release, tmp_path):
    workbook(release / "code_final.xlsx", [*ROWS, row(1, "anger1_1", 3, 5, 20)])
    found = tables("casme2", {"root": str(release)}, tmp_path / "out")
    missing = found["videos"].set_index("video_id").loc["s15_0401"]
    assert "no such file or folder" in missing["refused"]
    assert "s15_0401" in found["expressions"]["video_id"].tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: {}, "dataset.root is missing; point it to your copy of casme2"),
        (lambda root: {"root": str(root / "gone")}, "gone is no folder; point it to your copy"),
        (lambda root: {"root": str(root / "rawpic/s15/15_0101disgustingteeth"), "labels": str(root / "code_final.xlsx")},
         "holds no recordings such as rawpic/s15/15_0101disgustingteeth; found no folder"),
        (lambda root: {"root": str(root), "labels": str(root / "none.xlsx")}, "none.xlsx: no such label file"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(release, change, message):
    with pytest.raises(InputError, match=message):
        datasets.load("casme2", change(release))


def test_two_label_files_or_none_ask_for_a_choice(release):
    workbook(release / "old code_final.xlsx", ROWS)
    with pytest.raises(InputError, match=r"several label files: .*code_final.xlsx.*; name it in dataset.labels"):
        datasets.load("casme2", {"root": str(release)})
    for path in release.glob("*final.xlsx"):
        path.unlink()
    with pytest.raises(InputError, match=r"no label file; expected one such as code_final.xlsx"):
        datasets.load("casme2", {"root": str(release)})


def test_two_folders_for_one_video_ask_for_a_choice(release):
    images(release / "rawpic/s15/15_0101copy", ["img001.jpg"])
    with pytest.raises(InputError, match=r"15_0101copy and .*15_0101disgustingteeth are both video s15_0101"):
        datasets.load("casme2", {"root": str(release)})


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: b"<html>login</html>",
        lambda content: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),  # as Excel writes it with a password
    ],
    ids=["truncated", "empty", "web page", "password"],
)
def test_a_label_file_that_is_no_whole_excel_file_is_named(tmp_path, damage):
    path = workbook(tmp_path / "code_final.xlsx", ROWS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"code_final.xlsx: cannot be read as Excel .* copy it again"):
        datasets.load("casme2", {"labels": str(path)}, labels_only=True)


def test_a_locked_label_file_is_named(tmp_path, monkeypatch):
    path = workbook(tmp_path / "code_final.xlsx", ROWS)

    def locked(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", locked)
    with pytest.raises(InputError, match=r"code_final.xlsx: locked or not yours to read .*close it in Excel"):
        datasets.load("casme2", {"labels": str(path)}, labels_only=True)


def test_the_command_prints_and_writes_what_the_adapter_finds(release, tmp_path):
    """With --root frames are counted; the refused row and the unlabelled video are named."""
    labels = workbook(tmp_path / "labels.xlsx", [*ROWS, row(kind="big")])
    arguments = ["labels", "--dataset", "casme2", "--labels", labels, "--root", release, "--out", tmp_path / "out"]
    done = CliRunner().invoke(app, [str(part) for part in arguments], env={"COLUMNS": "150"})
    assert done.exit_code == 0, done.output
    for line in (
        r"macro-expressions │ 2 ",
        "videos without labels │ 1 │ s16_0401",
        "frames │ 159 ",
        "rows 1 ",
        "rows 4 ",
    ):
        assert line in " ".join(done.output.split()), line
    assert store.read_table(tmp_path / "out/videos.parquet", "videos")["n_native"].tolist() == [38, 1, 120]


@pytest.mark.parametrize(
    ("name", "repair", "message"),
    [
        ("demo", "official", "--dataset 'demo' is no official release; expected one of casme2, samm_lv, casme3"),
        ("casme2", "none", "--repair 'none' is not known; expected official or apex-symmetric"),
    ],
)
def test_the_command_knows_its_releases_and_policies(tmp_path, name, repair, message):
    with pytest.raises(InputError, match=message):
        write_labels(name, tmp_path / "labels.xlsx", tmp_path / "out", repair=repair)


def test_all_known_counts_of_the_release(shared_data, tmp_path):
    settings = {"labels": str(shared_data / "labels/code_final.xlsx")}
    for repair, rule in (("official", "offset 0: onset + 20"), ("apex-symmetric", "offset 0: 2 apex - onset")):
        release = datasets.load("casme2", settings | {"repair": repair}, labels_only=True)
        assert release.expressions["class"].value_counts().to_dict() == {"macro": 300, "micro": 57}
        assert (release.expressions["video_id"].nunique(), release.expressions["subject"].nunique()) == (95, 22)
        rules = release.repairs["rule"].value_counts()
        repaired = rules[rule] + rules.get("offset 0: as in the published arrays", 0)
        assert (repaired, rules["apex 0: midpoint"], rules["apex after offset: midpoint"]) == (44, 1, 3)
        assert (rules["micro longer than 0.5 s"], len(release.refusals)) == (10, 0)
        assert release.repairs["row"].between(1, 357).all()


def test_the_maps_of_the_file_are_those_of_the_code(shared_data):
    from pfes.datasets import casme2, sheets

    _, subjects, words = sheets.read_excel(shared_data / "labels/code_final.xlsx").values()
    assert casme2._subject_map(subjects) == casme2.SUBJECTS
    assert casme2._word_map(words) == casme2.WORDS
