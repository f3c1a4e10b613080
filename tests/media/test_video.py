"""Video files as people have them: the frame that is read is the frame asked for, upright, at the time it was shown."""

import os
from fractions import Fraction
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest

from pfes.base.errors import InputError
from pfes.media import decode, video
from pfes.media.decode import SamplingParameters, describe, read_at, read_frames, recording_clock, sampling_map
from tests.media.drawn import SHAPE, number, picture, set_matrix, stored, write

N = 60
EVEN = np.arange(N) / 30
MATRICES = [(1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)]  # fmt: skip


def numbers(path):
    return [number(frame) for frame in read_frames(path)]


CONTAINERS = {
    "h264.mp4": {}, "h264.mkv": {}, "h264.flv": {}, "h264.ts": {}, "h264.avi": {}, "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "vp9.webm": {"codec": "libvpx-vp9"}, "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"}, "mpeg4_b_frames.avi": {"codec": "mpeg4", "bf": "2"},
    "mpeg2.mpg": {"codec": "mpeg2video"}, "gif.gif": {"codec": "gif", "pix_fmt": "rgb8"}, "hevc_10_bit.mp4": {"codec": "libx265", "pix_fmt": "yuv420p10le"},
    "ffv1_16_bit.mkv": {"codec": "ffv1", "pix_fmt": "gray16le"}, "raw.avi": {"codec": "rawvideo", "pix_fmt": "bgr24"}, "wmv.wmv": {"codec": "wmv2"},
}  # fmt: skip


@pytest.mark.parametrize("name", CONTAINERS)
def test_drawn_numbers_survive_every_container(tmp_path, name):
    path = write(tmp_path / name, EVEN, **CONTAINERS[name])
    found = describe(path)
    assert numbers(path) == list(range(N))
    assert found.clock.fps == pytest.approx(30, abs=1e-3)
    assert (found.clock.times, found.clock.source, found.n_frames) == (None, "stamps", N)


@pytest.mark.parametrize("rate", [15, 24, 25, 50, 60, 120])
def test_drawn_numbers_survive_every_rate(tmp_path, rate):
    """What is sampled at i / 30 s shows the native frame nearest to that time."""
    path = write(tmp_path / "a.mp4", np.arange(90) / rate, rate=rate)
    clock = recording_clock(path)
    native = sampling_map(clock, 90, SamplingParameters())
    assert [number(frame) for _, frame in read_at(path, native.tolist())] == native.tolist()
    assert np.abs(native / rate - np.arange(len(native)) / 30).max() <= 0.5 / rate + 1e-9
    assert clock.fps == pytest.approx(rate)


@pytest.mark.parametrize("matrix", MATRICES)
def test_pictures_are_upright_whatever_the_container_asks(tmp_path, matrix):
    """Four turns, each mirrored or not: stored turned, shown upright."""
    path = write(tmp_path / "a.mp4", EVEN[:20], show=lambda i: stored(picture(i), *matrix))
    set_matrix(path, *matrix)
    assert numbers(path) == list(range(20))
    found = describe(path)
    assert found.size == SHAPE[::-1]
    assert ("mirrored" in found.turn) == (matrix[0] * matrix[3] - matrix[1] * matrix[2] < 0)
    assert bool(found.turn) == (matrix != (1, 0, 0, 1))
    assert [number(frame) >= 0 for frame in video.glances(path, 3)] == [True] * 3


def test_a_turn_that_is_no_quarter_is_refused(tmp_path):
    path = write(tmp_path / "a.mp4", EVEN[:5])
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    for index, value in enumerate((56756, 32768, 0, -32768, 56756)):  # 30 degrees
        content[place + 4 * index : place + 4 * index + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"turns its pictures by .*30 degrees, expected quarter turns"):
        list(read_frames(path))


@pytest.mark.parametrize(("aspect", "size"), [("64/45", (228, 96)), ("1/2", (160, 192)), ("2", (320, 96))])
def test_pixels_are_made_square(tmp_path, aspect, size):
    """720x576 of a PAL DVD is 1024x576; here 160x96. The number is there when the picture is shrunk again."""
    path = write(tmp_path / "a.mp4", EVEN[:10], aspect=aspect)
    frames = list(read_frames(path))
    assert {frame.shape[1::-1] for frame in frames} == {size}
    assert [number(cv2.resize(frame, SHAPE[::-1], interpolation=cv2.INTER_AREA)) for frame in frames] == list(range(10))
    assert describe(path).size == size


def test_an_impossible_pixel_is_refused(tmp_path):
    with pytest.raises(InputError, match="pixels 50 times as wide as high"):
        describe(write(tmp_path / "a.mp4", EVEN[:5], aspect="50"))


