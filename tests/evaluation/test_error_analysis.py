"""Kinds of errors on drawn timelines, causes on flow that is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pfes.base import provenance, store
from pfes.evaluation import counts
from pfes.evaluation.error_analysis import (
    ERROR_COLUMNS,
    EYELIDS,
    INNER_MOUTH,
    find_errors,
    frame_causes,
    likely_cause,
    video_causes,
)
from pfes.faces.align import NOSE, ROI_NAMES
from tests.timelines import drawn, table, videos

SIDE = 128  # px of the crop


def kinds(truth: pd.DataFrame, found: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Kinds of the unmatched instances and of the unmatched proposals."""
    matches = counts.judge(videos("a1"), truth, found).matches
    errors = find_errors(truth, found, matches)
    of_instances, of_proposals = errors["instance"] >= 0, errors["proposal"] >= 0
    return errors.loc[of_instances, "kind"].tolist(), errors.loc[of_proposals, "kind"].tolist()


def test_a_hit_is_no_error() -> None:
    truth = drawn("a1", macro=("..####..",))
    assert kinds(truth, truth) == ([], [])


def test_nothing_near_is_missed_and_a_false_alarm() -> None:
    truth = drawn("a1", macro=("####............",))
    found = drawn("a1", macro=("..........####..",))
    assert kinds(truth, found) == (["missed"], ["false alarm"])


def test_a_boundary_is_off_where_iou_is_below_the_threshold_but_not_tiny() -> None:
    truth = drawn("a1", macro=("..######....",))
    assert kinds(truth, drawn("a1", macro=("......######",))) == (["boundary"], ["boundary"])  # 2 of 10
    assert kinds(truth, drawn("a1", macro=(".......#####",))) == (["boundary"], ["boundary"])  # 1 of 10: exactly .1
    far = drawn("a1", macro=(".......######",))  # 1 of 11
    assert kinds(truth, far) == (["missed"], ["false alarm"])


def test_an_instance_in_pieces_is_split() -> None:
    truth = drawn("a1", macro=("..##########..",))
    found = drawn("a1", macro=("..####..####..",))  # 4 of 10 each
    assert kinds(truth, found) == (["split"], ["split", "split"])


def test_one_piece_alone_is_a_boundary() -> None:
    truth = drawn("a1", macro=("..##########..",))
    assert kinds(truth, drawn("a1", macro=("..####........",))) == (["boundary"], ["boundary"])


def test_two_instances_in_one_proposal_are_merged() -> None:
    truth = drawn("a1", macro=("..####..####....",))
    found = drawn("a1", macro=("..###########...",))  # 4 of 11 each
    assert kinds(truth, found) == (["merged", "merged"], ["merged"])


def test_the_instance_that_a_shared_proposal_left_is_merged() -> None:
    truth = drawn("a1", macro=("..#####....", "....#####.."))
    found = drawn("a1", macro=("..#######..",))  # 5 of 7 with both, matched to one
    assert kinds(truth, found) == (["merged"], [])


def test_the_right_place_in_the_wrong_class_is_told() -> None:
    truth = drawn("a1", macro=("..####..",))
    found = drawn("a1", micro=("..####..",))
    assert kinds(truth, found) == (["wrong class"], ["wrong class"])


def test_a_second_detection_is_a_duplicate() -> None:
    truth = drawn("a1", macro=("..######..",))
    found = drawn("a1", macro=("..######..", "..#####..."))
    assert kinds(truth, found) == ([], ["duplicate"])


def test_pieces_of_another_class_split_nothing() -> None:
    truth = drawn("a1", macro=("..##########..",))
    found = drawn("a1", micro=("..####..####..",))
    assert kinds(truth, found) == (["missed"], ["false alarm", "false alarm"])


def test_errors_keep_to_their_video() -> None:
    truth = table([("a1", "macro", 0, 9)])
    found = table([("a2", "macro", 0, 9)])
    errors = find_errors(truth, found, counts.judge(videos("a1", "a2"), truth, found).matches)
    assert errors[["video_id", "kind"]].to_numpy().tolist() == [["a1", "missed"], ["a2", "false alarm"]]


def test_a_row_says_where_and_which() -> None:
    truth = table([("a1", "macro", 4, 9)]).assign(instance=7, apex=6)
    found = table([("a1", "macro", 4, 9), ("a1", "micro", 20, 29), ("a1", "micro", 40, 50)]).drop(columns="instance")
    errors = find_errors(truth, found, counts.judge(videos("a1"), truth, found).matches)
    assert list(errors.columns) == list(ERROR_COLUMNS)
    assert errors.to_numpy().tolist() == [
        ["a", "a1", "micro", -1, 1, "false alarm", "", 20, 24, 29],
        ["a", "a1", "micro", -1, 2, "false alarm", "", 40, 45, 50],
    ]
    missed = find_errors(truth, found[:0], counts.judge(videos("a1"), truth, found[:0]).matches)
    assert missed.to_numpy().tolist() == [["a", "a1", "macro", 7, -1, "missed", "", 4, 6, 9]]


