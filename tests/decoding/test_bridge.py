"""Onset and offset of a held expression are joined; two expressions, and what goes the same way twice, are not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.base.records import FRAME_COLUMNS
from pfes.decoding.bridge import bridged
from pfes.decoding.proposals import SpotParameters
from pfes.methods.registry import method_of
from pfes.spotting.proposal_tables import proposed, write_proposals

FPS = 30.0


def proposals(*rows: tuple) -> pd.DataFrame:
    """Proposals of (class, onset, apex, offset), each of score .6, mean .4 and peak .8."""
    return pd.DataFrame([(*row, 0.6, 0.4, 0.8) for row in rows], columns=list(FRAME_COLUMNS))


def moved(**px: float) -> np.ndarray:
    """Displacement [300, 10, 2] over the windows of the ten frames around f50=2.0, ...: the mouth moves down, px."""
    found = np.zeros((300, 10, 2), np.float32)
    for frame, by in px.items():
        found[int(frame[1:]) - 5 : int(frame[1:]) + 5, 6:, 1] = (
            2.5 * by
        )  # four of ten regions: the mean over all is ``by``
    return found


#  intensity   __/\______/\__      proposals  |--|      |--|
#  mouth       ___/------\___      joined     |------------|
PAIR = proposals(("macro", 40, 50, 60), ("macro", 100, 110, 120))


def test_the_way_there_and_the_way_back_are_one_expression() -> None:
    found = bridged(PAIR, moved(f50=2.0, f110=-1.8), 4.0, FPS)
    assert found[["class", "onset", "apex", "offset"]].to_numpy().tolist() == [["macro", 40, 80, 120]]
    assert found[["score", "mean_intensity", "peak_intensity"]].to_numpy() == pytest.approx(np.array([[0.6, 0.4, 0.8]]))
    assert found.dtypes.equals(PAIR.dtypes)


@pytest.mark.parametrize(
    "there_and_back",
    [
        {"f45": 2.0, "f55": -2.0, "f105": -2.0, "f115": 2.0},  # two expressions, each there and back
        {"f50": 2.0, "f110": 2.0},  # further the same way
        {"f50": 2.0, "f110": -0.6},  # hardly back
        {},
    ],
)
def test_two_expressions_stay_two(there_and_back: dict[str, float]) -> None:
    assert bridged(PAIR, moved(**there_and_back), 4.0, FPS).equals(PAIR)


def test_what_would_be_too_long_stays_apart() -> None:
    motion = moved(f50=2.0, f110=-2.0)
    assert len(bridged(PAIR, motion, 2.6, FPS)) == 2
    assert len(bridged(PAIR, motion, 2.7, FPS)) == 1  # 81 frames


def test_readings_of_one_motion_are_not_joined() -> None:
    both = proposals(("macro", 40, 50, 60), ("micro", 44, 52, 58))
    assert len(bridged(both, moved(f45=2.0, f57=-2.0), 4.0, FPS)) == 2


def test_two_halves_called_micro_are_a_macro_expression_if_long() -> None:
    halves = proposals(("micro", 40, 45, 50), ("micro", 70, 75, 80))
    assert bridged(halves, moved(f45=1.0, f75=-1.0), 4.0, FPS)["class"].tolist() == ["macro"]


def test_a_proposal_is_joined_once_and_the_rest_keeps_its_order() -> None:
    three = proposals(("macro", 40, 50, 60), ("macro", 100, 110, 120), ("macro", 150, 160, 170), ("micro", 20, 25, 30))
    found = bridged(three, moved(f50=2.0, f110=-2.0, f160=2.0), 4.0, FPS)
    assert found[["class", "onset"]].to_numpy().tolist() == [["macro", 40], ["macro", 150], ["micro", 20]]


def test_nothing_gives_nothing() -> None:
    assert bridged(PAIR.iloc[:0], moved(), 4.0, FPS).equals(PAIR.iloc[:0])


def write_scores(folder: Path, **more: np.ndarray) -> dict[str, Path]:
    """A video of 300 frames whose intensity is high on the way there and on the way back alone."""
    intensity = np.zeros(300, np.float32)
    intensity[40:61] = intensity[100:121] = 0.9
    origin = provenance.record("test", {})
    curves = {"intensity/a_1": intensity, "class_scores/a_1": np.tile(np.float32([0.9, 0.1]), (300, 1))}
    arrays = {**curves, "valid/a_1": np.ones(300, np.uint8), **more}
    store.write(folder / "scores.h5", "scores", arrays, origin)
    facts = {"native_frame": np.arange(300), "found": np.ones(300, np.uint8)}
    store.write(folder / "faces.h5", "faces", facts, origin, fps=FPS)
    store.write_table(
        folder / "videos.parquet", "videos", pd.DataFrame({"subject": ["a"], "video_id": ["a_1"]}), origin
    )
    return {"a_1": folder / "faces.h5"}


@pytest.mark.parametrize(("bridge_s", "expected"), [(None, [40, 100]), (4.0, [40])])
def test_the_stage_joins_only_if_it_is_told(tmp_path: Path, bridge_s: float | None, expected: list[int]) -> None:
    faces = write_scores(tmp_path, **{"moved/a_1": moved(f50=2.0, f110=-2.0)})
    params = SpotParameters(bridge_s=bridge_s)
    out = tmp_path / "proposals.parquet"
    write_proposals(tmp_path / "scores.h5", tmp_path / "videos.parquet", faces, out, params, method_of("journal"))
    assert store.read_table(out, "proposals")["onset"].tolist() == expected


def test_scores_without_motion_are_named(tmp_path: Path) -> None:
    faces, params = write_scores(tmp_path), SpotParameters(bridge_s=4.0)
    paths = tmp_path / "scores.h5", tmp_path / "videos.parquet", faces, tmp_path / "out.parquet"
    with pytest.raises(InputError, match="lacks the motion that spot.bridge_s needs; rerun rule scores"):
        write_proposals(*paths, params, method_of("journal"))


@pytest.mark.parametrize(("back", "expected"), [(-2.0, [["macro", 45, 114]]), (2.0, [])])
def test_ways_shorter_than_an_expression_may_be_are_joined_or_left_out(back: float, expected: list) -> None:
    """Ten frames there and ten back, where a macro-expression has 15 at least: whole they are one, alone they are none."""
    intensity = np.zeros(300)
    intensity[[*range(45, 55), *range(105, 115)]] = 0.9
    curves = {
        "intensity": intensity, "class_scores": np.tile([0.9, 0.1], (300, 1)), "valid": np.ones(300, bool),
        "moved": moved(f50=2.0, f110=back),
    }  # fmt: skip
    found = proposed(method_of("journal"), curves, SpotParameters(bridge_s=4.0), FPS)
    assert found[["class", "onset", "offset"]].to_numpy().tolist() == expected
