"""What the figures of a comparison show is what the files of a run hold, and every figure is drawn for every input."""

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch

from pfes.base import store
from pfes.base.config import values_of
from pfes.drawing import figures
from pfes.drawing.comparison_figures import (
    LabelCurve,
    apex_distance_figure,
    comparison_figure,
    label_figure,
    stretch_figure,
    write_comparison_figure,
)
from pfes.drawing.experiment_data import (
    apex_distances,
    closest_pair,
    label_curves,
    recompute_labels,
    write_apex_figure,
    write_label_figure,
    write_stretch_figure,
)
from pfes.evaluation.comparison import RunTables, compare
from pfes.evaluation.statistics import trust
from pfes.methods.gim.parameters import GimParameters
from pfes.methods.parameters import TrainingParameters
from pfes.methods.registry import learned
from pfes.network.parameters import ModelParameters
from pfes.training.fold import load_video
from pfes.training.model import SpottingModel, load_model, predict, save_model

torch.set_num_threads(1)

EXPRESSIONS = pd.DataFrame(
    [
        ("s1_a", 0, "macro", 10, 20, 35), ("s1_a", 1, "micro", 60, 66, 70), ("s2_a", 0, "macro", 5, None, 25),
        ("s9_a", 0, "macro", 5, 9, 25),
    ],
    columns=["video_id", "instance", "class", "onset", "apex", "offset"],
)  # fmt: skip
COUNTED = {"protocol": "strict", "level": 0.95}
POINTS = pd.DataFrame(
    [
        ("s1", "s1_a", 1, "micro", 64), ("s1", "s1_a", 0, "macro", 24), ("s2", "s2_a", 0, "macro", 12),
        ("s9", "s9_a", 0, "macro", 8),
    ],
    columns=["subject", "video_id", "instance", "class", "frame"],
)  # fmt: skip


@pytest.fixture(scope="module")
def fold(tmp_path_factory):
    """A model that was trained on s1 and s2, stage 3 at its last epoch, and the snippets of three subjects."""
    folder = tmp_path_factory.mktemp("fold")
    generator = np.random.default_rng(0)
    for video_id in ("s1_a", "s2_a", "s9_a"):
        arrays = {"snippets": generator.normal(0, 1, (90, 17, 10, 2)).astype(np.float32), "valid": np.ones(90, bool)}
        store.write(folder / f"{video_id}.h5", "snippets", arrays, {})
    params = ModelParameters(width=8, heads=2)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = SpottingModel(params)
    training = values_of(TrainingParameters(epochs=40, sections=(GimParameters(half_widths=((8, 18), (4, 8))),)))
    meta = {
        "model": asdict(params), "training": training, "seed": 0, "experiment": "journal", "held_out": ["s9"],
        "train_subjects": ["s1", "s2"], "train_videos": ["s1_a", "s2_a"],
    }  # fmt: skip
    save_model(folder / "model.pt", model, meta)
    return folder, {path.stem: path for path in folder.glob("*.h5")}


def curves(fold):
    folder, snippets = fold
    return label_curves(folder / "model.pt", snippets, POINTS, EXPRESSIONS)


def test_only_videos_that_the_model_was_trained_on_are_shown_macro_first(fold):
    assert [curve.title for curve in curves(fold)] == ["s1_a, macro", "s2_a, macro", "s1_a, micro"]


def test_each_instance_has_its_own_point_pseudo_apex_and_truth(fold):
    """In a video of two instances, whose points are not in the order of the table."""
    macro, without_apex, micro = curves(fold)
    assert (macro.point, macro.onset, macro.apex, macro.offset) == (24, 10, 20, 35)
    assert (micro.point, micro.onset, micro.apex, micro.offset) == (64, 60, 66, 70)
    assert abs(macro.pseudo_apex - macro.point) <= 8
    assert abs(micro.pseudo_apex - micro.point) <= 4
    assert without_apex.apex == 15


