from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from pfes import datasets
from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.base.records import EXPRESSION_COLUMNS, POINT_COLUMNS, VIDEO_COLUMNS
from pfes.datasets.points import MODES, PointParameters, draw_points, write_points
from pfes.media.decode import SamplingParameters
from pfes.media.encode import encode
from pfes.network.parameters import ModelParameters
from pfes.training.fold import FoldInputs, TrainingParameters, TrainingVideo, train_fold


def expressions(intervals, video_id="s1_a"):
    """One row per (onset, apex, offset)."""
    rows = [
        {
            "dataset": "demo", "subject": "s1", "video": "a", "video_id": video_id, "instance": number, "class": "macro",
            "onset": onset, "apex": apex, "offset": offset,
            "native_onset": onset, "native_apex": apex, "native_offset": offset, "row": number,
        }
        for number, (onset, apex, offset) in enumerate(intervals)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(EXPRESSION_COLUMNS))


DRAWN = [mode for mode in MODES if mode != "given"]


@pytest.mark.parametrize("mode", DRAWN)
def test_points_lie_inside_their_instance(mode):
    generator = np.random.default_rng(0)
    onset = generator.integers(0, 50, 300)
    offset = onset + generator.integers(0, 90, 300)  # one-frame instances too
    apex = generator.integers(onset, offset + 1)
    points = draw_points(expressions(zip(onset, apex, offset, strict=True)), PointParameters(mode), seed=3)
    assert list(points.columns) == list(POINT_COLUMNS)
    assert points["frame"].dtype == np.int64
    assert (points["frame"] >= onset).all()
    assert (points["frame"] <= offset).all()


def test_an_apex_outside_or_missing_still_gives_a_point_inside():
    table = expressions([(10, 3, 20), (10, 99, 20), (10, np.nan, 20)])
    for mode in DRAWN:
        assert draw_points(table, PointParameters(mode), seed=0)["frame"].between(10, 20).all()
    assert draw_points(table, PointParameters("apex"), seed=0)["frame"].tolist() == [10, 20, 15]


def test_apex_and_middle_are_what_they_say():
    table = expressions([(10, 12, 20)])
    assert draw_points(table, PointParameters("apex"), seed=0)["frame"].item() == 12
    assert draw_points(table, PointParameters("middle"), seed=0)["frame"].item() == 15


def test_gaussian_points_spread_by_18_percent_of_the_length():
    # apex in the middle, where the truncation at +- 2.8 standard deviations takes nearly nothing
    table = expressions([(0, 50, 100)] * 4000)
    frames = draw_points(table, PointParameters("gaussian"), seed=1)["frame"]
    assert frames.mean() == pytest.approx(50, abs=1)
    assert frames.std() / 101 == pytest.approx(0.18, abs=0.008)


@pytest.mark.parametrize(("dataset", "stride"), [("casme_sq", 1), ("samm_lv", 7)])
def test_the_spread_of_the_released_points_is_reproduced(shared_data, dataset, stride):
    """The released points: standard deviation .17 to .18 of the duration around the apex, always inside.

    On the real labels, rows with an apex of their own; the spread of .18 less what the truncation takes off is .17.
    """
    truth = pd.read_csv(shared_data / "predictions/gt_megc2020.csv")
    truth = truth[(truth["dataset"] == dataset) & truth["apex"].between(truth["onset"], truth["offset"])]
    table = expressions(np.rint((truth[["onset", "apex", "offset"]] - 1) / stride).astype(int).to_numpy())
    length = (table["offset"] - table["onset"] + 1).to_numpy()
    drawn = [draw_points(table, PointParameters(), seed)["frame"].to_numpy() for seed in range(10)]
    deviation = np.std([(frames - table["apex"].to_numpy()) / length for frames in drawn])
    assert 0.165 <= deviation < 0.185
    assert all((frames >= table["onset"]).all() and (frames <= table["offset"]).all() for frames in drawn)


def test_uniform_points_cover_the_instance_evenly():
    frames = draw_points(expressions([(5, 6, 8)] * 4000), PointParameters("uniform"), seed=1)["frame"]
    assert np.bincount(frames)[5:] / 4000 == pytest.approx([0.25] * 4, abs=0.03)


@pytest.mark.parametrize("mode", ["gaussian", "uniform"])
def test_adding_a_video_changes_no_other_point(mode):
    first, second = expressions([(0, 40, 90), (100, 150, 190)]), expressions([(7, 30, 80)], "s1_b")
    alone = draw_points(first, PointParameters(mode), seed=5)
    together = draw_points(pd.concat([second, first], ignore_index=True), PointParameters(mode), seed=5)
    pd.testing.assert_frame_equal(together[together["video_id"] == "s1_a"].reset_index(drop=True), alone)


