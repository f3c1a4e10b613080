"""Folders of images: the number that changes orders them, a missing one is time, and depth is that of the content."""

import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from pfes.base.errors import InputError
from pfes.media import images
from pfes.media.decode import SamplingParameters, count_frames, describe, read_frames, recording_clock, sampling_map
from tests.media.drawn import number, picture

PARAMS = SamplingParameters()


def folder(path, names, show=lambda index: picture(index)):
    path.mkdir(exist_ok=True)
    for index, name in enumerate(names):
        cv2.imwrite(str(path / name), show(index))
    return path


SERIES = {
    "rate behind": [f"frame{i:04d}_30.png" for i in range(12)],
    "camera behind": [f"frame_{i}_cam1.png" for i in range(12)],
    "size behind": [f"s01_{i:04d}_320x180.png" for i in range(12)],
    "unpadded": [f"{i}.png" for i in range(12)],
    "in brackets": [f"e ({i}).png" for i in range(12)],
    "date before": [f"2025-03-01_{i:03d}.png" for i in range(12)],
    "counter and clock": [f"img{i}_{1_000_000 + 33_367 * i}.png" for i in range(12)],
    "take and frame": [f"take2.{i:04d}.png" for i in range(12)],
    "every seventh": [f"f{7 * i}.png" for i in range(12)],
    "capital ending": [f"IMG_{i:04d}.{'PNG' if i % 2 else 'png'}" for i in range(12)],
}


