"""Fixtures that several test files share."""

import hashlib
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from filelock import FileLock

from pfes.commands.run import interpreter

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


def snakemake(folder, *arguments, cores=2, configfile=ROOT / "tests" / "smoke.yaml"):
    """Run the workflow with ``folder`` as the working directory, which gets the shipped configuration."""
    folder.mkdir(exist_ok=True)
    if not (folder / "config").exists():
        shutil.copytree(ROOT / "config", folder / "config")
    command = [
        interpreter(), "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder, "--configfile", configfile,
        "--cores", cores, "--keep-going", "--rerun-incomplete", *arguments,
    ]  # fmt: skip
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def write_video(path, times, picture=lambda index: np.full((64, 64, 3), 4 * index % 256, np.uint8)):
    """Write an H.264 mp4 whose frame i, ``picture(i)`` [H, W, 3] BGR, is shown at ``times[i]`` s."""
    ticks = Fraction(1, 90_000)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=30, options={"crf": "4"})
        stream.height, stream.width = picture(0).shape[:2]
        stream.time_base = stream.codec_context.time_base = ticks
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(index), format="bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(time * 90_000), ticks
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.fixture(scope="session")
def run(request, tmp_path_factory):
    """The folder of a finished smoke run, copied for each process that runs tests.

    It is made at two cores by the first test that asks for it, and kept in pytest's cache as long as no file changes that
    it may depend on: ``make test`` and the slow tests after it share it.
    """
    made = request.config.cache.mkdir("smoke")
    kept = made / inputs_digest()
    with FileLock(made / "lock"):
        if not kept.exists():
            for old in (path for path in made.iterdir() if path.is_dir()):
                shutil.rmtree(old)
            making = tmp_path_factory.mktemp("making")
            done = snakemake(making)
            assert done.returncode == 0, done.stderr
            shutil.copytree(making, made / "half")
            (made / "half").rename(kept)
    folder = tmp_path_factory.mktemp("two") / "copy"
    shutil.copytree(kept, folder)
    return folder / "results" / "smoke"


def inputs_digest():
    """Return a digest of all files of the checkout that a run may depend on."""
    found = hashlib.sha256()
    for folder in ("src", "rules", "workflow", "config", "Snakefile", "constraints.txt", "tests/smoke.yaml"):
        root = ROOT / folder
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and "__pycache__" not in path.parts:
                found.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real videos, labels and predictions; a test that asks for it is skipped where it is missing."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no test data at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture
def project(tmp_path):
    """Folder and snippets paths of three subjects of two videos each, ready to be trained on."""
    from tests.training_data import write_project  # torch takes seconds to import: only the tests that train pay

    return write_project(tmp_path)