def test_the_pseudo_apex_is_the_highest_intensity_near_the_point(fold):
    folder, snippets = fold
    model, _ = load_model(folder / "model.pt")
    _, intensity, _ = predict(model, store.read(snippets["s1_a"], "snippets")["snippets"])
    macro = curves(fold)[0]
    assert macro.pseudo_apex == 16 + int(np.argmax(intensity[16:33]))
    np.testing.assert_array_equal(macro.intensity, intensity[macro.frames])
    assert macro.label[macro.frames == macro.pseudo_apex] == pytest.approx(1)
    counted = int((intensity[macro.pseudo_apex - 16 : macro.pseudo_apex + 17] > 0.5).sum())  # theta is .5 from epoch 30
    half = min(max(int(1.2 * counted / 2 + 1e-4), 8), 18)
    labelled = macro.frames[~np.isnan(macro.label)]
    assert (labelled.min(), labelled.max()) == (macro.pseudo_apex - half, macro.pseudo_apex + half)


def test_labels_are_recomputed_from_points_alone(fold):
    folder, snippets = fold
    model, meta = load_model(folder / "model.pt")
    points = pd.DataFrame({"video_id": "s1_a", "frame": [24], "class": ["macro"]})  # no instance, no onset, no offset
    video = load_video("s1_a", "s1", snippets["s1_a"], points)
    labels, _ = recompute_labels(model, meta, video)
    assert labels.stage == 3
    model.method = learned("as_released")
    other, _ = recompute_labels(model, meta, video)
    assert other.soft.shape == labels.soft.shape


def test_no_more_instances_of_a_class_than_asked_for_are_shown(fold):
    folder, snippets = fold
    shown = label_curves(folder / "model.pt", snippets, POINTS, EXPRESSIONS, per_class=1)
    assert [curve.kind for curve in shown] == ["macro", "micro"]


# ------------------------------------------------------------------------------------------------ apex distance


@pytest.fixture
def logged(tmp_path):
    """Two folds of one experiment; the micro-expression is in both, as two folds train on it."""
    store.write_table(tmp_path / "points.parquet", "points", POINTS, {})
    columns = ["epoch", "video_id", "class", "point", "apex"]
    first = [(0, "s1_a", "macro", 24, 24), (1, "s1_a", "macro", 24, 21), (1, "s1_a", "micro", 64, 62)]
    second = [(1, "s1_a", "micro", 64, 66), (1, "s2_a", "macro", 12, 12)]
    for name, rows in (("one", first), ("two", second)):
        store.write_table(tmp_path / f"{name}.parquet", "apexes", pd.DataFrame(rows, columns=columns), {})
    store.write_table(tmp_path / "expressions.parquet", "expressions", EXPRESSIONS, {})
    return {"journal": [tmp_path / "one.parquet", tmp_path / "two.parquet"]}, {"journal": [tmp_path / "points.parquet"]}


def test_apex_distances_are_means_over_folds(logged):
    """macro: |24 - 20| at epoch 0, |21 - 20| at 1, s2_a has no true apex; micro at 1: |62 - 66| and |66 - 66|."""
    table = apex_distances(*logged, EXPRESSIONS).set_index(["class", "epoch"])
    assert table["distance"].to_dict() == {("macro", 0): 4.0, ("macro", 1): 1.0, ("micro", 1): 2.0}
    assert table["point_distance"].to_dict() == {("macro", 0): 4.0, ("macro", 1): 4.0, ("micro", 1): 2.0}
    assert set(table["experiment"]) == {"journal"}


def test_no_experiment_has_no_distance():
    assert len(apex_distances({}, {}, EXPRESSIONS)) == 0


# ------------------------------------------------------------------------------------------------ consecutive expressions


def test_the_closest_pair_is_the_one_with_the_smallest_gap():
    table = pd.DataFrame(
        {"video_id": ["a", "a", "b", "b", "c"], "onset": [0, 90, 40, 10, 0], "offset": [30, 120, 60, 33, 9]}
    )
    lengths = {"a": 200, "b": 75, "c": 50}
    assert closest_pair(table, lengths) == ("b", 0, 74)  # gap 7, 25 frames on each side, cut at the video's ends
    assert closest_pair(table, {"a": 200}) == ("a", 0, 145)
    assert closest_pair(table, {"c": 50}) is None
    assert closest_pair(table.iloc[:0], lengths) is None


