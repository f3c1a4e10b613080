"""Places that give out or give nothing: a full disk, a folder that cannot be written, no home, no caches, no locks."""

import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

WRITE = """
import numpy as np, pandas as pd
from pfes.base import logs, store
with logs.stage({log!r}):
    values = np.random.default_rng(0).normal(size=(20_000, 10, 2))
    if {kind!r} == "hdf5":
        store.write("{place}/a.h5", "displacement", {{"displacement": values}}, {{}})
    else:
        store.write_table("{place}/a.parquet", "proposals", pd.DataFrame(values.reshape(-1, 20)), {{}})
"""
NOWHERE = {
    "HOME": "/proc/nowhere", "XDG_CACHE_HOME": "/proc/nowhere", "MPLCONFIGDIR": "/proc/nowhere",
    "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",  # none: what a read-only installation comes to
}  # fmt: skip
COMPUTE = """
import numpy as np
import pfes.flow.tvl1_kernels  # its loops are declared, which looks for the cache
from matplotlib.figure import Figure
from pfes.base.kernels import compiled
from pfes.drawing import plotting
def total(values):
    found = 0.0
    for value in values:
        found += value
    return found
assert compiled(total)(np.arange(5.0)) == 10
assert "<svg" in plotting.svg(Figure())
"""


@contextmanager
def mounted(folder, options):
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def ended(source, **environment):
    return subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, env=os.environ | environment, check=False
    )


@pytest.mark.parametrize("kind", ["hdf5", "parquet"])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, kind):
    log = tmp_path / "log.txt"
    with mounted(tmp_path / "full", "size=1m") as place:
        done = ended(WRITE.format(log=str(log), place=place, kind=kind))
        assert list(place.iterdir()) == []
    assert done.returncode != 0
    assert "pfes: no space is left on the disk" in done.stderr
    assert "no space is left on the disk" in log.read_text()


@pytest.mark.parametrize("kind", ["hdf5", "parquet"])
def test_results_that_cannot_be_written_are_one_line(tmp_path, kind):
    log = tmp_path / "log.txt"
    with mounted(tmp_path / "fixed", "ro") as place:
        done = ended(WRITE.format(log=str(log), place=place, kind=kind))
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_home_and_no_cache_that_can_be_written():
    """numba compiles without its cache, matplotlib takes a temporary folder."""
    done = ended(COMPUTE, **NOWHERE)
    assert done.returncode == 0, done.stderr


def test_hdf5_on_a_file_system_without_locks(tmp_path):
    """The switch that HDF5 has for such file systems; without locks files are written and read all the same."""
    source = WRITE.format(log=str(tmp_path / "log.txt"), place=tmp_path, kind="hdf5")
    assert ended(source, HDF5_USE_FILE_LOCKING="FALSE").returncode == 0
    read = f"from pfes.base import store; print(len(store.read('{tmp_path}/a.h5', 'displacement')['displacement']))"
    assert ended(read, HDF5_USE_FILE_LOCKING="FALSE").stdout == "20000\n"
