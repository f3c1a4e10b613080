"""SAMM Long Videos: V2 and V3 files and frame folders as released, with their dirt."""

import numpy as np
import pytest

from pfes import datasets
from pfes.base.errors import InputError
from pfes.media.decode import SamplingParameters, native_to_sampled
from tests.layouts import changes, frames, images, tables, workbook

HEADER = [
    "Subject",
    "Filename",
    "Inducement Code",
    "Onset",
    "Apex",
    "Offset",
    "Duration",
    "Type",
    "Action Units",
    "Notes",
]
ABOVE = [["SAMM Long Videos Dataset - FACS Codes"], [], ["Symbol Key:"], ['"/" = or'], [], [], [], [], []]


def row(name="006_1_1", onset=71, apex=85, offset=141, kind="Macro"):
    return [name[:3], name, 1, onset, apex, offset, 0, kind, "4", None]


def sheet(path, *rows):
    return workbook(path, [*ABOVE, HEADER, *rows])


def labels(tmp_path, *rows):
    path = sheet(tmp_path / "SAMM_LongVideos_V2_Release.xlsx", *rows)
    return datasets.load("samm_lv", {"labels": str(path)}, labels_only=True)


def test_the_header_is_found_under_free_text_and_rows_have_the_numbers_of_the_file(tmp_path):
    release = labels(tmp_path, row(), row("007_3_1", kind="Micro - 1/2"))
    assert release.expressions["row"].tolist() == [11, 12]
    assert release.expressions["class"].tolist() == ["macro", "micro"]
    assert [video.video_id for video in release.videos] == ["006_1", "007_3"]
    assert {video.fps for video in release.videos} == {200.0}


