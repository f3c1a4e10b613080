"""How fast the whole flow stage is, from decoding to the means at the ROIs, on a recording of one's own.

Seconds are processor time of one thread, the methods in turns; landmarks are found once, before, and timed on their own.
"""

from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from pfes.bench.machine import timed
from pfes.faces.landmarks import USABLE, FaceParameters, find_faces
from pfes.flow.sw_mro import FlowParameters, valid_frames, window_flow
from pfes.media import decode

METHODS = ("tvl1", "dis", "farneback")
CASME2_FRAMES, CORES = 252_000, 32


def bench_stage(
    video: Path | str, frames: int = 150, repeats: int = 3, methods: tuple[str, ...] = METHODS
) -> pd.DataFrame:
    """Time faces and flow on the first ``frames`` sampled frames of a recording.

    Returns
    -------
    One row per stage: ``stage`` (faces, or flow by method), ``frames_per_s`` (median of ``repeats``; faces once),
    ``casme2_minutes`` (the 252,000 frames of CAS(ME)^2 on 32 such cores).

    Raises
    ------
    InputError
        The recording cannot be read.
    """
    clock = decode.recording_clock(video)
    sampled = list(islice(decode.read_sampled(video, clock, decode.SamplingParameters()), frames))
    once, results = timed({"faces": lambda: find_faces(iter(sampled), FaceParameters())})
    faces = results["faces"]
    valid = valid_frames(faces["state"] == USABLE, faces["cut"])
    native = faces["native_frame"]

    def stage(method: str, count: int) -> None:
        images = (frame for _, frame in decode.read_at(video, native[:count].tolist()))
        params, cut = FlowParameters(method=method), faces["cut"][:count]
        points = faces["landmarks"][:count]
        for _ in window_flow(images, points, params, cut=cut, native=native[:count], valid=valid[:count]):
            pass

    stage(methods[0], 20)  # compiles
    runs: dict[str, Callable[[], Any]] = {f"flow, {name}": partial(stage, name, len(native)) for name in methods}
    seconds, _ = timed(runs, repeats)
    rates = {name: len(native) / median(values) for name, values in {**once, **seconds}.items()}
    rows = [
        {"stage": name, "frames_per_s": rate, "casme2_minutes": CASME2_FRAMES / rate / CORES / 60}
        for name, rate in rates.items()
    ]
    return pd.DataFrame(rows)
