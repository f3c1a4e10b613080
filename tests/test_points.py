import numpy as np
import pandas as pd
import pytest

from pfes import provenance, store
from pfes.errors import InputError
from pfes.points import MODES, PointParameters, draw_points, write_points
from pfes.records import EXPRESSION_COLUMNS, POINT_COLUMNS


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


@pytest.mark.parametrize("mode", MODES)
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
    for mode in MODES:
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
    assert made["parameters"] == {"mode": "apex", "spread": 0.18, "seed": 7}
    assert [source.rsplit("/", 1)[-1] for source in made["sources"]] == ["e.parquet"]
