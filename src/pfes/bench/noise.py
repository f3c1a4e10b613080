"""How the flow stage's error on rendered videos is made up, beside that of made motion (``pfes.synthetic.noise``).

Conventions
-----------
The error is measured less true motion against the nose (``bench.truth``), [T, 17, 10, 2], px of the crop at 128 px. *Still*
is a region that truly moves by less than STILL px in a whole window: error without motion. Rendered videos have expressions up
to 12 px and much talking, so that all sizes of motion occur; they are others than those of the demo.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pfes.bench.truth import measure, video_ids
from pfes.commands.extract import ExtractParameters
from pfes.datasets.demo import DemoParameters
from pfes.synthetic.faces import draw_faces
from pfes.synthetic.motion import draw_motion
from pfes.synthetic.noise import NoiseParameters, draw_strengths, measured, with_frame_errors
from pfes.synthetic.snippets import window_motion

Pairs = list[tuple[NDArray[np.floating], NDArray[np.floating]]]  # measured and true motion [T, 17, 10, 2] of each video

STILL = 0.15  # px
SIZES = (0.3, 1, 2, 4, 6, 8, 12)  # px of true motion, edges of the classes
STEPS = (1, 2, 4, 8, 12, 16)
LAGS = (1, 2, 4, 8, 16)  # frames


def rendered(subjects: int = 3, seconds: float = 10.5, seed: int = 11) -> Pairs:
    """Render one video of each of ``subjects`` identities, measure it, and return what was measured and what is true."""
    demo = DemoParameters(
        subjects=subjects, videos=1, seconds=seconds, seed=seed, macro_px=(2.0, 12.0), micro_px=(0.4, 1.2), talking=1.6
    )
    with TemporaryDirectory() as folder:
        found = [measure(demo, video_id, Path(folder), ExtractParameters()) for video_id in video_ids(demo)]
    return [(video["measured nose"][8:-8], video["true nose"][8:-8]) for video in found]


def made(count: int = 20, frames: int = 315, seed: int = 0, noise: NoiseParameters = NoiseParameters()) -> Pairs:
    """Return measured and true motion of made recordings."""
    rng = np.random.default_rng(seed)
    tracks = draw_motion(rng, draw_faces(rng, count), frames).tracks
    every, drawn = np.tile(np.arange(frames), (count, 1)), draw_strengths(rng, count, noise)
    found = measured(rng, window_motion(with_frame_errors(rng, tracks, drawn, noise), every), drawn, noise)
    true = window_motion(tracks, every)
    return [(found[n, 8:-8], true[n, 8:-8]) for n in range(count)]


def statistics(pairs: Pairs) -> dict[str, dict[str, float]]:
    """Return the parts of the error: its deviation per step, correlations, and the share of the motion that is measured."""
    error = np.concatenate([np.subtract(*pair) for pair in pairs])
    true = np.concatenate([pair[1] for pair in pairs])
    length = np.linalg.norm(true, axis=-1)
    still = np.where((length.max(1) < STILL)[:, None, :, None], error, np.nan)
    along = ((error + true) * true).sum(-1) / np.maximum(length, 1e-9) ** 2
    late = still[:, 8:]
    correlations = {
        "brow": _mean([_correlation(late[:, :, a], late[:, :, b]) for a, b in ((0, 1), (1, 2), (3, 4), (4, 5))]),
        "brows": _mean([_correlation(late[:, :, a], late[:, :, b]) for a in range(3) for b in range(3, 6)]),
        "mouth": _mean([_correlation(late[:, :, a], late[:, :, b]) for a in range(6, 10) for b in range(6, a)]),
        "brow, mouth": _mean([_correlation(late[:, :, a], late[:, :, b]) for a in range(6) for b in range(6, 10)]),
        "steps 15, 16": _correlation(still[:, 15], still[:, 16]),
        "steps 4, 12": _correlation(still[:, 4], still[:, 12]),
        **{f"{lag} frames": _correlation(still[:-lag, 16], still[lag:, 16]) for lag in LAGS},
    }
    slopes: dict[str, float] = {}
    for low, high in zip(SIZES, SIZES[1:], strict=False):
        own = along[(length > low) & (length <= high)]
        for name, share in (("p10", 10), ("median", 50), ("p90", 90)):
            slopes[f"{low:g} to {high:g} px, {name}"] = float(np.percentile(own, share)) if len(own) > 50 else np.nan
    deviation = {f"step {k}": float(np.sqrt(np.nanmean(still[:, k] ** 2))) for k in STEPS}
    return {"deviation, px": deviation, "correlation": correlations, "share measured": slopes}


def figure(real: dict[str, Any], model: dict[str, Any]) -> Figure:
    """Draw both, one panel for each part of the error."""
    drawn = Figure((13, 4), layout="constrained")
    for axes, name in zip(drawn.subplots(1, 3), real, strict=True):
        labels = list(real[name])
        for values, mark, label in ((real, "o", "rendered videos"), (model, "x", "made motion")):
            axes.plot(range(len(labels)), [values[name][one] for one in labels], mark, label=label)
        axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=7)
        axes.set(title=name)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return drawn


def _correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Return the correlation about 0 where both are known; NaN where nothing is, or nothing but 0."""
    known = np.isfinite(a) & np.isfinite(b)
    if not known.any():
        return float("nan")
    a, b = a[known], b[known]
    power = float(np.sqrt((a**2).mean() * (b**2).mean()))
    return float((a * b).mean()) / power if power else float("nan")


def _mean(values: list[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")
