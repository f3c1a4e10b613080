"""A decoder that crashes costs its recording, and nothing else."""

import ctypes
import os
import signal
import time

import numpy as np
import pytest

from pfes.base import store
from pfes.base.errors import InputError
from pfes.datasets import load, write_dataset
from pfes.media import video
from pfes.media.apart import alive, apart
from pfes.media.decode import SamplingParameters, count_frames
from tests.conftest import write_video


def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


def hang():
    """In C, where no Python signal handler runs."""
    ctypes.PyDLL(None).sleep(60)


def test_what_is_returned_and_raised_comes_through(tmp_path):
    assert apart(tmp_path, lambda: (1, "two")) == (1, "two")
    with pytest.raises(InputError, match="three"):
        apart(tmp_path, lambda: (_ for _ in ()).throw(InputError("three")))


def test_it_is_another_process(tmp_path):
    assert apart(tmp_path, os.getpid) != os.getpid()


def test_a_crash_is_bad_input_and_a_kill_is_not(tmp_path):
    with pytest.raises(InputError, match=r"a\.mp4: the decoder crashes on it \(SIGSEGV\)"):
        apart(tmp_path / "a.mp4", crash)
    with pytest.raises(RuntimeError, match="SIGKILL; out of memory, perhaps"):
        apart(tmp_path / "a.mp4", lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_a_decoder_that_hangs_in_a_library_is_ended_and_a_slow_one_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr("pfes.media.apart.SILENT_S", 1)

    def slow():
        for _ in range(4):
            time.sleep(0.5)
            alive()
        return "done"

    assert apart(tmp_path / "a.mp4", slow) == "done"
    with pytest.raises(InputError, match=r"a\.mp4: the decoder hangs on it, nothing came for 1 s"):
        apart(tmp_path / "a.mp4", hang)


def test_a_dataset_loses_the_recording_that_crashes_and_keeps_the_others(tmp_path, monkeypatch):
    for name in ("bad", "good"):
        write_video(tmp_path / f"{name}.mp4", np.arange(30) / 30)
    decoded = video._decoded
    bad = lambda container, stream: crash() if "bad" in container.name else decoded(container, stream)  # noqa: E731
    monkeypatch.setattr(video, "_decoded", bad)
    (tmp_path / "videos.csv").write_text("subject,video,path\na,bad,bad.mp4\nb,good,good.mp4\n")
    (tmp_path / "expressions.csv").write_text("subject,video,class,onset,apex,offset\nb,good,macro,5,8,12\n")
    settings = {"videos": str(tmp_path / "videos.csv"), "expressions": str(tmp_path / "expressions.csv")}
    write_dataset(load("generic", settings), tmp_path, SamplingParameters(), {})
    videos = store.read_table(tmp_path / "videos.parquet", "videos").set_index("video")
    assert "bad.mp4: the decoder crashes on it" in videos.loc["bad", "refused"]
    assert videos.loc["good", "n_frames"] == 30 and videos.loc["good", "refused"] is None
    with pytest.raises(InputError, match="crashes"):
        count_frames(tmp_path / "bad.mp4")
