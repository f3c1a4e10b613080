"""Files are whole or absent, checked when read, and say where they come from."""

import os
import signal
import subprocess
import sys
import zlib

import h5py
import numpy as np
import pandas as pd
import pytest

from pfes.base import store
from pfes.base.errors import InputError

ORIGIN = {"stage": "test"}


def arrays(n_frames=5):
    rng = np.random.default_rng(0)
    return {"snippets": rng.normal(size=(n_frames, 17, 10, 2)).astype(np.float32), "valid": np.ones(n_frames, bool)}


def test_arrays_come_back_as_written(tmp_path):
    written = arrays()
    store.write(tmp_path / "a.h5", "snippets", written, ORIGIN, fps=30.0)
    read = store.read(tmp_path / "a.h5", "snippets")
    assert all(
        np.array_equal(written[name], read[name]) and written[name].dtype == read[name].dtype for name in written
    )
    assert store.attributes(tmp_path / "a.h5", "snippets")["provenance"] == ORIGIN


def test_blocks_give_the_same_bytes_as_one_write(tmp_path):
    """A stage that streams writes the same file as one that has everything at once."""
    whole = arrays(128)
    store.write(tmp_path / "whole.h5", "snippets", whole, ORIGIN)
    with store.create(tmp_path / "blocks.h5", "snippets", ORIGIN) as file:
        for name, array in whole.items():
            for start in range(0, 128, 64):
                file.append(name, array[start : start + 64])
    first, second = (store.read(tmp_path / f"{name}.h5", "snippets") for name in ("whole", "blocks"))
    assert all(np.array_equal(first[name], second[name]) for name in whole)


def test_the_same_content_is_the_same_file(tmp_path):
    for name in ("a", "b"):
        store.write(tmp_path / f"{name}.h5", "snippets", arrays(), ORIGIN)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_an_error_while_writing_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.h5"
    store.write(path, "snippets", arrays(), ORIGIN)
    before = path.read_bytes()

    def interrupted():
        with store.create(path, "snippets", ORIGIN) as file:
            file.append("valid", np.ones(3, bool))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a.h5"]


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_kill_in_the_middle_leaves_no_file_of_that_name(tmp_path):
    """A writer is killed with SIGKILL while it streams; the name must not exist afterwards."""
    code = f"""
import time, numpy as np
from pfes.base import store
with store.create({str(tmp_path / "a.h5")!r}, "snippets", {{}}) as file:
    file.append("valid", np.ones(1000, bool))
    print("writing", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "a.h5").exists()


def test_a_flipped_byte_is_found(tmp_path):
    path = tmp_path / "a.h5"
    with store.create(path, "snippets", ORIGIN) as file:
        file.append("valid", np.ones(4, bool))
    whole = bytearray(path.read_bytes())
    for place in (9, len(whole) // 2, len(whole) - 20, len(whole) - 1):
        damaged = whole.copy()
        damaged[place] ^= 4
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"a.h5: .*(checksum does not match|end is missing).*rerun rule snippets"):
            store.read(path, "snippets")


def test_a_file_can_be_read_by_hdf5_alone_whose_seal_is_behind_its_end(tmp_path):
    path = tmp_path / "a.h5"
    store.write(path, "snippets", {"valid": np.ones(4, bool)}, ORIGIN)
    with h5py.File(path) as file:
        assert file["valid"][()].all() and file["valid"].attrs["units"] == "1"
    whole = path.read_bytes()
    assert whole[-4:] == zlib.crc32(whole[:-15]).to_bytes(4) and whole[-15:-4] == b"pfes-crc32:"


@pytest.mark.parametrize("content", [b"", b"not HDF5", None])
def test_a_file_that_is_not_ours_is_named(tmp_path, content):
    path = tmp_path / "a.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"a.h5: cannot be read as HDF5.*rerun rule flow"):
        store.read(path, "flow")


def test_another_kind_is_refused(tmp_path):
    store.write(tmp_path / "a.h5", "snippets", arrays(), ORIGIN)
    with pytest.raises(InputError, match="'snippets' of format [0-9]+, expected 'flow'"):
        store.read(tmp_path / "a.h5", "flow")


def test_a_refusal_passes_its_reason_on(tmp_path):
    path = tmp_path / "a.h5"
    with store.refusing(path, "flow", ORIGIN):
        raise InputError("video.mp4: no face")
    assert store.refusal(path, "flow") == "video.mp4: no face"
    with pytest.raises(InputError, match=r"^video.mp4: no face$"):
        store.read(path, "flow")


def test_a_table_comes_back_with_its_provenance(tmp_path):
    frame = pd.DataFrame({"video_id": ["a"], "frame": [3]})
    store.write_table(tmp_path / "t.parquet", "points", frame, ORIGIN)
    pd.testing.assert_frame_equal(store.read_table(tmp_path / "t.parquet", "points"), frame)
    assert store.describe(tmp_path / "t.parquet")["provenance"] == ORIGIN
    with pytest.raises(InputError, match="holds points, expected videos"):
        store.read_table(tmp_path / "t.parquet", "videos")
