"""RoI features of a ramp are the centres of the bins; beyond the video there is nothing; all against loops."""

import math

import numpy as np
import pytest
import torch

from pfes.methods.ptal.roi import RoiEmbedding, roi_bins, roi_parts


def by_loop(features, start, end):
    n, width = features.shape
    first, size = start - (end - start) / 4, (end - start) * 1.5 / 12
    bins = np.zeros((12, width))
    for i in range(12):
        count = max(math.ceil(size - 1e-9), 1)
        for k in range(count):
            x = first + i * size + (k + 0.5) / count * size - 0.5  # in frames, whose centres are whole here
            for frame in (math.floor(x), math.floor(x) + 1):
                if 0 <= frame < n:
                    bins[i] += (1 - abs(x - frame)) * features[frame] / count
    return bins


@pytest.mark.parametrize(("start", "end"), [(40, 60), (40.3, 41), (30, 70.5)])
def test_a_ramp_gives_the_centres_of_the_bins(start, end):
    ramp = np.arange(100, dtype=np.float32)[:, None] + 0.5  # frame i lies at i + .5
    centres = start + (end - start) * (np.arange(12) + 0.5 - 2) / 8
    np.testing.assert_allclose(roi_bins(ramp, np.array([[start, end]]))[0, :, 0], centres, rtol=1e-5)


def test_random_intervals_also_beyond_the_video():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(9, 4)).astype(np.float32)  # shorter than the twelve bins
    starts = generator.uniform(-4, 10, 60)
    intervals = np.stack([starts, starts + generator.uniform(0.1, 30, 60)], 1)
    found = roi_bins(features, intervals)
    for interval, bins in zip(intervals, found, strict=True):
        np.testing.assert_allclose(bins, by_loop(features, *interval), atol=1e-5)
    assert roi_bins(features, np.zeros((0, 2))).shape == (0, 12, 4)


def test_parts_are_maxima_and_the_embedding_compares_them():
    features = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
    bins = by_loop(features, 10, 20)
    parts = roi_parts(torch.as_tensor(features), np.array([[10.0, 20.0]]))
    expected = np.stack([bins[:2].max(0), bins[2:10].max(0), bins[10:].max(0)])
    np.testing.assert_allclose(parts[0], expected, atol=1e-5)
    layer = RoiEmbedding(4, 0.5).eval()
    joined = np.concatenate([expected[1] - expected[0], expected[1], expected[1] - expected[2]])
    plain = layer.linear.weight.detach().numpy() @ joined + layer.linear.bias.detach().numpy()
    np.testing.assert_allclose(layer(parts)[0].detach(), np.maximum(plain, 0), atol=1e-5)
