"""What clicks alone can tell: worked out by hand on timelines of 10 frames per second."""

import numpy as np
import pandas as pd
import pytest

from pfes.base import provenance, store
from pfes.base.records import CLICK_COLUMNS, EXPRESSION_COLUMNS, PROPOSAL_COLUMNS, VIDEO_COLUMNS
from pfes.evaluation.analysis import TABLES, analyse_run
from pfes.evaluation.clicks import all_clicks, boundary_errors, click_table, match_clicks, not_counted
from pfes.evaluation.counts import judge
from pfes.evaluation.metrics import Outputs, judge_run, write_evaluation
from pfes.evaluation.parameters import BootstrapParameters, EvaluateParameters

VIDEOS = pd.DataFrame(
    {"subject": ["a", "b"], "video_id": ["a_1", "b_1"], "n_frames": [600, 1200], "sampled_fps": [10.0, 10.0]}
)  # one minute and two
NO_ERRORS = pd.DataFrame(columns=["subject", "class", "onset_error_s", "offset_error_s"])


def clicks(*rows):
    table = pd.DataFrame(rows, columns=["video_id", "class", "frame"])
    return table.assign(subject=table["video_id"].str[0], instance=np.arange(len(table)), interval=False)


def proposals(*rows):
    table = pd.DataFrame(rows, columns=["video_id", "class", "onset", "apex", "offset", "score"])
    return table.assign(subject=table["video_id"].str[0])


def test_the_best_proposal_takes_the_click_nearest_to_its_apex_one_to_one():
    # clicks        10   20            40        (macro)    15 (micro)
    # .9   [5 ---- apex 18 -- 25]                           takes 20, nearer to 18 than 10
    # .8   [8 -12]                                          takes 10
    # .7             [19-21]                                20 is taken: nothing
    # .6                         [38 -- 45] micro           another class: nothing
    own = clicks(("a_1", "macro", 10), ("a_1", "macro", 20), ("a_1", "macro", 40), ("a_1", "micro", 15))
    found = proposals(
        ("a_1", "macro", 19, 20, 21, 0.7),
        ("a_1", "macro", 8, 9, 12, 0.8),
        ("a_1", "micro", 38, 40, 45, 0.6),
        ("a_1", "macro", 5, 18, 25, 0.9),
    )
    assert match_clicks(own, found).tolist() == [1, 3, -1, -1]
    assert match_clicks(own, found.iloc[:0]).tolist() == [-1] * 4
    assert match_clicks(own.iloc[:0], found).tolist() == []


def test_both_ends_of_a_proposal_contain_a_click_and_the_next_frame_does_not():
    own = clicks(("a_1", "macro", 10), ("a_1", "macro", 14), ("a_1", "macro", 15))
    found = proposals(("a_1", "macro", 10, 10, 14, 0.5), ("a_1", "macro", 10, 14, 14, 0.4))
    assert match_clicks(own, found).tolist() == [0, 1, -1]


def test_recall_rates_and_minutes_of_review_are_those_counted_by_hand():
    # a (1 min): clicks 10, 50     proposals .9 [8..12] finds 10, .5 [100..109] finds nothing
    # b (2 min): click 30          proposals .7 [21..40] finds 30
    # looks, at 3 s each and their lengths .5, 2 and 1 s: 3.5 s, 8.5 s, 12.5 s; recall 1/3, 2/3, 2/3
    own = clicks(("a_1", "macro", 10), ("a_1", "macro", 50), ("b_1", "macro", 30))
    found = proposals(
        ("a_1", "macro", 8, 10, 12, 0.9), ("b_1", "macro", 21, 30, 40, 0.7), ("a_1", "macro", 100, 104, 109, 0.5)
    )
    table, curve = click_table(VIDEOS, own, [found], NO_ERRORS, 3.0, BootstrapParameters(samples=200))
    overall = table.set_index("class").loc["overall"]
    assert overall["clicks"] == 3 and overall["found"] == 2
    assert overall["recall"] == pytest.approx(2 / 3)
    assert overall["proposals_per_minute"] == pytest.approx(3 / 3)
    assert overall["unmatched_per_minute"] == pytest.approx(1 / 3)
    assert overall["recall_low"] <= 2 / 3 <= overall["recall_high"]
    assert np.isnan(overall["minutes_80"]) and overall["recorded_minutes"] == pytest.approx(3)
    drawn = curve[curve["class"] == "overall"]
    assert drawn["minutes"].tolist() == pytest.approx([3.5 / 60, 8.5 / 60, 12.5 / 60])
    assert drawn["recall"].tolist() == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    micro = table.set_index("class").loc["micro"]
    assert micro["clicks"] == 0 and np.isnan(micro["recall"]) and not len(curve[curve["class"] == "micro"])


def test_time_saved_is_what_the_recordings_last_longer_than_the_looks():
    own = clicks(("a_1", "macro", 10), ("b_1", "macro", 30))
    found = proposals(("a_1", "macro", 6, 10, 15, 0.9), ("b_1", "macro", 21, 30, 40, 0.7))  # 1 s and 2 s long
    table, _ = click_table(VIDEOS, own, [found], NO_ERRORS, 2.0)
    overall = table.set_index("class").loc["overall"]
    assert overall["minutes_80"] == pytest.approx((1 + 2 + 2 + 2) / 60)
    assert overall["saved_80"] == pytest.approx(1 - 7 / 180)