def test_no_errors_is_an_empty_table() -> None:
    errors = find_errors(table([]), table([]), counts.judge(videos("a1"), table([]), table([])).matches)
    assert list(errors.columns) == list(ERROR_COLUMNS) and len(errors) == 0


# Causes -------------------------------------------------------------------------------------------------------------


def flow_of(place: dict[int, np.ndarray], n_frames: int = 120) -> np.ndarray:
    """Windows [T, 17, R, 2] of ROIs whose place [T] (px downwards) is known and of others that rest."""
    places = np.zeros((n_frames, len(ROI_NAMES)))
    for roi, down in place.items():
        places[:, roi] = down
    window = np.clip(np.arange(n_frames)[:, None] + np.arange(-8, 9), 0, n_frames - 1)
    down = places[window] - places[window[:, :1]]
    return np.stack([np.zeros_like(down), down], axis=-1)


def bump(start: int, length: int, height: float, n_frames: int = 120) -> np.ndarray:
    down = np.zeros(n_frames)
    down[start : start + length] = height * np.sin(np.pi * (np.arange(length) + 0.5) / length)
    return down


def cause(place: dict[int, np.ndarray], onset: int, offset: int) -> str:
    flow = flow_of(place)
    return likely_cause(frame_causes(flow, np.ones(len(flow), bool), SIDE), onset, offset)


def test_a_blink_is_both_eyelids_for_a_moment() -> None:
    blink = bump(50, 9, 1.5)
    assert cause(dict.fromkeys(EYELIDS, blink), 48, 60) == "blink"
    assert cause({EYELIDS[0]: blink}, 48, 60) == ""  # a wink, or the cheek of one side
    assert cause(dict.fromkeys(EYELIDS, blink), 80, 92) == ""  # elsewhere


def test_a_short_blink_does_not_explain_a_long_interval() -> None:
    assert cause(dict.fromkeys(EYELIDS, bump(50, 9, 1.5)), 30, 110) == ""


def test_eyes_that_stay_closed_are_no_blink() -> None:
    closed = np.where(np.arange(120) >= 20, 1.5, 0.0)
    assert cause(dict.fromkeys(EYELIDS, closed), 60, 80) == ""


def test_talking_is_the_inner_mouth() -> None:
    syllables = np.sin(2 * np.pi * np.arange(120) * 4 / 30)
    assert cause({INNER_MOUTH: syllables}, 30, 60) == "talking"
    assert cause({ROI_NAMES.index("mouth_left_corner"): 3 * syllables}, 30, 60) == ""


def test_head_motion_moves_the_nose_and_is_not_taken_for_a_blink_or_talking() -> None:
    drift = np.where(np.arange(120) > 40, 0.3 * (np.arange(120) - 40), 0)
    assert cause(dict.fromkeys(range(len(ROI_NAMES)), drift), 50, 80) == "head motion"
    assert cause({NOSE: 0.05 * drift}, 50, 80) == ""


def test_no_face_comes_first() -> None:
    flow = flow_of({})
    valid = np.ones(len(flow), bool)
    valid[50:60] = False
    present = frame_causes(flow, valid, SIDE)
    assert likely_cause(present, 45, 64) == "no face"  # 10 of 20
    assert likely_cause(present, 30, 64) == ""  # 10 of 35, less than .3


@pytest.mark.parametrize("size", [128, 320])
def test_limits_scale_with_the_crop(size: int) -> None:
    flow = flow_of({INNER_MOUTH: np.sin(2 * np.pi * np.arange(120) * 4 / 30)}) * size / SIDE
    assert likely_cause(frame_causes(flow, np.ones(120, bool), size), 30, 60) == "talking"


def test_causes_are_read_from_the_flow_files_and_refusals_left_out(tmp_path: Path) -> None:
    flow, origin = flow_of({INNER_MOUTH: np.sin(2 * np.pi * np.arange(120) * 4 / 30)}), provenance.record("test", {})
    arrays = {"flow": flow.astype(np.float32), "valid": np.ones(120, bool)}
    store.write(tmp_path / "a1.h5", "flow", arrays, origin, size=SIDE)
    store.refuse(tmp_path / "a2.h5", "flow", "no face was found", origin)
    causes = video_causes({name: tmp_path / f"{name}.h5" for name in ("a1", "a2")})
    found = table([("a1", "macro", 30, 60), ("a2", "macro", 30, 60)])
    errors = find_errors(table([]), found, counts.judge(videos("a1", "a2"), table([]), found).matches, causes)
    assert errors["cause"].tolist() == ["talking", ""]