@pytest.mark.parametrize(
    ("cells", "expected", "rules"),
    [
        ((566.4000000000001, 647.6, 743.2), [566, 648, 743], ["not whole: rounded"] * 3),
        ((0, 40, 120), [1, 40, 120], ["onset 0: first frame"]),
        ((0.4, 40, 120), [1, 40, 120], ["not whole: rounded", "onset 0: first frame"]),
        ((101, -1, 200), [101, 150, 200], ["apex -1: midpoint"]),
    ],
)
def test_repairs_are_made_and_named(tmp_path, cells, expected, rules):
    release = labels(tmp_path, row("006_1_1", *cells))
    assert [frame + 1 for frame in frames(release.expressions, native=True)[0]] == expected
    assert [rule for *_, rule in changes(release.repairs)] == rules
    assert set(release.repairs["row"]) == {11}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row("006-1"), "filename '006-1', expected one such as 006_1_1"),
        (row(kind="Medium"), "type 'Medium', expected Macro or Micro"),
        (row(onset=200), "onset 200 > offset 141"),
        (row(offset="end"), "offset 'end', expected a frame number"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_and_the_others_go_on(tmp_path, bad, reason):
    release = labels(tmp_path, row(), bad)
    assert release.expressions["row"].tolist() == [11]
    assert release.refusals["row"].tolist() == [12]
    assert reason in release.refusals["reason"][0]


def test_a_file_without_the_header_is_named(tmp_path):
    path = workbook(tmp_path / "SAMM.xlsx", [["a", "b"], [1, 2]])
    with pytest.raises(
        InputError, match=r"SAMM.xlsx: no header with subject, filename, onset, apex, offset, type in its"
    ):
        datasets.load("samm_lv", {"labels": str(path)}, labels_only=True)


def test_stride_7_comes_from_200_fps():
    assert SamplingParameters().step(200.0) == 7.0


def test_a_label_at_x_is_sampled_to_x_minus_1_over_7_ties_to_even(tmp_path):
    """Ties need numbers that end in .5: x = 4.5, 11.5, 18.5, 25.5 are (x - 1) / 7 = .5, 1.5, 2.5, 3.5 -> 0, 2, 2, 4."""
    x = np.array([4.5, 11.5, 18.5, 25.5])
    assert np.rint((x - 1) / 7).tolist() == [0, 2, 2, 4]
    release = labels(tmp_path, *(row(f"006_1_{n}", float(value), 100, 200) for n, value in enumerate(x)))
    assert native_to_sampled(release.expressions["native_onset"], 7.0, 10**6).tolist() == [0, 2, 2, 4]
    whole = np.arange(1, 15000)
    assert native_to_sampled(whole - 1, 7.0, 10**6).tolist() == [round((value - 1) / 7) for value in whole]
    assert native_to_sampled(np.array([1, 3, 5, 7]), 2.0, 10**6).tolist() == [0, 2, 2, 4]


def test_more_than_9999_frames_an_unlabelled_folder_and_a_gap(tmp_path):
    """Videos of 10,010 and 50 images; 006_2 lacks image 20 and one of its images is unreadable; 008_1 has no label."""
    root = tmp_path / "SAMM LV"
    images(root / "SAMM_longvideos/006_1", [f"006_1_{n:04d}.jpg" for n in range(1, 10011)])
    images(
        root / "SAMM_longvideos/006_2", [f"006_2_{n:04d}.jpg" for n in range(1, 51) if n != 20], bad=["006_2_0030.jpg"]
    )
    images(root / "SAMM_longvideos/008_1", ["008_1_0001.jpg"])
    sheet(root / "SAMM_LongVideos_V3_Release.xlsx", row("006_1_1", 9996, 10001, 10010), row("006_2_1", 1, 20, 50),
          row("006_1_2", 9800, 9900, 10020))  # fmt: skip
    found = tables("samm_lv", {"root": str(root)}, tmp_path / "out")
    assert found["videos"]["video_id"].tolist() == ["006_1", "006_2", "008_1"]
    assert found["videos"]["n_native"].tolist() == [10010, 49, 1]
    assert found["videos"]["n_frames"].tolist() == [1430, 7, 1]
    assert frames(found["expressions"], native=True) == [[9995, 10000, 10009], [0, 19, 48], [9799, 9899, 10009]]
    assert frames(found["expressions"])[0] == [round(9995 / 7), round(10000 / 7), 1429]
    assert [change for change in changes(found["repairs"]) if change[3] != "kept"] == [
        (12, "apex", "20", "21", "no such frame: the next present one"),
        (13, "offset", "10020", "10010", "offset beyond the last frame: the last one"),
    ]


def test_a_missing_folder_is_named_where_it_should_be(tmp_path):
    images(tmp_path / "SAMM_longvideos/006_1", ["006_1_0001.jpg"])
    path = sheet(tmp_path / "V2.xlsx", row("009_7_1"))
    release = datasets.load("samm_lv", {"root": str(tmp_path), "labels": str(path)})
    assert [video.path for video in release.videos] == [
        str(tmp_path / "SAMM_longvideos" / name) for name in ("006_1", "009_7")
    ]


def test_all_known_counts_of_v2(shared_data):
    settings = {"labels": str(shared_data / "labels/SAMM_LongVideos_V2_Release.xlsx")}
    release = datasets.load("samm_lv", settings, labels_only=True)
    assert release.expressions["class"].value_counts().to_dict() == {"macro": 343, "micro": 159}
    assert (len(release.videos), release.expressions["subject"].nunique()) == (147, 30)
    rules = release.repairs["rule"].value_counts()
    assert (rules["apex -1: midpoint"], rules["onset 0: first frame"], len(release.refusals)) == (6, 10, 0)
    first = release.repairs[release.repairs["rule"] == "onset 0: first frame"]["row"]
    assert first.tolist() == [143, 153, 169, 281, 285, 288, 290, 296, 299, 337]


def test_rounding_first_changes_no_sampled_frame_of_v2(shared_data):
    from pfes.datasets import sheets

    path = shared_data / "labels/SAMM_LongVideos_V2_Release.xlsx"
    cells = sheets.with_header(sheets.read_excel(path)["FACS_Movement_Only"], ("onset", "offset"), str(path))
    x = cells[["onset", "offset"]].astype(float).clip(lower=1)
    release = datasets.load("samm_lv", {"labels": str(path)}, labels_only=True)
    ours = native_to_sampled(release.expressions[["native_onset", "native_offset"]].to_numpy(), 7.0, 10**6)
    assert (ours == np.rint((x.to_numpy() - 1) / 7)).all()


def test_v3_gives_the_same_labels_as_v2_but_for_its_two_offsets(shared_data, tmp_path):
    """V3 is made here from V2: whole numbers, onsets of 1, the two offsets beyond the end corrected."""
    from pfes.datasets import sheets

    path = shared_data / "labels/SAMM_LongVideos_V2_Release.xlsx"
    cells = sheets.read_excel(path)["FACS_Movement_Only"]
    below = cells.index > 10
    for column in (3, 4, 5):
        cells.loc[below, column] = cells.loc[below, column].map(round)
    cells.loc[below, 3] = cells.loc[below, 3].clip(lower=1)
    cells.loc[cells[1] == "020_6_5", 5], cells.loc[cells[1] == "036_7_4", 5] = 5001, 8201
    made = workbook(tmp_path / "SAMM_LongVideos_V3_Release.xlsx", cells.to_numpy().tolist())
    v2, v3 = (datasets.load("samm_lv", {"labels": str(item)}, labels_only=True) for item in (path, made))
    differ = v2.expressions[(v2.expressions != v3.expressions).any(axis=1)]
    assert differ["native_offset"].tolist() == [5475, 8297]
    assert set(v3.repairs["rule"]) <= set(v2.repairs["rule"]) - {"not whole: rounded", "onset 0: first frame"}
