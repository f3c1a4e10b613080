"""Score limits by points: the best one against a loop over all, whose files they come from, and what they do."""

import json

import numpy as np
import pandas as pd
import pytest

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.decoding.proposals import SpotParameters
from pfes.spotting.limits import ChoiceFiles, best_limit, unlimited, with_limits, write_limits
from pfes.training.features import extract_features
from tests.training_data import train_project


def table(*rows):
    return pd.DataFrame(rows, columns=["onset", "offset", "score"])


def test_the_limit_leaves_out_what_holds_no_point():
    # points     5          25
    # .9        [----]
    # .8                  [----]
    # .7                          [----]   holds none
    videos = [(table((0, 10, 0.9), (20, 30, 0.8), (40, 50, 0.7)), np.array([5, 25]))]
    assert best_limit(videos) == 0.8


def test_a_point_is_found_once():
    assert best_limit([(table((0, 10, 0.9), (1, 9, 0.8), (20, 30, 0.5)), np.array([5]))]) == 0.9


def test_a_class_without_a_point_or_a_hit_has_no_limit():
    assert best_limit([(table((0, 10, 0.9)), np.array([], int))]) is None
    assert best_limit([(table((0, 10, 0.9)), np.array([50]))]) is None
    assert best_limit([(table(), np.array([5]))]) is None
    assert best_limit([]) is None


def f1_at(videos, limit):
    hits = count = 0
    for proposals, frames in videos:
        left = sorted(frames.tolist())
        for onset, offset, score in sorted(proposals.itertuples(index=False), key=lambda row: -row[2]):
            if score >= limit:
                count += 1
                held = [frame for frame in left if onset <= frame <= offset]
                hits += bool(held)
                left = [frame for frame in left if frame not in held[:1]]
    return 2 * hits / (count + sum(len(frames) for _, frames in videos))


@pytest.mark.parametrize("seed", range(20))
def test_random_videos_against_all_limits(seed):
    generator = np.random.default_rng(seed)
    videos = []
    for _ in range(3):
        onset = generator.integers(0, 80, 8)
        rows = zip(onset, onset + generator.integers(3, 20, 8), generator.integers(0, 6, 8) / 6, strict=True)
        videos.append((table(*rows), generator.choice(100, generator.integers(0, 4), replace=False)))
    scores = sorted({score for proposals, _ in videos for score in proposals["score"]})
    values = [f1_at(videos, limit) for limit in scores]
    found = best_limit(videos)
    if max(values) == 0:
        assert found is None
    else:
        assert found == max(limit for limit, value in zip(scores, values, strict=True) if value == max(values))


def test_limits_of_several_folds_are_averaged_and_what_none_knows_stays(tmp_path):
    for name, content in (("a", {"macro": 0.2, "micro": None}), ("b", {"macro": 0.4, "micro": None})):
        (tmp_path / name).write_text(json.dumps(content))
    found = with_limits(SpotParameters(), [tmp_path / "a", tmp_path / "b"])
    assert found.macro.min_score == pytest.approx(0.3)
    assert found.micro == SpotParameters().micro
    assert with_limits(SpotParameters(), []) == SpotParameters()
    assert unlimited(found).micro.min_score == -np.inf


def test_a_choice_opens_points_alone_and_refuses_the_subjects_that_are_tested(project):
    folder, paths = project
    train_project(folder, paths, validation="s2")
    extract_features(folder / "model.pt", paths, folder / "features.h5")
    made = provenance.record("faces", {})
    faces = {}
    for video_id in paths:
        faces[video_id] = folder / f"faces_{video_id}.h5"
        store.write(faces[video_id], "faces", {"native_frame": np.arange(90)}, made, fps=30.0)

    def files(*names):
        tables = folder / "points.parquet", folder / "videos.parquet"
        return ChoiceFiles(folder / "model.pt", folder / "features.h5", *tables, {n: paths[n] for n in names}, faces)

    write_limits(files("s2_a", "s2_b"), folder / "limits.json", SpotParameters(class_threshold=0.0))
    found = json.loads((folder / "limits.json").read_text())
    assert (found["subjects"], found["role"]) == (["s2"], "validation")
    assert "expressions" not in json.dumps(found["provenance"]["sources"])
    with pytest.raises(InputError, match="subject 's3' is held out by this fold"):
        write_limits(files("s2_a", "s3_a"), folder / "limits.json", SpotParameters())
    write_limits(files("s1_a"), folder / "limits.json", SpotParameters(class_threshold=0.0))
    assert json.loads((folder / "limits.json").read_text())["role"] == "train"