def test_a_last_frame_that_is_shown_long_changes_no_time(tmp_path):
    """The header's mean rate is that of the whole length; frames lie where their stamps say."""
    path = write(tmp_path / "a.mkv", EVEN, bf="0")
    with av.open(str(path)) as given, av.open(str(tmp_path / "long.mp4"), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(given.streams.video[0]):
            if packet.size:
                packet.stream = stream
                if packet.pts * packet.time_base > EVEN[-1] - 0.01:
                    packet.duration = round(3 / packet.time_base)
                out.mux(packet)
    with av.open(str(tmp_path / "long.mp4")) as file:
        assert float(file.streams.video[0].average_rate) < 20  # the trap is there
    clock = recording_clock(tmp_path / "long.mp4")
    np.testing.assert_allclose(clock.seconds(np.arange(N)), EVEN, atol=1e-6)
    assert numbers(tmp_path / "long.mp4") == list(range(N))


def test_recordings_joined_in_one_stream_follow_each_other(tmp_path):
    """The second one's clock starts anew: all 120 frames, 1/30 s apart, a new stretch at 60."""
    first, second = write(tmp_path / "1.ts", EVEN), write(tmp_path / "2.ts", EVEN, first=N)
    (tmp_path / "joined.ts").write_bytes(first.read_bytes() + second.read_bytes())
    clock = recording_clock(tmp_path / "joined.ts")
    assert numbers(tmp_path / "joined.ts") == list(range(2 * N))
    np.testing.assert_allclose(clock.seconds(np.arange(2 * N)), np.arange(2 * N) / 30, atol=1e-6)
    assert clock.starts == (N,)
    assert "2 recordings joined" in describe(tmp_path / "joined.ts").notes


@pytest.mark.parametrize("codec", [{"codec": "mpeg4"}, {"codec": "mjpeg", "pix_fmt": "yuvj420p"}])
def test_avi_places_without_a_frame_are_time(tmp_path, codec):
    """75 places, 15 empty: 60 frames, numbered as they decode, each at its place / 30 s; runs of 8 are gaps."""
    places = np.delete(np.arange(75), [5, *range(20, 28), *range(50, 56)])
    path = write(tmp_path / "a.avi", places / 30, **codec)
    found = describe(path)
    assert numbers(path) == list(range(60))
    np.testing.assert_allclose(found.clock.seconds(np.arange(60)), places / 30, atol=1e-6)
    assert [frame for frame, _ in found.clock.gaps()] == [19, 41]
    assert [found.clock.lost_before(frame) for frame in (0, 18, 19, 40, 59)] == [0, 1, 9, 9, 15]


def test_what_an_edit_list_hides_is_not_shown(tmp_path):
    """Stamps before 0 are hidden by an edit list: frame 0 is the first that a player shows, at time 0."""
    path = write(tmp_path / "a.mp4", EVEN - 0.5)
    with av.open(str(path)) as file:
        assert file.streams.video[0].frames == N
    assert numbers(path) == list(range(15, N))
    found = describe(path)
    assert (found.n_frames, found.clock.fps) == (45, pytest.approx(30))
    assert found.notes == ("the header counts 60 frames, 45 decode",)


def test_interlaced_frames_are_whole_frames_and_said(tmp_path):
    path = write(tmp_path / "a.ts", EVEN, **{"x264-params": "tff=1"})
    assert numbers(path) == list(range(N))
    found = describe(path)
    assert found.clock.fps == pytest.approx(30)
    assert found.notes[0].startswith("interlaced: 60 frames")


def test_a_cover_picture_is_no_recording(tmp_path):
    """A still picture as the first of two streams, as music players and some phones write it."""
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        cover = file.add_stream("png", rate=1)
        moving = file.add_stream("libx264", rate=30)
        for stream in (cover, moving):
            stream.height, stream.width = SHAPE
        cover.pix_fmt, moving.pix_fmt = "rgb24", "yuv420p"
        cover.disposition = av.stream.Disposition.attached_pic
        for packet in cover.encode(av.VideoFrame.from_ndarray(picture(999), format="bgr24")):
            file.mux(packet)
        for index in range(20):
            file.mux(
                moving.encode(av.VideoFrame.from_ndarray(picture(index), format="bgr24").reformat(format="yuv420p"))
            )
        file.mux(moving.encode(None))
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert len(file.streams.video) == 2
    assert numbers(tmp_path / "a.mp4") == list(range(20))
    assert describe(tmp_path / "a.mp4").notes == ()


def test_a_raw_stream_has_no_rate(tmp_path):
    path = write(tmp_path / "a.h264", EVEN, format="h264")
    with pytest.raises(InputError, match=r"a.h264: the file gives a frame rate of 0; give the real one"):
        recording_clock(path)
    assert (recording_clock(path, 50).fps, recording_clock(path, 50).source) == (50, "sheet")
    assert numbers(path) == list(range(N))


def test_fewer_bits_in_16_are_scaled(tmp_path):
    """A camera of 12 bits, written as 16-bit grey: as bright as its 8 bits, not a sixteenth."""
    levels = np.linspace(0, 4095, 64).astype(np.uint16)
    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=30)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "gray16le"
        for _ in range(5):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.tile(levels, (64, 1)), format="gray16le")))
        file.mux(stream.encode(None))
    assert describe(tmp_path / "a.mkv").bits == 12
    frame = next(read_frames(tmp_path / "a.mkv"))
    assert np.abs(frame[0, :, 0].astype(int) - (levels >> 4)).max() <= 1


