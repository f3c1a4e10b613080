"""The files of a small made-up run, for tests of its report: what is in them is known to the frame."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from pfes.base import store
from pfes.base.records import EXPRESSION_COLUMNS, PROPOSAL_COLUMNS, VIDEO_COLUMNS, file_name
from pfes.evaluation.analysis import TABLES as TABLES_OF_ANALYSIS
from pfes.evaluation.analysis import analyse_run
from pfes.evaluation.metrics import NO_SEED, Outputs, judge_run, nested, write_evaluation
from pfes.evaluation.parameters import EvaluateParameters
from pfes.report.page import RunFiles
from pfes.report.tables import TABLES

FPS = 30.0
ORIGIN = {
    "stage": "test", "command": "pfes test", "pfes": "0", "python": "3.11", "libraries": {"numpy": "1"},
    "parameters": {"width": 64, "inner": {"rate": 0.1}}, "sources": {},
}  # fmt: skip
HOSTILE = "<script>alert(1)</script>"
BLINK = 150  # frame at which the eyes of every face are shut
NOD = 100  # frame at which the nose of every face has moved by 6.4 px, a tenth of the distance of the eyes


def make_run(
    folder: Path, subjects: tuple[str, ...], seeds: tuple[int, ...] = (0,), *, per_subject: int = 2, n_frames: int = 300
) -> RunFiles:
    """Write the files of a run with one macro and one micro per video and a last video that has no face.

    ::

        frame      0........60======110.......180==192...........230 no face 239....
        learned             60======110  (micro at another place in every second video: one miss, one false alarm)
        baseline   20===45  (never right)
    """
    generator = np.random.default_rng(0)
    videos, expressions, learned, baseline, faces, truth, snippets = [], [], [], [], {}, {}, {}
    scores: dict[str, np.ndarray] = {}
    for subject in subjects:
        for index in range(per_subject):
            video = f"v{index + 1}"
            video_id = file_name(f"{subject}_{video}")
            videos.append(("fake", subject, video, video_id, "x.mp4", FPS, n_frames, n_frames, FPS, ""))
            for label, span in (("macro", (60, 80, 110)), ("micro", (180, 185, 192))):
                expressions.append(
                    ("fake", subject, video, video_id, len(expressions), label, *span, *span, len(expressions) + 2)
                )
            right = ("micro", 181, 185, 193) if index % 2 else ("micro", 20, 25, 33)
            learned += [_proposal(subject, video_id, "macro", 62, 81, 108), _proposal(subject, video_id, *right)]
            baseline.append(_proposal(subject, video_id, "macro", 20, 30, 45))
            faces[video_id] = _write_faces(folder / f"faces/{video_id}.h5", n_frames)
            snippets[video_id] = _write_snippets(folder / f"snippets/{video_id}.h5", n_frames)
            curve = _bell(n_frames, 80, 13) + 0.7 * _bell(n_frames, 185, 4)
            truth[video_id] = folder / f"truth/{video_id}.h5"
            store.write(truth[video_id], "truth", {"intensity": curve}, ORIGIN)
            scores[f"intensity/{video_id}"] = np.clip(0.9 * curve + generator.normal(0.05, 0.03, n_frames), 0, 1)
            scores[f"class_scores/{video_id}"] = np.zeros((n_frames, 2))
    videos.append(("fake", subjects[0], "dark", "dark", "x.mp4", FPS, n_frames, n_frames, FPS, ""))
    faces["dark"] = folder / "faces/dark.h5"
    store.refuse(faces["dark"], "faces", "no_face.mp4: no face in any of 98 frames", ORIGIN)
    write_table(folder / "videos.parquet", "videos", videos, VIDEO_COLUMNS)
    write_table(folder / "expressions.parquet", "expressions", expressions, EXPRESSION_COLUMNS)
    repair = [(7, videos[0][3], "offset", "0", "130", "official")]
    write_table(folder / "repairs.parquet", "repairs", repair, ("row", "video_id", "column", "found", "value", "rule"))
    write_table(folder / "refusals.parquet", "refusals", [], ("row", "video_id", "reason"))
    write_table(folder / "baseline.parquet", "proposals", baseline, PROPOSAL_COLUMNS)
    store.write(folder / "scores.h5", "scores", scores, ORIGIN)
    proposals = {}
    for seed in seeds:
        write_table(folder / f"learned{seed}.parquet", "proposals", learned[: len(learned) - seed], PROPOSAL_COLUMNS)
        proposals["learned", seed] = [folder / f"learned{seed}.parquet"]
    proposals["baseline", NO_SEED] = [folder / "baseline.parquet"]
    statistics = evaluate(folder, proposals)
    (folder / "flow.tsv").write_text("s\th:m:s\tmax_rss\n12.5\t0:00:12\t310.0\n")
    return RunFiles(
        **{name: folder / f"{name}.parquet" for name in TABLES},
        proposals=proposals,
        faces=faces,
        snippets=snippets,
        truth=truth,
        recordings=dict.fromkeys(faces, _write_frames(folder / "frames", n_frames)),
        scores={("learned", seed): [folder / "scores.h5"] for seed in seeds},
        statistics=statistics,
        benchmarks={"flow": [folder / "flow.tsv", folder / "flow.tsv"], "train": []},
    )


def evaluate(folder: Path, proposals: dict[tuple[str, int], list[Path]]) -> dict[str, Path]:
    """Write what rule ``evaluate`` writes to ``folder`` and return the paths of its further tables by kind."""
    tables = (folder / "videos.parquet", folder / "expressions.parquet")
    outputs = [folder / name for name in ("metrics.parquet", "counts.parquet", "matches.parquet", "summary.json")]
    run = judge_run(*tables, nested(proposals), EvaluateParameters())
    write_evaluation(run, Outputs(*outputs), "fake")
    statistics = {kind: folder / f"{kind}.parquet" for kind in TABLES_OF_ANALYSIS}
    analyse_run(run, statistics)
    return statistics


def write_table(path: Path, kind: str, rows: list[tuple[object, ...]], columns: tuple[str, ...]) -> None:
    """Write rows as a table of ``kind``."""
    store.write_table(path, kind, pd.DataFrame(rows, columns=list(columns)), ORIGIN)


def face_points(n_frames: int) -> np.ndarray:
    """Return landmarks [T, 68, 2]: eyes 20 px wide and 6 px open, shut at BLINK; mouth shut; the nose moves at NOD."""
    points = np.zeros((n_frames, 68, 2), np.float32)
    points[:, :27] = [100, 60]
    for corner, x in ((36, 70), (42, 110)):
        points[:, corner], points[:, corner + 3] = [x, 70], [x + 20, 70]
        for lid, dx, dy in ((1, 7, -3), (2, 13, -3), (4, 13, 3), (5, 7, 3)):
            points[:, corner + lid] = [x + dx, 70 + dy]
            points[BLINK, corner + lid, 1] = 70
    points[:, 27:36] = [100, 90]
    points[NOD:, 30, 0] += 6.4
    points[:, 48:] = [100, 120]
    points[:, 60], points[:, 64] = [90, 120], [110, 120]
    return points


def _proposal(subject: str, video_id: str, label: str, onset: int, apex: int, offset: int) -> tuple[object, ...]:
    seconds = (onset / FPS, apex / FPS, offset / FPS)
    return subject, video_id, label, onset, apex, offset, onset, apex, offset, *seconds, 0.6, 0.5, 0.8


def _write_faces(path: Path, n_frames: int) -> Path:
    found = np.ones(n_frames, np.uint8)
    found[230:240] = 0
    landmarks = face_points(n_frames)
    landmarks[230:240] = np.nan
    arrays = {
        "landmarks": landmarks, "native_frame": np.arange(n_frames), "found": found,
        "interocular": np.where(found, 64.0, np.nan), "faces": found, "pose": np.zeros((n_frames, 3)),
        "blur": np.ones(n_frames),
    }  # fmt: skip
    store.write(path, "faces", arrays, ORIGIN, fps=FPS, cuts=1, profile=2, tiny=3, unreadable=4)
    return path


def _write_snippets(path: Path, n_frames: int) -> Path:
    """Flow of every region grows over the video, up to (3, 4) px of the crop for the lower lip."""
    flow = np.zeros((n_frames, 17, 10, 2), np.float32)
    flow[:] = np.linspace(0, 1, n_frames)[:, None, None, None] * np.linspace(0.1, 1, 10)[:, None] * np.array([3.0, 4.0])
    store.write(path, "snippets", {"snippets": flow, "valid": np.ones(n_frames, bool)}, ORIGIN)
    return path


def _write_frames(folder: Path, n_frames: int) -> Path:
    """Write a folder of images, each of the grey level of its number."""
    folder.mkdir(parents=True)
    for index in range(n_frames):
        cv2.imwrite(str(folder / f"img{index:03d}.png"), np.full((160, 200, 3), index % 256, np.uint8))
    return folder


def _bell(n_frames: int, apex: int, width: float) -> np.ndarray:
    return np.exp(-(((np.arange(n_frames) - apex) / width) ** 2) / 2)
