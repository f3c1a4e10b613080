"""Decoding of the fully supervised system against a reference written with loops from METHOD 11."""

import numpy as np
import pandas as pd
import pytest
import torch

from pfes.base import store
from pfes.base.records import FRAME_COLUMNS
from pfes.decoding.proposals import SpotParameters
from pfes.decoding.start_end import DecodeParameters, decode
from pfes.methods.registry import method_of
from pfes.network.parameters import ModelParameters
from pfes.spotting.proposal_tables import write_proposals
from pfes.training.model import SpottingModel

ME = {"start": 0, "end": 1, "none": 2, "apex": 6}
MAE = {"start": 3, "end": 4, "none": 5, "apex": 7}


def overlap(first, second):
    frames = set(range(*first)), set(range(*second))  # half-open, as in the release
    return len(frames[0] & frames[1]) / len(frames[0] | frames[1])


def reference(outputs):
    """Apex > .5; start = argmax in [a - 8, a - 2] (ME), [a - 29, a - 8] (MaE), end likewise; who beats whom; product;
    NMS .5; top 5 per class."""
    n_frames, found = len(outputs), []
    for name, columns, near, far in (("macro", MAE, 8, 29), ("micro", ME, 2, 8)):
        own = []
        for a in range(n_frames):
            if not outputs[a][columns["apex"]] > 0.5:
                continue
            s = e = None
            for distance in range(near, far + 1):
                before, after = max(a - distance, 0), min(a + distance, n_frames - 1)
                if s is None or outputs[before][columns["start"]] > outputs[s][columns["start"]]:
                    s = before
                if e is None or outputs[after][columns["end"]] > outputs[e][columns["end"]]:
                    e = after
            beats = outputs[s][columns["start"]] > outputs[s][columns["end"]]
            if beats and outputs[e][columns["end"]] > outputs[e][columns["start"]]:
                product = outputs[s][columns["start"]] * outputs[e][columns["end"]] * outputs[a][columns["apex"]]
                own.append((product, s, a, e))
        own.sort(key=lambda row: -row[0])
        kept = []
        for row in own:
            if all(overlap((row[1], row[3]), (other[1], other[3])) <= 0.5 for other in kept):
                kept.append(row)
        found += [(name, s, a, e, score) for score, s, a, e in sorted(kept[:5], key=lambda row: (row[1], row[3]))]
    return found