def resized(path, sizes):
    """Write VP8 whose pictures change size on the way, as a call over a network does."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libvpx", rate=30)
        stream.width, stream.height = sizes[0]
        stream.pix_fmt = "yuv420p"
        start = 0
        for size in sizes:
            encoder = av.CodecContext.create("libvpx", "w")
            encoder.width, encoder.height, encoder.pix_fmt = *size, "yuv420p"
            encoder.time_base = stream.codec_context.time_base = Fraction(1, 30)
            for index in range(start, start + 10):
                image = cv2.resize(picture(index), size, interpolation=cv2.INTER_AREA)
                frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
                frame.pts = index
                for packet in encoder.encode(frame):
                    packet.stream = stream
                    file.mux(packet)
            for packet in encoder.encode(None):
                packet.stream = stream
                file.mux(packet)
            start += 10
    return path


def test_pictures_that_change_size_are_scaled_to_the_first(tmp_path):
    path = resized(tmp_path / "call.mkv", [SHAPE[::-1], (320, 192), (240, 144)])
    assert numbers(path) == list(range(30))
    assert "stored in 3 sizes, all scaled to the first" in describe(path).notes


def test_pictures_that_change_shape_are_refused(tmp_path):
    path = resized(tmp_path / "call.mkv", [SHAPE[::-1], SHAPE])
    with pytest.raises(InputError, match=r"the picture changes from 160x96 to 96x160 px on the way"):
        list(read_frames(path))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.mp4", "ffconcat version 1.0\nfile a.mp4\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n"),
        ("call.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"),
    ],
)
def test_a_text_that_names_other_files_is_refused(tmp_path, name, text):
    write(tmp_path / "a.mp4", EVEN[:20])
    write(tmp_path / "a.ts", EVEN[:20])
    (tmp_path / name).write_text(text)
    for door in (describe, decode.count_frames, lambda path: list(read_frames(path))):
        with pytest.raises(InputError, match=r"not a video that can be decoded; .* not a list of other files"):
            door(tmp_path / name)


def test_a_named_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    for door in (describe, decode.count_frames, lambda path: list(read_frames(path))):
        with pytest.raises(InputError, match="neither a file nor a folder"):
            door(tmp_path / "pipe.mp4")


@pytest.mark.parametrize("ending", ["mkv", "h264"])
def test_a_file_that_gives_no_frame_for_a_minute_is_refused(tmp_path, monkeypatch, ending):
    """Some frames, then terabytes of nothing (a sparse file), as a broken copy leaves them: FFmpeg would read for hours."""
    monkeypatch.setattr("pfes.media.video.NO_FRAME_S", 1.0)
    path = write(tmp_path / f"a.{ending}", EVEN[:20])
    with path.open("ab") as file:
        file.truncate(2**42)
    with pytest.raises(InputError, match=rf"a.{ending}: gives no frame for 1 s of reading; .* copy it again"):
        describe(path, 30)


def test_a_file_that_was_cut_short_gives_the_frames_it_has(tmp_path):
    path = write(tmp_path / "a.mkv", EVEN, g="10")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    found = numbers(path)
    assert 20 < len(found) < N
    assert all(second == first + 1 for first, second in pairwise(found))
    assert describe(path).n_frames == len(found)


def test_a_slow_and_a_fast_rate_in_the_sheet_are_said(tmp_path):
    path = write(tmp_path / "a.mp4", EVEN)
    found = describe(path, 240)
    assert (found.clock.fps, found.clock.source) == (240, "sheet")
    assert found.notes == ("the file's own rate is 30, the sheet's 240",)
    with pytest.raises(InputError, match="the sheet or --fps gives a frame rate of -5"):
        recording_clock(path, -5)


def test_a_long_recording_is_seen_in_glances(tmp_path):
    """700 frames, a key frame every 50: nine glances in order, each less than 50 frames before its place."""
    path = write(tmp_path / "long.mp4", np.arange(700) / 30, g="50")
    seen = np.array([number(frame) for frame in decode.glances(path, 9)])
    wanted = np.linspace(0, 699, 19)[1::2]
    assert (seen >= 0).all()
    assert ((wanted - seen >= -1) & (wanted - seen < 50)).all()
