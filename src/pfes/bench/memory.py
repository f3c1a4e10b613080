"""Peak memory of stages faces, flow and snippets, on a recording and on the same content several times as long.

Every stage runs in a process of its own; its peak is the largest resident set that the system saw, with the interpreter
and all libraries: VmHWM of Linux, elsewhere ru_maxrss (which on Linux begins with the size of the parent process).
"""

import multiprocessing
import resource
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import repeat
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.logs import to_file
from pfes.commands.extract import ExtractParameters, stage_paths
from pfes.faces.landmarks import write_faces
from pfes.flow.snippets import write_snippets
from pfes.flow.sw_mro import write_flow
from pfes.media.decode import Frame, read_frames, recording_clock
from pfes.media.encode import encode


def bench_memory(recording: str, times: int = 10, params: ExtractParameters = ExtractParameters()) -> pd.DataFrame:
    """Return one row per stage: its peak memory in MB on the recording and on ``times`` as much of it.

    The recording is encoded anew, once and ``times`` over, so that both files are of one kind.

    Returns
    -------
    Columns ``stage``, ``frames`` and ``MB`` of the recording, ``frames x N`` and ``MB x N`` of the long one.
    """
    if times < 1:
        raise ValueError(f"bench_memory: times is {times}, expected at least 1")
    fps = recording_clock(recording).fps
    rows: dict[str, dict[str, object]] = {}
    with TemporaryDirectory() as folder:
        for name, count in (("", 1), (f" x {times}", times)):
            path = Path(folder) / f"{count}.mp4"
            encode(path, repeated(recording, count), fps)
            for stage, peak, frames in _peaks(str(path), Path(folder) / str(count), params):
                rows.setdefault(stage, {"stage": stage}).update({f"frames{name}": frames, f"MB{name}": round(peak)})
    return pd.DataFrame(list(rows.values()))


def repeated(recording: str, count: int) -> Iterator[Frame]:
    """Yield the frames of the recording ``count`` times over; those that cannot be read are left out."""
    for _ in repeat(None, count):
        yield from (frame for frame in read_frames(recording) if frame is not None)


def _peaks(recording: str, out: Path, params: ExtractParameters) -> Iterator[tuple[str, float, int]]:
    """Yield (stage, peak in MB, frames) of each stage."""
    paths = stage_paths(out, "clip")
    work = {
        "faces": partial(write_faces, recording, 0.0, paths["faces"], params.sampling, params.faces),
        "flow": partial(write_flow, recording, paths["faces"], paths["flow"], params.flow),
        "snippets": partial(write_snippets, paths["flow"], paths["snippets"], params.snippets),
    }
    for stage, function in work.items():
        peak = peak_memory(function, out / f"{stage}.log")
        arrays = store.read(paths[stage], stage)
        yield stage, peak, len(next(iter(arrays.values())))


def peak_memory(function: Callable[[], object], log_path: Path) -> float:
    """Return the peak resident memory, MB, of a new process that calls ``function``; what it prints goes to ``log_path``."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(function, log_path, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError as error:
        raise InputError(f"{log_path}: the process ended before its work; its log says why") from error
    finally:
        process.join()


def _child(function: Callable[[], object], log_path: Path, sender: Connection) -> None:
    with to_file(log_path):
        function()
    sender.send(_peak())


def _peak() -> float:
    """Return the peak resident memory of this process, MB."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss is in bytes there, in kB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