def test_the_seed_decides_the_points():
    table = expressions([(0, 500, 1000)] * 20)
    one, same, other = (draw_points(table, PointParameters(), seed)["frame"].tolist() for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_no_instance_gives_an_empty_table():
    points = draw_points(expressions([]), PointParameters(), seed=0)
    assert len(points) == 0
    assert list(points.columns) == list(POINT_COLUMNS)


def test_given_points_are_the_annotators_clicks():
    table = expressions([(10, 12, 20), (30, 33, 40)]).assign(point=[20, 30])
    points = draw_points(table, PointParameters("given"), seed=0)
    assert points["frame"].tolist() == [20, 30]
    assert points["frame"].dtype == np.int64
    assert list(points.columns) == list(POINT_COLUMNS)


def test_instances_without_a_click_are_named():
    """The second has none, the third one outside; without the column no instance has one."""
    table = expressions([(10, 12, 20), (30, 33, 40), (50, 55, 60)])
    with pytest.raises(
        InputError,
        match=r"2 of 3 instances.*row 1 \(s1_a, macro 30..40: none\); row 2 \(.*50..60: 61\); fill the column",
    ):
        draw_points(table.assign(point=[20, np.nan, 61]), PointParameters("given"), seed=0)
    with pytest.raises(InputError, match="3 of 3 instances have no click"):
        draw_points(table, PointParameters("given"), seed=0)
    with pytest.raises(InputError, match="and 5 more; fill"):
        draw_points(pd.concat([table] * 5), PointParameters("given"), seed=0)


def test_training_cannot_see_onset_and_offset():
    """Structure: a point has no interval, a training video holds nothing else of the labels, and neither module knows more.

    ``targets`` and ``expressions`` are of methods that learn from intervals; for any other they are refused (test_engine,
    test_training) and by default absent.
    """
    interval = {"onset", "offset", "apex", "native_onset", "native_apex", "native_offset"}
    assert not interval & set(POINT_COLUMNS)
    assert {field.name for field in fields(TrainingVideo)} == {
        "video_id", "subject", "snippets", "valid", "point_frames", "point_classes", "targets", "neutral",
    }  # fmt: skip
    assert {field.name: field.default for field in fields(TrainingVideo)}["targets"] is None
    assert {field.name for field in fields(FoldInputs)} == {
        "snippets", "points", "videos", "held_out", "validation", "expressions", "cached", "neutral",
    }  # fmt: skip
    assert {field.name: field.default for field in fields(FoldInputs)}["expressions"] is None
    assert not interval & set(VIDEO_COLUMNS)
    reached = provenance.modules_used("pfes.training.fold")
    assert not {name for name in reached if name.startswith(("pfes.datasets", "pfes.exchange.annotations"))}


@pytest.mark.parametrize(("method", "path"), [("journal", "expressions.parquet"), ("supervised", None)])
def test_expressions_are_for_a_method_of_intervals_and_for_no_other(method, path, tmp_path):
    videos = tmp_path / "videos.parquet"
    store.write_table(videos, "videos", pd.DataFrame({"video_id": ["a"], "subject": ["a"]}), {})
    inputs = FoldInputs({}, "points", videos, expressions=path)
    with pytest.raises(InputError, match="must not see the table of expressions|needs the table of expressions"):
        train_fold(inputs, tmp_path, ModelParameters(), TrainingParameters(method=method), 0, "x", {})


def test_wrong_parameters_are_named():
    with pytest.raises(InputError, match="mode 'click'"):
        PointParameters("click")
    with pytest.raises(InputError, match="spread"):
        PointParameters(spread=0)


def test_write_points_records_seed_and_parameters(tmp_path):
    store.write_table(tmp_path / "e.parquet", "expressions", expressions([(0, 4, 9)]), provenance.record("dataset", {}))
    write_points(tmp_path / "e.parquet", tmp_path / "p.parquet", PointParameters("apex"), seed=7)
    assert store.read_table(tmp_path / "p.parquet", "points")["frame"].item() == 4
    made = store.describe(tmp_path / "p.parquet")["provenance"]
    assert made["parameters"] == {"mode": "apex", "spread": 0.18, "one_based": False, "share": 1.0, "seed": 7}
    assert [source.rsplit("/", 1)[-1] for source in made["sources"]] == ["e.parquet"]


def test_clicks_of_a_sheet_become_points(tmp_path):
    """At 60 fps every second frame is taken: clicks on native frames 12 and 45 are the sampled frames 6 and 22 (tie to even)."""
    for name in ("a", "b"):
        encode(tmp_path / f"{name}.mp4", (np.full((16, 16, 3), 90, np.uint8) for _ in range(60)), 60)
    (tmp_path / "videos.csv").write_text("subject,video,path\nanna,a,a.mp4\nben,b,b.mp4\n")
    rows = "subject,video,onset,offset,class,point\nanna,a,10,30,macro,12\nben,b,40,50,micro,45\n"
    (tmp_path / "expressions.csv").write_text(rows)
    settings = {name: str(tmp_path / f"{name}.csv") for name in ("videos", "expressions")}
    datasets.write_dataset(datasets.load("generic", settings), tmp_path, SamplingParameters(), settings)
    write_points(tmp_path / "expressions.parquet", tmp_path / "points.parquet", PointParameters("given"), seed=0)
    assert store.read_table(tmp_path / "points.parquet", "points")["frame"].tolist() == [6, 22]
