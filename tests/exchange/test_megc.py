"""The labels against those of the MEGC 2020 baseline, the known videos, and a challenge's test set without labels."""

import shutil
from collections import Counter

import pandas as pd
import pytest

from pfes import datasets
from tests.layouts import images, tables

LABELS = {"casme2": "code_final.xlsx", "samm_lv": "SAMM_LongVideos_V2_Release.xlsx"}
NAMES = {"casme2": "casme_sq", "samm_lv": "samm_lv"}  # as the list calls them
FRAMES = ("onset", "apex", "offset")

# What the list has otherwise, by the rule of ours that made the difference; its own rule beside it.
DIFFERENCES = {
    ("casme2", "offset", "offset 0: onset + 20"): 42,  # the list: offset := apex
    ("casme2", "offset", "offset 0: as in the published arrays"): 2,  # likewise
    ("casme2", "apex", "apex after the repaired offset: midpoint"): 6,  # follows from it; the list keeps the apex
    ("casme2", "apex", "apex after offset: midpoint"): 3,  # the list keeps the apex
    ("samm_lv", "onset", "onset 0: first frame"): 10,  # the list keeps 0
    ("samm_lv", "apex", "apex -1: midpoint"): 6,  # the list has frames outside of these instances
}


def pairs(name, shared_data):
    """Yield (our row, its rules by column, theirs); rows are paired in the order of video, class, onset and offset."""
    release = datasets.load(name, {"labels": str(shared_data / "labels" / LABELS[name])}, labels_only=True)
    rules = {row: {} for row in release.expressions["row"]}
    for repair in release.repairs.itertuples():
        if repair.value not in ("kept", "left out"):
            rules[repair.row][repair.column] = repair
    ours = release.expressions.assign(
        key=[_released(label, rules[label.row]) for label in release.expressions.itertuples()]
    )
    theirs = pd.read_csv(shared_data / "predictions/gt_megc2020.csv").query("dataset == @NAMES[@name]")
    assert len(ours) == len(theirs)
    ours = ours.sort_values(["video_id", "class", "key"]).itertuples()
    theirs = theirs.sort_values(["video", "cls", "onset", "offset"]).itertuples()
    for label, other in zip(ours, theirs, strict=True):
        yield label, rules[label.row], other


def _released(label, rules):
    """Return (onset, offset) as the list has them: of the file, an offset of 0 replaced by the apex."""
    onset = 0 if "onset" in rules and rules["onset"].rule.startswith("onset 0") else label.native_onset + 1
    repaired = "offset" in rules and rules["offset"].rule.startswith("offset 0")
    apex = int(rules["apex"].found) if "apex" in rules and repaired else label.native_apex + 1
    return onset, apex if repaired else label.native_offset + 1


def test_all_859_instances_agree_but_for_the_known_rules(shared_data):
    differences, instances, same = Counter(), 0, 0
    for name in LABELS:
        for label, rules, other in pairs(name, shared_data):
            instances += 1
            assert (label.video_id, label[6]) == (other.video, other.cls)
            mine = dict(
                zip(FRAMES, (label.native_onset + 1, label.native_apex + 1, label.native_offset + 1), strict=True)
            )
            differ = [column for column in FRAMES if mine[column] != getattr(other, column)]
            same += not differ
            for column in differ:
                assert column in rules, f"{name} row {label.row}: {column} {mine} against {other}, no rule of ours"
                differences[name, column, rules[column].rule] += 1
    assert (instances, dict(differences)) == (859, DIFFERENCES)
    assert same == 859 - 44 - 3 - 10 - 6


def test_where_the_list_differs_it_follows_its_own_rule(shared_data):
    for _, rules, other in pairs("casme2", shared_data):
        if "offset" in rules:
            assert other.offset == other.apex
        if "apex" in rules and rules["apex"].found != "0":
            assert other.apex == int(rules["apex"].found)
    for _, rules, other in pairs("samm_lv", shared_data):
        if rules.get("onset") is not None and rules["onset"].rule.startswith("onset 0"):
            assert other.onset == 0
        if rules.get("apex") is not None and rules["apex"].rule.startswith("apex -1"):
            assert not other.onset <= other.apex <= other.offset


def test_the_97_known_videos_of_casme2_are_all_kept(shared_data, tmp_path):
    known = pd.read_csv(shared_data / "predictions/video_frames.csv").query("dataset == 'casme_sq'")["video"]
    for subject, code in known.str.split("_"):
        (tmp_path / "rawpic" / subject / f"{subject[1:]}_{code}anyname").mkdir(parents=True)
    settings = {"root": str(tmp_path), "labels": str(shared_data / "labels/code_final.xlsx")}
    release = datasets.load("casme2", settings)
    assert {video.video_id for video in release.videos} == set(known)
    assert set(known) - set(release.expressions["video_id"]) == {"s15_0508", "s23_0503"}


def test_the_147_known_videos_of_samm_are_the_labelled_ones(shared_data):
    known = pd.read_csv(shared_data / "predictions/video_frames.csv").query("dataset == 'samm_lv'")["video"]
    settings = {"labels": str(shared_data / "labels" / LABELS["samm_lv"])}
    assert {video.video_id for video in datasets.load("samm_lv", settings, labels_only=True).videos} == set(known)


@pytest.mark.parametrize(
    ("name", "video", "last"), [("samm_lv", "020_6", 5001), ("samm_lv", "036_7", 8201)], ids=["020_6_5", "036_7_4"]
)
def test_the_two_offsets_of_samm_beyond_the_end_become_the_last_frame(shared_data, tmp_path, name, video, last):
    """Their lengths are those of video_frames.csv; all other videos are missing here and keep their labels."""
    images(tmp_path / "root/SAMM_longvideos" / video, [f"{video}_{number:04d}.jpg" for number in range(1, last + 1)])
    settings = {"root": str(tmp_path / "root"), "labels": str(shared_data / "labels" / LABELS[name])}
    found = tables(name, settings, tmp_path / "out")
    clipped = found["repairs"][found["repairs"]["rule"] == "offset beyond the last frame: the last one"]
    assert clipped["value"].tolist() == [str(last)]
    assert len(found["expressions"]) == 502
    assert len(found["refusals"]) == 0


def test_a_folder_of_videos_without_labels_is_a_dataset(shared_data, tmp_path):
    """As a challenge's test set: each video its own subject, named by its file; other files are not looked at."""
    folder = tmp_path / "test set"
    folder.mkdir()
    shutil.copy(shared_data / "videos/single_face.mp4", folder / "SAMM_Test_1.mp4")
    shutil.copy(shared_data / "videos/multi_face_5_frames.mp4", folder / "vidéo 2.mp4")
    (folder / "read me.txt").touch()
    found = tables("generic", {"videos": str(folder), "expressions": None}, tmp_path / "out")
    assert found["videos"]["subject"].tolist() == ["SAMM_Test_1", "vidéo 2"]
    assert found["videos"]["n_native"].tolist() == [72, 5]
    assert found["videos"]["refused"].isna().all()
    assert [len(found[kind]) for kind in ("expressions", "repairs", "refusals")] == [0, 0, 0]


def test_a_sheet_of_videos_needs_no_labels_either(tmp_path):
    (tmp_path / "videos.csv").write_text("subject,video,path\nanna,a,a.mp4\n")
    release = datasets.load("generic", {"videos": str(tmp_path / "videos.csv"), "expressions": None})
    assert (len(release.videos), len(release.expressions)) == (1, 0)