# ------------------------------------------------------------------------------------------------ files and figures


def test_every_figure_is_written_from_files(fold, logged, tmp_path):
    folder, snippets = fold
    apexes, points = logged
    write_label_figure(
        folder / "model.pt",
        snippets,
        points["journal"][0],
        tmp_path / "expressions.parquet",
        {},
        tmp_path / "labels.svg",
    )
    write_apex_figure(apexes, points, tmp_path / "expressions.parquet", tmp_path / "apex.svg")
    videos = pd.DataFrame({"video_id": ["s1_a", "s2_a"], "sampled_fps": [30.0, 30.0]})
    store.write_table(tmp_path / "videos.parquet", "videos", videos, {})
    scores = {f"intensity/{name}": np.linspace(0, 1, 90) for name in ("s1_a", "s2_a")}
    store.write(tmp_path / "scores.h5", "scores", scores, {})
    out = tmp_path / "stretch.svg"
    write_stretch_figure(
        {"journal": [tmp_path / "scores.h5"]}, tmp_path / "expressions.parquet", tmp_path / "videos.parquet", {}, out
    )
    counts = pd.DataFrame(
        [("journal", 0, subject, "x", "macro", 2, 1, 1) for subject in "ab"],
        columns=["experiment", "seed", "subject", "video_id", "class", "tp", "fp", "fn"],
    )
    write_comparison_figure(compare(RunTables(**trust(counts).tables())), tmp_path / "comparison.svg", COUNTED)
    for name in ("labels", "apex", "stretch", "comparison"):
        text = (tmp_path / f"{name}.svg").read_text()
        assert text.startswith("<svg")
        assert "aria-label=" in text
    assert "s1_a: the expressions that follow each other most closely" in out.read_text()


def test_a_run_without_expressions_still_has_its_figures(tmp_path):
    store.write_table(tmp_path / "expressions.parquet", "expressions", EXPRESSIONS.iloc[:0], {})
    videos = pd.DataFrame({"video_id": ["s1_a"], "sampled_fps": [30.0]})
    store.write_table(tmp_path / "videos.parquet", "videos", videos, {})
    store.write(tmp_path / "scores.h5", "scores", {"intensity/s1_a": np.zeros(40)}, {})
    for paths in ([tmp_path / "scores.h5"], []):
        write_stretch_figure(
            {"journal": paths}, tmp_path / "expressions.parquet", tmp_path / "videos.parquet", {}, tmp_path / "out.svg"
        )
        assert (tmp_path / "out.svg").stat().st_size > 1000


@pytest.mark.parametrize("count", [0, 1, 4, 9])
def test_the_page_of_instances_holds_any_number(count):
    frames = np.arange(30)
    one = LabelCurve("a, macro", "macro", frames, np.full(30, np.nan), frames / 30, 10, 12, 5, 11, 20, frames / 30)
    figure = label_figure([one] * count)
    assert sum(axes.get_visible() for axes in figure.axes) == count
    assert figures.svg(figure)


def test_figures_are_the_same_twice():
    table = pd.DataFrame({"class": ["macro"], "onset": [5], "apex": [9], "offset": [20]})
    distances = pd.DataFrame(
        {"experiment": ["$a", "_b"], "class": "macro", "epoch": 0, "distance": 1.0, "point_distance": 2.0}
    )
    counts = pd.DataFrame(
        [(name, 0, "a", "x", "macro", 2, 1, 1) for name in ("$a", "_b")],
        columns=["experiment", "seed", "subject", "video_id", "class", "tp", "fp", "fn"],
    )
    for draw in (
        lambda: stretch_figure("$x_", 30, 0, {"$a": np.zeros(30), "_b": np.ones(30)}, table),
        lambda: apex_distance_figure(distances),
        lambda: comparison_figure(compare(RunTables(**trust(counts).tables())), COUNTED),
    ):
        first = figures.svg(draw())
        assert first == figures.svg(draw())
        assert "$a" in first
        assert "_b" in first
