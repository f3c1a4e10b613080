"""How long evaluation takes: random instances and proposals judged under every protocol."""

import time

import numpy as np
import pandas as pd

from pfes.base.records import CLASSES
from pfes.evaluation.counts import score
from pfes.evaluation.protocols import PROTOCOLS

FRAMES = 9000  # of a video
PER_SUBJECT = 5  # videos


def bench_evaluate(n_videos: int = 1000, n_instances: int = 20_000, n_proposals: int = 100_000) -> pd.DataFrame:
    """Return processor time in seconds of judging and counting, and overall F1, a row per protocol."""
    rng = np.random.default_rng(0)
    names = np.array([f"v{number:05d}" for number in range(n_videos)], object)
    videos = pd.DataFrame(
        {"subject": [f"s{number // PER_SUBJECT:04d}" for number in range(n_videos)], "video_id": names}
    )

    def rows(count: int) -> pd.DataFrame:
        onset = rng.integers(0, FRAMES, count)
        table = pd.DataFrame(
            {"video_id": rng.choice(names, count), "class": rng.choice(CLASSES, count), "onset": onset}
        )
        return table.assign(
            offset=onset + rng.integers(5, 60, count), instance=np.arange(count), score=rng.random(count)
        )

    expressions, proposals = rows(n_instances), rows(n_proposals)
    results = []
    for protocol in PROTOCOLS:
        start = time.process_time()
        found = score(videos, expressions, proposals, protocol)["overall"]
        results.append({"protocol": protocol, "seconds": time.process_time() - start, "f1": found["f1"]})
    return pd.DataFrame(results)