@pytest.mark.parametrize("what", SERIES)
def test_the_number_that_changes_orders(tmp_path, what):
    path = folder(tmp_path / "frames", SERIES[what])
    assert [number(frame) for frame in read_frames(path)] == list(range(12))
    assert recording_clock(path, 30).times is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([f"cam{camera}_{i:03d}.png" for i in range(4) for camera in (1, 2)], "ambiguous .*cam1_000.png, cam1_001.png"),
        (["a_1.png", "a_2.png", "b_1.png", "b_2.png"], "a_1.png and b_1.png are of two series"),
        (["a_1.png", "a_2.png", "a_1.bmp"], "a_1.bmp and a_1.png are of two series; expected .*with one"),
        (["t0.5.png", "t0.75.png", "t0.833.png"], "ambiguous .*fractions of seconds"),
        (["12-30-59.png", "12-31-00.png", "12-31-01.png"], "ambiguous .*clock times"),
        (["t1.900.png", "t1.933.png", "t2.000.png"], "ambiguous"),
        (["img1.png", "img01.png", "img2.png"], "img01.png and img1.png have the same number"),
        (["img1.png", "cover.png"], "cover.png has no number"),
        (["img1.png", f"img{10**25}.png"], "number too large"),
    ],
)
def test_what_is_ambiguous_is_refused_by_name(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        count_frames(folder(tmp_path / "frames", names))


def test_times_as_numbers_are_refused_for_there_is_no_frame_number(tmp_path):
    """Milliseconds at 30 fps: 33, 67, 100, ...: no gaps of 32 frames."""
    path = folder(tmp_path / "frames", [f"t{round(1000 * i / 30)}.png" for i in range(1, 9)])
    with pytest.raises(InputError, match=r"numbers of its images \(33, 67, 100, ...\) advance by 33 and by 34"):
        recording_clock(path, 30)
    assert recording_clock(path, 30, ranked=True).times is None


def test_missing_numbers_are_a_gap_in_time(tmp_path):
    """0..19 and 35..54 at 30 fps: 55 frame times, not 40; 15 of them missing, a new stretch at native 20."""
    path = folder(tmp_path / "frames", [f"img{i:03d}.png" for i in [*range(20), *range(35, 55)]])
    clock = recording_clock(path, 30)
    native = sampling_map(clock, 40, PARAMS)
    assert len(native) == 55
    assert clock.sampled(np.array([0, 19, 20, 39]), PARAMS, 55).tolist() == [0, 19, 35, 54]
    missing = clock.missing(native, PARAMS)
    assert np.flatnonzero(missing).tolist() == list(range(22, 33))  # two at each side are near enough to a picture
    assert np.flatnonzero(clock.begins(native)).tolist() == [native.tolist().index(20)]
    assert [frame for frame, _ in clock.gaps()] == [20]
    assert describe(path, 30).notes == ("15 numbers of images are missing",)
    ranked = recording_clock(path, 30, ranked=True)
    assert (ranked.times, len(sampling_map(ranked, 40, PARAMS))) == (None, 40)


def test_one_missing_image_keeps_the_time_and_is_no_gap(tmp_path):
    path = folder(tmp_path / "frames", [f"img{i:03d}.png" for i in range(40) if i != 12])
    clock = recording_clock(path, 30)
    native = sampling_map(clock, 39, PARAMS)
    assert len(native) == 40
    assert not clock.missing(native, PARAMS).any()
    assert clock.starts == ()


@pytest.mark.parametrize(("bits", "ending"), [(10, "png"), (12, "png"), (12, "tif"), (16, "png"), (8, "png")])
def test_depth_is_that_of_the_content(tmp_path, bits, ending):
    """The same picture in 8 bits and in ``bits`` bits of 16: equal to one grey level, in every frame, dark or bright."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)
    truth[0] //= 16  # the first frame is dark: the depth is that of the recording
    deep = [(image.astype(np.uint16) << (bits - 8)) + (1 << (bits - 8)) - 1 for image in truth]
    path = folder(tmp_path / "frames", [f"f{i}.{ending}" for i in range(6)], lambda i: deep[i])
    frames = list(read_frames(path))
    assert frames[0].dtype == np.uint8
    assert max(np.abs(frame.astype(int) - image).max() for frame, image in zip(frames, truth, strict=True)) == 0
    assert images.depth(path) == bits


def test_one_camera_saved_in_two_depths_is_refused(tmp_path):
    """Dark frames as 8 bits, bright ones as 16, to save space."""
    deep = [np.full((8, 8, 3), 200, np.uint8), np.full((8, 8, 3), 700, np.uint16)]
    path = folder(tmp_path / "frames", ["f0.png", "f1.png"], lambda i: deep[i])
    with pytest.raises(InputError, match=r"f1.png is 8x8 px of 16 bits, but f0.png 8x8 px of 8 bits"):
        list(read_frames(path))


def test_images_of_two_sizes_are_refused(tmp_path):
    path = folder(tmp_path / "frames", ["f0.png", "f1.png"], lambda i: np.zeros((8, 8 + 8 * i, 3), np.uint8))
    with pytest.raises(InputError, match=r"f1.png is 16x8 px of 8 bits, but f0.png 8x8"):
        list(read_frames(path))


def test_floating_point_images_are_refused(tmp_path):
    path = folder(tmp_path / "frames", ["f0.tif", "f1.tif"], lambda i: np.zeros((8, 8, 3), np.float32))
    with pytest.raises(InputError, match=r"f0.tif: float32 colours; expected 8 or 16 bits"):
        list(read_frames(path))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_images_are_turned_as_their_exif_says(tmp_path, orientation):
    turns = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]  # quarter turns to the left of what is stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    for index in range(3):
        Image.fromarray(np.ascontiguousarray(np.rot90(picture(index), turns))).save(
            tmp_path / f"f{index}.jpg", exif=exif, quality=95
        )
    assert [number(frame) for frame in read_frames(tmp_path)] == [0, 1, 2]
    assert bool(images.turn(tmp_path)) == (orientation != 1)


def test_only_files_are_images(tmp_path):
    path = folder(tmp_path / "frames", ["f0.png", "f1.png"])
    os.mkfifo(path / "f2.png")
    (path / "f3.png").mkdir()
    assert [number(frame) for frame in read_frames(path)] == [0, 1]


def test_a_file_of_several_pages_is_refused(tmp_path):
    cv2.imwritemulti(str(tmp_path / "stack_1.tif"), [picture(i) for i in range(4)])
    with pytest.raises(InputError, match=r"stack_1.tif: one file of several pages"):
        count_frames(tmp_path)


@pytest.mark.parametrize("side", [13_000, 30_000])
def test_an_image_whose_header_names_a_huge_picture_is_refused_unread(tmp_path, monkeypatch, side):
    """A file of a few bytes: its pixels, gigabytes of them, are never asked for."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    for name in ("f1.png", "f2.png"):
        (tmp_path / name).write_bytes(
            b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
        )
    monkeypatch.setattr(cv2, "imread", lambda *_: pytest.fail("was read"))
    for reader in (images.turn, images.size, lambda folder: list(images.frames(folder))):
        with pytest.raises(InputError, match=r"f1\.png: more than 150 million pixels"):
            reader(tmp_path)
