"""Lists of anybody's instances and proposals: columns and classes as written, datasets, subjects, and named mistakes."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from pfes.base.errors import InputError
from pfes.commands import cli
from pfes.exchange.scoring import score_lists

HEADER = "dataset,video,class,onset,offset"


def write(folder: Path, name: str, *rows: str, header: str = HEADER) -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def score(folder: Path, truth: list[str], found: list[str], **options: object) -> dict:  # type: ignore[type-arg]
    paths = write(folder, "truth.csv", *truth), write(folder, "found.csv", *found)
    return score_lists(*paths, **options)  # type: ignore[arg-type]


def counts(result: dict, name: str = "overall") -> tuple[int, int, int]:  # type: ignore[type-arg]
    return result[name]["tp"], result[name]["fp"], result[name]["fn"]


# What is scored -----------------------------------------------------------------------------------------------------


def test_every_figure_of_a_small_list(tmp_path: Path) -> None:
    truth = ["d,s1_a,macro,10,29", "d,s1_a,micro,50,59", "d,s1_b,macro,5,14"]
    found = ["d,s1_a,macro,10,19", "d,s1_a,macro,70,90", "d,s1_c,micro,1,9"]
    result = score(tmp_path, truth, found)
    assert result["macro"] == {
        "tp": 1, "fp": 1, "fn": 1, "precision": 0.5, "recall": 0.5, "f1": 0.5, "n_proposals": 2, "n_instances": 2,
    }  # fmt: skip
    assert result["micro"] == {
        "tp": 0, "fp": 1, "fn": 1, "precision": 0.0, "recall": 0.0, "f1": 0.0, "n_proposals": 1, "n_instances": 1,
    }  # fmt: skip
    assert result["overall"]["f1"] == pytest.approx(1 / 3)
    assert (result["protocol"], result["iou"], result["n_videos"]) == ("strict", 0.5, 3)


def test_no_proposals_is_a_recall_of_zero(tmp_path: Path) -> None:
    result = score(tmp_path, ["d,a,macro,10,29"], [])
    assert counts(result) == (0, 0, 1)
    assert result["overall"]["recall"] == 0.0


def test_no_instances_leaves_only_false_proposals(tmp_path: Path) -> None:
    assert counts(score(tmp_path, [], ["d,a,macro,10,29"])) == (0, 1, 0)


def test_equal_rows_count_each(tmp_path: Path) -> None:
    assert counts(score(tmp_path, ["d,a,macro,10,29"], ["d,a,macro,10,29"] * 2)) == (1, 1, 0)
    assert counts(score(tmp_path, ["d,a,macro,10,29"] * 2, ["d,a,macro,10,29"] * 2)) == (2, 0, 0)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("MaE", "macro"), ("Macro-Expression", "macro"), ("macro expression", "macro"), ("Macro", "macro"), ("1", "macro"),
        ("ME", "micro"), ("micro-expression", "micro"), ("Micro - 1/2", "micro"), ("2", "micro"), ("me", "micro"),
    ],
)  # fmt: skip
def test_classes_may_be_written_as_in_the_releases(tmp_path: Path, written: str, name: str) -> None:
    result = score(tmp_path, [f"d,a,{written},10,29"], [f"d,a,{name},10,29"])
    assert result[name]["tp"] == 1


def test_columns_may_be_called_as_in_the_megc_lists(tmp_path: Path) -> None:
    truth = write(tmp_path, "truth.csv", "a,10,29,mae", header="vid,onset,offset,type")
    found = write(tmp_path, "found.csv", "a,10,29,mae", header="vid,pred_onset,pred_offset,type")
    assert counts(score_lists(truth, found)) == (1, 0, 0)


def test_headers_may_be_in_capitals(tmp_path: Path) -> None:
    truth = write(tmp_path, "truth.csv", "a,macro,10,29", header="Video,Class,Onset,Offset")
    assert counts(score_lists(truth, truth)) == (1, 0, 0)


def test_a_column_of_empty_scores_is_no_score(tmp_path: Path) -> None:
    truth = write(tmp_path, "truth.csv", "d,a,macro,10,29,", header=f"{HEADER},score")
    assert counts(score_lists(truth, truth, protocol="gim-release")) == (1, 0, 0)


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    row = {"video": [7, 7], "class": ["macro", "micro"], "onset": [10.0, 40.0], "offset": [29, 49]}
    for name in ("truth", "found"):
        pd.DataFrame(row).to_parquet(tmp_path / f"{name}.parquet")
    assert counts(score_lists(tmp_path / "truth.parquet", tmp_path / "found.parquet")) == (2, 0, 0)


def test_whole_floats_are_frames(tmp_path: Path) -> None:
    assert counts(score(tmp_path, ["d,a,macro,10.0,29.0"], ["d,a,macro,10,29"])) == (1, 0, 0)


def test_a_dataset_without_proposals_is_left_out_and_named(tmp_path: Path) -> None:
    truth, found = ["d,a,macro,10,29", "e,a,macro,10,29"], ["d,a,macro,10,29"]
    result = score(tmp_path, truth, found)
    assert (result["datasets"], result["datasets_left_out"], counts(result)) == (["d"], ["e"], (1, 0, 0))
    assert counts(score(tmp_path, truth, found, datasets=["d", "e"])) == (1, 0, 1)
    assert counts(score(tmp_path, truth, [])) == (0, 0, 2)


def test_the_dataset_of_a_proposal_is_that_of_its_video_where_its_file_does_not_say(tmp_path: Path) -> None:
    truth = write(tmp_path, "truth.csv", "d,a,macro,10,29", "e,b,macro,10,29")
    found = write(tmp_path, "found.csv", "a,macro,10,29", header="video,class,onset,offset")
    result = score_lists(truth, found)
    assert (result["datasets_left_out"], counts(result)) == (["e"], (1, 0, 0))
    assert counts(score_lists(truth, found, datasets=["d", "e"])) == (1, 0, 1)


def test_a_proposal_in_a_video_that_nobody_labelled_is_false_also_without_datasets(tmp_path: Path) -> None:
    truth = write(tmp_path, "truth.csv", "d,a,macro,10,29")
    found = write(tmp_path, "found.csv", "z,macro,10,29", "a,macro,50,59", header="video,class,onset,offset")
    assert counts(score_lists(truth, found)) == (0, 2, 1)


def test_lists_without_a_common_video_are_refused_unless_the_videos_are_listed(tmp_path: Path) -> None:
    truth = write(tmp_path, "truth.csv", "v01,macro,10,29", header="video,class,onset,offset")
    found = write(tmp_path, "found.csv", "s01_v01,macro,10,29", header="video,class,onset,offset")
    with pytest.raises(InputError, match=r"none of its videos \(such as s01_v01\) is in .*truth.csv \(such as v01\)"):
        score_lists(truth, found)
    videos = write(tmp_path, "videos.csv", "v01", "s01_v01", header="video")
    assert counts(score_lists(truth, found, videos)) == (0, 1, 1)


SPOTTED = "recording,class,onset,apex,offset,native_onset,native_apex,native_offset,onset_s,apex_s,offset_s,score,mean_intensity"


def test_what_spot_wrote_is_compared_in_frames_of_the_recording(tmp_path: Path) -> None:
    """At 60 frames/s sampled frame 5 is native frame 10: labels of a person count those of the recording."""
    truth = write(tmp_path, "truth.csv", "film,macro,10,29", header="video,class,onset,offset")
    found = write(tmp_path, "events.csv", "film,macro,5,9,14,10,18,29,.2,.3,.5,.9,.8", header=SPOTTED)
    assert counts(score_lists(truth, found)) == (1, 0, 0)
    both = write(
        tmp_path, "of_pfes.csv", "film,macro,5,14,10,29", header="video,class,onset,offset,native_onset,native_offset"
    )
    assert counts(score_lists(both, found)) == (1, 0, 0)  # sampled frames of both
    assert counts(score_lists(both, truth)) == (1, 0, 0)


def test_one_video_name_in_two_datasets_is_two_videos(tmp_path: Path) -> None:
    found = ["e,a,macro,10,29", "d,b,macro,1,9", "d,a,macro,50,59"]
    assert counts(score(tmp_path, ["d,a,macro,10,29"], found, datasets=["d", "e"])) == (0, 3, 1)


def test_subject_and_video_tell_videos_apart_where_all_files_name_subjects(tmp_path: Path) -> None:
    header = "subject,video,class,onset,offset"
    truth = write(tmp_path, "truth.csv", "p1,a,macro,10,29", "p2,a,macro,10,29", header=header)
    found = write(tmp_path, "found.csv", "p2,a,macro,10,29", header=header)
    result = score_lists(truth, found)
    assert (counts(result), result["n_videos"]) == ((1, 0, 1), 2)


@pytest.mark.parametrize(("video", "ignored"), [("s1_b", 0), ("s2_b", 1), ("other", 1)])
def test_a_subject_is_what_stands_before_the_underscore(tmp_path: Path, video: str, ignored: int) -> None:
    truth = ["d,s1_a,macro,10,29", f"d,{video},micro,50,59"]  # a video without instances is not counted either
    result = score(tmp_path, truth, [f"d,{video},macro,10,29"], protocol="gim-release")
    assert result["n_not_counted"] == ignored
    assert counts(result) == (0, 1 - ignored, 2)


def test_a_column_subject_says_whose_a_video_is(tmp_path: Path) -> None:
    rows = "d,s1_a,macro,10,29,anna", "d,s2_b,micro,50,59,anna"
    truth = write(tmp_path, "truth.csv", *rows, header=f"{HEADER},subject")
    found = write(tmp_path, "found.csv", "d,s2_b,macro,10,29,anna", header=f"{HEADER},subject")
    assert score_lists(truth, found, protocol="gim-release")["n_not_counted"] == 0


def test_a_list_of_videos_says_which_count(tmp_path: Path) -> None:
    known = write(tmp_path, "videos.csv", "d,a,100", "d,b,100", "d,c,100", header="dataset,video,n_frames")
    result = score(tmp_path, ["d,a,macro,10,29"], ["d,b,macro,10,29"], videos=known)
    assert (counts(result), result["n_videos"]) == ((0, 1, 1), 3)


# Mistakes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("d,a,happy,10,29", r"found.csv: row 3: class 'happy' is unknown, expected macro or micro"),
        ("d,a,macro,30,29", r"found.csv: row 3: onset 30 after offset 29"),
        ("d,a,macro,10.5,29", r"found.csv: row 3: onset '10.5' is not a whole frame number"),
        ("d,a,macro,,29", r"found.csv: row 3: onset '' is not a whole frame number"),
        ("d,a,macro,10,inf", r"found.csv: row 3: offset 'inf' is not a whole frame number"),
        ("d,,macro,10,29", r"found.csv: row 3: video is empty"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        score(tmp_path, ["d,a,macro,10,29"], ["d,a,macro,10,29", row])


def test_a_score_that_is_no_number_is_named(tmp_path: Path) -> None:
    truth = write(tmp_path, "truth.csv", "d,a,macro,10,29")
    found = write(tmp_path, "found.csv", "d,a,macro,10,29,high", header=f"{HEADER},score")
    with pytest.raises(InputError, match="row 2: score 'high' is not a number"):
        score_lists(truth, found)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("video,class,onset,offset,scroe", r"unknown column 'scroe' \(did you mean 'score'\?\)"),
        ("video,klass,onset,offset", "missing column 'class'"),
        ("video,class,onset", "missing column 'offset'"),
        ("video,vid,class,onset,offset", "column 'video' twice"),
    ],
)
def test_a_column_is_named(tmp_path: Path, header: str, message: str) -> None:
    truth = write(tmp_path, "truth.csv", "d,a,macro,10,29")
    found = write(tmp_path, "found.csv", header=header)
    with pytest.raises(InputError, match=message):
        score_lists(truth, found)


def test_a_video_that_is_not_listed_is_named(tmp_path: Path) -> None:
    known = write(tmp_path, "videos.csv", "d,a", header="dataset,video")
    with pytest.raises(InputError, match=r"found.csv: row 2: video d/b is not in .*videos.csv"):
        score(tmp_path, ["d,a,macro,10,29"], ["d,b,macro,10,29"], videos=known)


def test_datasets_that_never_meet_are_refused_rather_than_scored_as_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="instances are of dataset CASME2, proposals of casme_sq"):
        score(tmp_path, ["CASME2,a,macro,10,29"], ["casme_sq,a,macro,10,29"])


def test_a_video_of_two_subjects_asks_for_the_column_in_all_files(tmp_path: Path) -> None:
    header = "subject,video,class,onset,offset"
    truth = write(tmp_path, "truth.csv", "p1,a,macro,10,29", "p2,a,macro,10,29", header=header)
    found = write(tmp_path, "found.csv", "a,macro,10,29", header="video,class,onset,offset")
    with pytest.raises(InputError, match="video a is of several values of subject"):
        score_lists(truth, found)


def test_many_mistakes_stay_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        score(tmp_path, ["d,a,macro,10,29"], ["d,a,macro,30,29"] * 20)
    assert "\n" not in str(caught.value)
    assert "and 15 more" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such list of instances"):
        score_lists(tmp_path / "nothing.csv", tmp_path / "nothing.csv")


# The command --------------------------------------------------------------------------------------------------------


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli.app, ["evaluate", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_command_prints_json_with_the_figures_on_top(tmp_path: Path) -> None:
    truth = write(tmp_path, "truth.csv", "d,a,macro,10,29")
    out = run("--instances", truth, "--proposals", truth, "--protocol", "megc2020", "--iou", "0.7", "--json")
    result = json.loads(out)
    assert list(result)[:3] == ["macro", "micro", "overall"]
    assert (result["protocol"], result["iou"], result["overall"]["f1"]) == ("megc2020", 0.7, 1.0)
    assert list(result["macro"]) == ["tp", "fp", "fn", "precision", "recall", "f1", "n_proposals", "n_instances"]


def test_the_command_prints_a_table_of_every_protocol(tmp_path: Path) -> None:
    truth = write(tmp_path, "truth.csv", "d,a,macro,10,29")
    out = run("--instances", truth, "--proposals", truth, "--all-protocols")
    for name in ("strict", "gim-release", "megc2020", "megc-strs", "he-2021"):
        assert name in out
    assert "1.0000" in out


def test_the_command_adds_intervals_over_subjects(tmp_path: Path) -> None:
    rows = [f"d,s{number}_a,macro,10,29" for number in range(6)]
    truth, found = write(tmp_path, "truth.csv", *rows), write(tmp_path, "found.csv", *rows[:3])
    arguments = ("--instances", truth, "--proposals", found, "--intervals")
    result = json.loads(run(*arguments, "--json"))
    assert result["n_subjects"] == 6
    assert result["intervals"]["macro"]["value"] == result["macro"]["f1"] == 2 / 3
    assert 0 <= result["intervals"]["macro"]["low"] < 2 / 3 < result["intervals"]["macro"]["high"] <= 1
    assert "F1 over 6 subjects" in run(*arguments)


@pytest.mark.parametrize(("bad", "more"), [(5, ""), (6, "; and 1 more")])
def test_five_bad_rows_are_named_and_the_rest_counted(tmp_path: Path, bad: int, more: str) -> None:
    truth = write(tmp_path, "truth.csv", *[f"d,a,macro,{40 + row},{30 + row}" for row in range(bad)])
    with pytest.raises(InputError, match=rf"truth\.csv: [^;]*(; [^;]*){{4}}{more}; correct the file$"):
        score_lists(truth, truth)