def random_outputs(seed, n_frames):
    """Smooth random curves, so that starts and ends are sometimes in their order."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(0, 1, (n_frames + 8, 10))
    logits = 4 * np.stack([np.convolve(noise[:, k], np.ones(9) / 9, "valid") for k in range(10)], 1)
    out = 1 / (1 + np.exp(-logits))
    for columns in (slice(0, 3), slice(3, 6)):
        out[:, columns] = np.exp(logits[:, columns]) / np.exp(logits[:, columns]).sum(1, keepdims=True)
    return out


def outputs_of(n_frames, instances):
    """Outputs that say exactly ``instances``: (columns, onset, apex, offset, apex probability)."""
    out = np.full((n_frames, 10), 0.05)
    out[:, [2, 5]] = 0.9
    for columns, onset, apex, offset, probability in instances:
        for frame, name in ((onset, "start"), (offset, "end")):
            out[frame, columns[name]], out[frame, columns["none"]] = 0.9, 0.05
        out[apex, columns["apex"]] = probability
    return out


@pytest.mark.parametrize("seed", range(30))
def test_proposals_are_those_of_the_reference(seed):
    outputs = random_outputs(seed, 30 + 9 * seed)
    found, expected = decode(outputs), reference(outputs.tolist())
    assert list(found.columns) == list(FRAME_COLUMNS)
    columns = ["class", "onset", "apex", "offset"]
    assert [tuple(row) for row in found[columns].to_numpy().tolist()] == [row[:4] for row in expected]
    assert found["score"].to_numpy() == pytest.approx([row[4] for row in expected])


def test_the_reference_has_something_to_find():
    """A comparison of nothing with nothing would prove nothing."""
    names = [row[0] for seed in range(30) for row in reference(random_outputs(seed, 30 + 9 * seed).tolist())]
    assert min(names.count("macro"), names.count("micro")) > 20


def test_a_macro_and_a_micro_expression_are_found_by_eye():
    found = decode(outputs_of(100, [(MAE, 10, 25, 40, 0.8), (ME, 60, 65, 70, 0.7)]))
    assert found[["class", "onset", "apex", "offset"]].to_numpy().tolist() == [
        ["macro", 10, 25, 40], ["micro", 60, 65, 70],
    ]  # fmt: skip
    assert found["score"].to_numpy() == pytest.approx([0.9 * 0.9 * 0.8, 0.9 * 0.9 * 0.7])
    assert found["peak_intensity"].to_numpy() == pytest.approx([0.8, 0.7])


def test_an_apex_probability_of_exactly_a_half_is_no_candidate():
    assert len(decode(outputs_of(100, [(MAE, 10, 25, 40, 0.5)]))) == 0


@pytest.mark.parametrize(("columns", "near", "far"), [(ME, 2, 8), (MAE, 8, 29)])
def test_onset_and_offset_may_lie_as_far_as_the_range_says_and_no_further(columns, near, far):
    for distance, wanted in ((near - 1, 0), (near, 1), (far, 1), (far + 1, 0)):
        outputs = outputs_of(100, [(columns, 50 - distance, 50, 50 + distance, 0.9)])
        assert len(decode(outputs)) == wanted, distance


def test_an_expression_at_the_ends_of_the_video_is_cut_not_lost():
    outputs = outputs_of(40, [(MAE, 0, 9, 20, 0.9), (ME, 30, 38, 39, 0.9)])
    found = decode(outputs)
    assert found[["onset", "apex", "offset"]].to_numpy().tolist() == [[0, 9, 20], [30, 38, 39]]


def test_a_start_that_end_beats_is_dropped():
    outputs = outputs_of(100, [(MAE, 10, 25, 40, 0.8)])
    outputs[10, MAE["end"]] = 0.95
    assert len(decode(outputs)) == 0


def test_at_most_five_of_a_class_stay():
    outputs = outputs_of(300, [(ME, 10 + 30 * k, 15 + 30 * k, 20 + 30 * k, 0.6 + 0.03 * k) for k in range(8)])
    found = decode(outputs)
    assert found["onset"].tolist() == [100, 130, 160, 190, 220]
    assert len(decode(outputs, DecodeParameters(max_per_video=8))) == 8


def test_frames_without_a_face_hold_no_apex_no_onset_and_no_offset():
    outputs = outputs_of(100, [(MAE, 10, 25, 40, 0.8)])
    for frame in (10, 25, 40):
        assert len(decode(outputs, valid=np.arange(100) != frame)) == 0
    outputs[50] = np.nan
    assert len(decode(outputs, valid=np.arange(100) != 50)) == 1


def test_what_is_no_output_is_refused():
    with pytest.raises(ValueError, match=r"expected \[T, 10\]"):
        decode(np.zeros((5, 3)))
    with pytest.raises(ValueError, match="not finite"):
        decode(np.full((5, 10), np.nan))
    assert len(decode(np.zeros((0, 10)))) == 0


def test_a_scores_file_with_outputs_is_decoded_and_one_without_is_not(tmp_path):
    """The same curves: with outputs one macro-expression, without them whatever the intensity says (here nothing)."""
    outputs = outputs_of(100, [(MAE, 10, 25, 40, 0.8)])
    curves = {
        "intensity/s1_a": np.zeros(100),
        "class_scores/s1_a": np.zeros((100, 2)),
        "valid/s1_a": np.ones(100, bool),
    }
    videos = pd.DataFrame({"video_id": ["s1_a"], "subject": ["s1"]})
    store.write_table(tmp_path / "videos.parquet", "videos", videos, {})
    faces = {"native_frame": np.arange(100) * 2, "found": np.ones(100, np.uint8)}
    store.write(tmp_path / "s1_a.h5", "faces", faces, {}, fps=30.0)
    whole = curves | {"outputs/s1_a": outputs}
    for method, arrays, expected in (("supervised", whole, [["macro", 10, 25, 40, 80]]), ("journal", curves, [])):
        store.write(tmp_path / "scores.h5", "scores", arrays, {})
        write_proposals(
            tmp_path / "scores.h5", tmp_path / "videos.parquet", {"s1_a": tmp_path / "s1_a.h5"},
            tmp_path / "proposals.parquet", SpotParameters(), method_of(method),
        )  # fmt: skip
        found = store.read_table(tmp_path / "proposals.parquet", "proposals")
        assert found[["class", "onset", "apex", "offset", "native_offset"]].to_numpy().tolist() == expected


def test_only_the_supervised_head_has_outputs():
    features = np.random.default_rng(0).normal(0, 1, (7, 8)).astype(np.float32)
    params = ModelParameters(width=8, heads=2)
    supervised, journal = SpottingModel(params, "supervised"), SpottingModel(params, "journal")
    assert journal.method.outputs(journal.head, torch.as_tensor(features)) is None
    found = supervised.method.outputs(supervised.head, torch.as_tensor(features)).numpy()
    assert found.shape == (7, 10)
    np.testing.assert_allclose(found[:, 0:3].sum(axis=1), 1, atol=1e-6)


def test_of_equal_probabilities_the_frame_nearest_to_the_apex_is_taken():
    outputs = outputs_of(100, [(ME, 43, 50, 57, 0.9), (ME, 47, 50, 54, 0.9)])
    assert decode(outputs)[["onset", "apex", "offset"]].to_numpy().tolist() == [[47, 50, 54]]
