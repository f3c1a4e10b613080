"""Size, time to build and time to load of the report of a large run, whose files are made up here.

The made-up run has the shape of a real one: a recording of FRAMES sampled frames with a few expressions, two experiments
with intensity curves and the training-free baseline, ten videos a subject. Its curves are noise and bumps: they compress
no better than real ones. What is per video and of no account for the page (landmarks, flow) is shared between videos.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from pfes.base import provenance, store
from pfes.base.records import EXPRESSION_COLUMNS, PROPOSAL_COLUMNS, VIDEO_COLUMNS
from pfes.bench import browser
from pfes.evaluation.metrics import NO_SEED, Outputs, judge_run, nested, write_evaluation
from pfes.evaluation.parameters import EvaluateParameters
from pfes.report import page as report
from pfes.report.files import Key, RunFiles
from pfes.report.tables import TABLES

FRAMES = 2600  # about the mean of CAS(ME)^2
FPS = 30.0
SHARED = 4  # distinct files of faces and snippets
SPANS = {"macro": (20, 90), "micro": (8, 15)}  # lengths, frames
EXPERIMENTS: tuple[Key, ...] = (("journal", 0), ("conference", 0), ("baseline", NO_SEED))


def bench_report(sizes: Sequence[int]) -> pd.DataFrame:
    """Return a row per number of videos: MB of the page, s of processor time to build, s to load and to open a video.

    Times of the browser are medians of three; NaN where no Chromium is installed.
    """
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="pfes-bench-") as folder:
            files = synthetic_run(Path(folder), size)
            page = Path(folder) / "report.html"
            start = time.process_time()
            report.write_report(files, page, run=f"{size} videos", demo=False)
            built = time.process_time() - start
            rows.append({"videos": size, "MB": page.stat().st_size / 1e6, "build_s": built, **load_times(page)})
    return pd.DataFrame(rows)


def load_times(page: Path, repeats: int = 3) -> dict[str, float]:
    """Return load_s (until the load event) and open_s (from there until the first video's timeline is drawn)."""
    if browser.find_browser() is None:
        return {"load_s": np.nan, "open_s": np.nan}
    loads, opens = [], []
    with browser.Browser() as chromium:
        for _ in range(repeats):
            loads.append(chromium.open(page))
            start = time.perf_counter()
            chromium.evaluate("document.querySelector('#video-table tbody a').click()")
            while not chromium.evaluate("document.querySelectorAll('.timeline svg').length"):
                time.sleep(0.005)
            opens.append(time.perf_counter() - start)
    return {"load_s": float(np.median(loads)), "open_s": float(np.median(opens))}


def synthetic_run(folder: Path, n_videos: int, *, n_frames: int = FRAMES, seed: int = 0) -> RunFiles:
    """Write the files of a made-up run of ``n_videos`` to ``folder`` and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    origin = provenance.record("bench", {"videos": n_videos, "frames": n_frames})
    subjects = [f"s{index // 10 + 1:03d}" for index in range(n_videos)]
    video_ids = [f"{subject}_v{index % 10}" for index, subject in enumerate(subjects)]
    videos = [
        ("bench", subject, f"v{index % 10}", video_ids[index], "x.mp4", FPS, n_frames, n_frames, FPS, "")
        for index, subject in enumerate(subjects)
    ]
    truth = [_labels(generator, n_frames) for _ in video_ids]
    expressions: list[tuple[Any, ...]] = []
    for video, labels in zip(videos, truth, strict=True):
        for kind, onset, apex, offset in labels:
            frames = (onset, apex, offset)
            expressions.append((*video[:4], len(expressions), kind, *frames, *frames, len(expressions) + 2))
    tables: dict[str, tuple[list[tuple[Any, ...]], tuple[str, ...]]] = {
        "videos": (videos, VIDEO_COLUMNS),
        "expressions": (expressions, EXPRESSION_COLUMNS),
        "repairs": ([], ("row", "video_id", "column", "found", "value", "rule")),
        "refusals": ([], ("row", "video_id", "reason")),
    }
    for name, (rows, columns) in tables.items():
        store.write_table(folder / f"{name}.parquet", name, pd.DataFrame(rows, columns=list(columns)), origin)
    proposals: dict[Key, list[Path]] = {}
    scores: dict[Key, list[Path]] = {}
    for key in EXPERIMENTS:
        path = folder / f"{key[0]}.parquet"
        rows = [
            row for index in range(n_videos) for row in _proposals(generator, videos[index], truth[index], n_frames)
        ]
        store.write_table(path, "proposals", pd.DataFrame(rows, columns=list(PROPOSAL_COLUMNS)), origin)
        proposals[key] = [path]
        if key[1] != NO_SEED:
            curves = {
                f"intensity/{name}": _curve(generator, labels, n_frames)
                for name, labels in zip(video_ids, truth, strict=True)
            }
            scores[key] = [folder / f"{key[0]}.h5"]
            store.write(scores[key][0], "scores", curves, origin)
    outputs = [folder / name for name in ("metrics.parquet", "counts.parquet", "matches.parquet", "summary.json")]
    judged = judge_run(
        folder / "videos.parquet", folder / "expressions.parquet", nested(proposals), EvaluateParameters()
    )
    write_evaluation(judged, Outputs(*outputs), "bench")
    shared = [_write_shared(folder, index, n_frames, generator, origin) for index in range(SHARED)]
    named: dict[str, Any] = {name: folder / f"{name}.parquet" for name in TABLES}
    return RunFiles(
        **named,
        proposals=proposals,
        scores=scores,
        faces={name: shared[index % SHARED][0] for index, name in enumerate(video_ids)},
        snippets={name: shared[index % SHARED][1] for index, name in enumerate(video_ids)},
    )


def _labels(generator: np.random.Generator, n_frames: int) -> list[tuple[str, int, int, int]]:
    """Draw three macro- and one micro-expression of a video, each in its own quarter."""
    labels = []
    for quarter, kind in enumerate(("macro", "macro", "micro", "macro")):
        length = int(generator.integers(*SPANS[kind]))
        onset = quarter * n_frames // 4 + int(generator.integers(0, max(1, n_frames // 4 - length)))
        labels.append((kind, onset, onset + length // 3, onset + length))
    return labels


def _proposals(
    generator: np.random.Generator, video: tuple[Any, ...], labels: list[tuple[str, int, int, int]], n_frames: int
) -> list[tuple[Any, ...]]:
    """Return proposals of a video: of each label, shifted a little or lost, and now and then a false positive."""
    found: list[tuple[str, list[int]]] = []
    for kind, *frames in labels:
        if generator.random() < 0.6:
            shifted = np.clip(np.array(frames) + generator.integers(-4, 5), 0, n_frames - 1)
            found.append((kind, shifted.tolist()))
        if generator.random() < 0.3:
            start = int(generator.integers(0, n_frames - 100))
            found.append((kind, [start, start + 6, start + 13]))
    score = generator.random(len(found)).round(3).tolist()
    return [
        (video[1], video[3], kind, *frames, *frames, *(frame / FPS for frame in frames), score[index], 0.5, 0.8)
        for index, (kind, frames) in enumerate(found)
    ]


def _curve(
    generator: np.random.Generator, labels: list[tuple[str, int, int, int]], n_frames: int
) -> NDArray[np.float32]:
    frames = np.arange(n_frames)
    bumps = sum(np.exp(-(((frames - apex) / (0.25 * (offset - onset))) ** 2)) for _, onset, apex, offset in labels)
    noise = gaussian_filter1d(generator.normal(0, 0.12, n_frames), 1.5)
    return np.clip(0.1 + 0.8 * bumps + noise, 0, 1).astype(np.float32)


def _write_shared(
    folder: Path, index: int, n_frames: int, generator: np.random.Generator, origin: dict[str, Any]
) -> tuple[Path, Path]:
    """Write one file of faces and one of snippets, of plausible size and noise."""
    faces, snippets = folder / f"faces{index}.h5", folder / f"snippets{index}.h5"
    landmarks = generator.uniform(100, 200, (1, 68, 2)) + np.cumsum(generator.normal(0, 0.3, (n_frames, 68, 2)), axis=0)
    found = np.ones(n_frames, np.uint8)
    found[500:520] = 0
    arrays = {
        "landmarks": landmarks.astype(np.float32), "native_frame": np.arange(n_frames), "found": found,
        "interocular": np.where(found, 64.0, np.nan), "faces": found, "pose": generator.normal(0, 3, (n_frames, 3)),
        "blur": np.ones(n_frames),
    }  # fmt: skip
    store.write(faces, "faces", arrays, origin, fps=FPS)
    flow = generator.normal(0, 0.4, (n_frames, 17, 10, 2)).astype(np.float32)
    store.write(snippets, "snippets", {"snippets": flow, "valid": found}, origin)
    return faces, snippets
