"""Short videos of events: the frames of the recording, no more and no fewer."""

import numpy as np
import pytest

from pfes.base.errors import InputError
from pfes.commands.clips import write_clips
from pfes.media import decode
from tests.conftest import write_video


def test_each_event_becomes_a_video_of_its_frames(tmp_path):
    write_video(tmp_path / "a.mp4", np.arange(60) / 20, lambda i: np.full((64, 64, 3), 20 + 67 * i % 210, np.uint8))
    (tmp_path / "p.csv").write_text(
        "video_id,class,native_onset,native_offset\na,macro,10,19\na,micro,55,59\nother,macro,1,2\nanna_a,macro,2,4\n"
    )
    clips = write_clips(tmp_path / "a.mp4", tmp_path / "p.csv", tmp_path / "out", margin_s=0.1)
    assert [path.name for path in clips] == ["001_macro_2-4.mp4", "002_macro_10-19.mp4", "003_micro_55-59.mp4"]
    whole = [frame[32, 32, 0] for frame in decode.read_frames(tmp_path / "a.mp4")]
    for path, frames in zip(clips, (whole[0:7], whole[8:22], whole[53:60]), strict=True):
        found = [frame[32, 32, 0] for frame in decode.read_frames(path)]
        assert np.abs(np.array(found, int) - np.array(frames, int)).max() <= 6 and len(found) == len(frames)


def test_an_event_beyond_the_recording_is_said(tmp_path):
    write_video(tmp_path / "a.mp4", np.arange(30) / 20)
    (tmp_path / "p.csv").write_text("class,onset,offset\nmacro,20,30\n")
    with pytest.raises(InputError, match="an event ends at frame 30, but .* has 30 frames"):
        write_clips(tmp_path / "a.mp4", tmp_path / "p.csv", tmp_path / "out")
