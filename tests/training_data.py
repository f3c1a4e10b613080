"""Small trainings on made-up flow that several test files share; the fixture ``project`` is in conftest."""

import numpy as np
import pandas as pd

from pfes.base import provenance, store
from pfes.base.records import POINT_COLUMNS, VIDEO_COLUMNS
from pfes.methods.base import TrainingVideo
from pfes.methods.gim.parameters import GimParameters
from pfes.methods.parameters import TrainingParameters
from pfes.network.parameters import ModelParameters
from pfes.training.fold import FoldInputs, train_fold

MODEL = ModelParameters(width=8, heads=2, head_dropout=0.3)
QUICK = TrainingParameters(
    epochs=2,
    learning_rate=1e-3,
    weight_decay=0.0,
    device="cpu",
    sections=(GimParameters(hard_epochs=1, gaussian_epochs=0),),
)


def synthetic_video(seed, frames=90, apexes=((45, 0),), subject="s1", name="a"):
    """Flow of a smile-like bump of the mouth corners: 3 px over 32 frames (macro) or 1 px over 12 (micro), in noise."""
    generator = np.random.default_rng(seed)
    motion = np.zeros((frames, 10, 2))
    for apex, c in apexes:
        half, size = (16, 3.0) if c == 0 else (6, 1.0)
        bump = size * np.clip(1 - np.abs(np.arange(frames) - apex) / half, 0, 1)
        motion[:, 6] += bump[:, None] * [-0.7, -0.7]
        motion[:, 7] += bump[:, None] * [0.7, -0.7]
    window = np.clip(np.arange(frames)[:, None] + np.arange(-8, 9), 0, frames - 1)
    snippets = motion[window] - motion[window[:, :1]]
    snippets += generator.normal(0, 0.05, snippets.shape)
    points, classes = (np.array([item[k] for item in apexes], np.int64) for k in (0, 1))
    return TrainingVideo(
        f"{subject}_{name}", subject, snippets.astype(np.float32), np.ones(frames, bool), points, classes
    )


def train_project(folder, paths, held_out="s3", params=QUICK, model=MODEL, **subjects):
    inputs = FoldInputs(paths, folder / "points.parquet", folder / "videos.parquet", held_out, **subjects)
    train_fold(inputs, folder, model, params, 1, "journal", {"proposals": {"thresholds": [0.2, 0.8]}})


def write_project(tmp_path):
    """Three subjects of two videos each, one of them without any expression, on disk."""
    paths, videos, points = {}, [], []
    for number, subject in enumerate(["s1", "s2", "s3"]):
        for name, apexes in (("a", ((30, 0), (65, 1))), ("b", ())):
            video = synthetic_video(number, 90, apexes, subject, name)
            paths[video.video_id] = tmp_path / f"{video.video_id}.h5"
            arrays = {"snippets": video.snippets, "valid": video.valid}
            store.write(paths[video.video_id], "snippets", arrays, provenance.record("snippets", {}))
            videos.append(("demo", subject, name, video.video_id, "x.mp4", 30.0, 90, 90, 30.0, ""))
            points += [
                (subject, video.video_id, i, ("macro", "micro")[c], frame) for i, (frame, c) in enumerate(apexes)
            ]
    made = provenance.record("dataset", {})
    store.write_table(tmp_path / "videos.parquet", "videos", pd.DataFrame(videos, columns=list(VIDEO_COLUMNS)), made)
    store.write_table(tmp_path / "points.parquet", "points", pd.DataFrame(points, columns=list(POINT_COLUMNS)), made)
    return tmp_path, paths
