"""Peak memory is measured where the work is done, and the flow stage needs no more for a longer recording."""

import tracemalloc

import numpy as np

from pfes.bench.memory import peak_memory
from pfes.flow import sw_mro as flow_stage
from pfes.flow.sw_mro import FlowParameters, window_flow


def touch_256_mb():
    return np.ones(2**28, np.uint8).sum()


def test_what_the_work_needs_is_in_its_peak_and_what_its_parent_needs_is_not(tmp_path):
    """256 MB, and at most 344 MB of interpreter and libraries; this process holds 512 MB beside its own meanwhile."""
    own = np.ones(2**29, np.uint8)
    assert 256 < peak_memory(touch_256_mb, tmp_path / "log.txt") < 600
    assert own.all()


def test_flow_of_a_longer_recording_needs_no_more_memory(monkeypatch):
    """150 frames more of 64 kB (grey), kept by mistake, would be 10 MB; their landmarks are some kB each."""
    still = np.zeros((64, 64, 2), np.float32)
    monkeypatch.setattr(flow_stage, "solver", lambda params: lambda stacks: ([still] * (len(s) - 1) for s in stacks))
    face = np.random.default_rng(0).uniform(60, 190, (68, 2)).astype(np.float32)

    def peak(n_frames):
        frames = (np.full((256, 256, 3), index % 200, np.uint8) for index in range(n_frames))
        landmarks = np.tile(face, (n_frames, 1, 1)) + np.arange(n_frames, dtype=np.float32)[:, None, None] * 0.01
        tracemalloc.start()
        assert sum(len(block) for _, block in window_flow(frames, landmarks, FlowParameters(size=64))) == n_frames
        largest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return largest

    short, long = peak(40), peak(190)
    assert short > 17 * 2**16  # the images of a window are among what is counted
    assert long - short < 5 * 2**20