def test_two_seeds_count_as_one_with_twice_the_minutes():
    own = clicks(("a_1", "macro", 10))
    hit, miss = proposals(("a_1", "macro", 6, 10, 15, 0.9)), proposals(("a_1", "macro", 16, 18, 25, 0.9))
    table, _ = click_table(VIDEOS, own, [hit, miss], NO_ERRORS, 2.0)
    overall = table.set_index("class").loc["overall"]
    assert (overall["recall"], overall["found"]) == (0.5, 0.5)
    assert overall["proposals_per_minute"] == pytest.approx(1 / 3)


def test_an_f1_leaves_out_what_finds_an_expression_without_interval():
    # labelled  [10..19] macro       click 40 macro            click 14 macro (another, inside of the interval)
    # proposed  [10..19] reaches the interval: counted         [38..42] finds 40: left out
    #           [37..43] 40 is taken: counted, false           [60..70] counted, false
    truth = pd.DataFrame(
        {
            "subject": "a",
            "video_id": "a_1",
            "instance": [0],
            "class": ["macro"],
            "onset": [10],
            "apex": [14],
            "offset": [19],
        }
    )
    own = clicks(("a_1", "macro", 40), ("a_1", "macro", 14)).assign(instance=[1, 2])
    found = proposals(
        ("a_1", "macro", 10, 14, 19, 0.9),
        ("a_1", "macro", 38, 40, 42, 0.8),
        ("a_1", "macro", 37, 40, 43, 0.7),
        ("a_1", "macro", 60, 65, 70, 0.6),
    )
    out = not_counted(truth, own, found, 0.5)
    assert out.tolist() == [False, True, False, False]
    kept = found.assign(number=range(4))[~out]
    judged = judge(VIDEOS, truth, kept)
    assert judged.counts.set_index(["video_id", "class"]).loc[("a_1", "macro"), ["tp", "fp", "fn"]].tolist() == [
        1,
        2,
        0,
    ]
    assert sorted(judged.matches["proposal"]) == [0, 2, 3]  # places in the whole table
    assert not_counted(truth.iloc[:0], own, found, 0.5).all()
    assert not not_counted(truth, own.iloc[:0], found, 0.5).any()


def test_boundary_errors_are_of_the_matched_pairs():
    truth = pd.DataFrame(
        {
            "subject": "a",
            "video_id": "a_1",
            "instance": [4],
            "class": ["macro"],
            "onset": [10],
            "apex": [14],
            "offset": [29],
        }
    )
    found = proposals(("a_1", "macro", 8, 14, 32, 0.9), ("a_1", "macro", 90, 95, 99, 0.9))
    errors = boundary_errors(VIDEOS, truth, found, judge(VIDEOS, truth, found))
    assert errors.to_numpy().tolist() == [["a", "macro", 0.2, 0.3]]


def test_the_point_of_an_interval_or_else_its_apex_is_its_click():
    truth = pd.DataFrame(
        {
            "subject": "a", "video_id": "a_1", "instance": [0, 1], "class": "macro", "onset": [0, 20], "apex": [5, 25],
            "offset": [9, 29], "point": pd.array([7, None], "Int64"),
        }
    )  # fmt: skip
    found = all_clicks(VIDEOS, truth, clicks(("b_1", "micro", 3)).drop(columns="interval"))
    assert found["frame"].tolist() == [7, 25, 3] and found["interval"].tolist() == [True, True, False]


def test_a_run_of_clicks_alone_has_no_f1_and_tells_what_was_found(tmp_path):
    # a: clicks 10 and 40; proposed [8..12] finds 10, [60..70] finds nothing. b: click 30, nothing proposed.
    origin = provenance.record("test", {})
    videos = VIDEOS.reindex(columns=list(VIDEO_COLUMNS))
    nothing = pd.DataFrame(columns=list(EXPRESSION_COLUMNS))
    own = clicks(("a_1", "macro", 10), ("a_1", "macro", 40), ("b_1", "macro", 30)).reindex(columns=list(CLICK_COLUMNS))
    found = proposals(("a_1", "macro", 8, 10, 12, 0.9), ("a_1", "macro", 60, 65, 70, 0.5))
    tables = {
        "videos": videos,
        "expressions": nothing,
        "clicks": own,
        "proposals": found.reindex(columns=list(PROPOSAL_COLUMNS)),
    }
    paths = {kind: tmp_path / f"{kind}.parquet" for kind in tables}
    for kind, table in tables.items():
        store.write_table(paths[kind], kind, table, origin)
    run = judge_run(
        paths["videos"], paths["expressions"], {"x": {0: [paths["proposals"]]}}, EvaluateParameters(), paths["clicks"]
    )
    names = ("metrics", "counts", "matches", "summary")
    write_evaluation(run, Outputs(*(tmp_path / f"out_{name}.parquet" for name in names)), "run")
    metrics = store.read_table(tmp_path / "out_metrics.parquet", "metrics")
    assert not metrics[["tp", "fp", "fn"]].to_numpy().any()
    matches = store.read_table(tmp_path / "out_matches.parquet", "matches")
    assert matches[["subject", "instance", "proposal"]].to_numpy().tolist() == [
        ["a", 0, 0],
        ["a", 1, -1],
        ["b", 2, -1],
        ["a", -1, 1],
    ]
    out = {kind: tmp_path / f"table_{kind}.parquet" for kind in TABLES}
    analyse_run(run, out)
    row = store.read_table(out["clicks_found"], "clicks_found").set_index("class").loc["overall"]
    assert (row["recall"], row["proposals_per_minute"], row["unmatched_per_minute"]) == pytest.approx(
        (1 / 3, 2 / 3, 1 / 3)
    )
    assert len(store.read_table(out["review"], "review").query("`class` == 'overall'")) == 2
