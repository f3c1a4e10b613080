"""How much memory a training step takes, and when a video passes SpotFormer in chunks. Nothing here needs torch.

Measured in docs/benchmarks.md, Memory: a plain step saves 5.6 MB a frame at width 256, in proportion to the width.
"""

from typing import NamedTuple

STEP_MB = 5.6 / 256  # per frame and channel, of what autograd saves of a plain step
TOKENS = (170,) * 6 + (51,) + (27,) * 6 + (9,) + (5,) * 3 + (3,) * 3  # of each stage's input, at most
LEVELS = (tuple(range(19)), (0, *range(6, 19)), (0, 6, 13))  # stages whose input is kept, from fast to frugal
MOST_MB = 16_000.0  # of a plain step on a CPU; whatever takes more passes in chunks
GPU_SHARE = 0.6  # of a GPU's memory, likewise
CHUNK_FRAMES = 512  # of these chunks


class Chunks(NamedTuple):
    """How a video passes: ``frames`` at a time, ``memory_mb`` for the inputs of stages that are kept."""

    frames: int
    memory_mb: float


def chunks(frames: int, width: int, asked: int | None, memory_mb: float, most_mb: float | None = None) -> Chunks | None:
    """Return how a video of ``frames`` frames passes SpotFormer; None for all at once.

    Parameters
    ----------
    asked, memory_mb : training.chunk_frames and chunk_memory_mb of the configuration.
    most_mb : what a step may take before it goes in chunks that nobody asked for; None is MOST_MB.
    """
    if asked is not None:
        return Chunks(asked, memory_mb)
    most_mb = MOST_MB if most_mb is None else most_mb
    return Chunks(CHUNK_FRAMES, max(most_mb, memory_mb)) if STEP_MB * frames * width > most_mb else None


def kept_stages(frames: int, width: int, memory_mb: float) -> tuple[int, ...]:
    """Return the first of LEVELS whose kept inputs, and the gradient of the largest, fit into ``memory_mb``."""
    fitting = (level for level in LEVELS if kept_mb(level, frames, width) <= memory_mb)
    return next(fitting, LEVELS[-1])


def kept_mb(level: tuple[int, ...], frames: int, width: int) -> float:
    """Return the size of the kept inputs of ``level`` with the gradient of the largest, MB."""
    tokens = [TOKENS[stage] for stage in level[1:]]  # the first is made from the snippets
    return (sum(tokens) + max(tokens)) * frames * width * 4 / 1e6


def step_mb(frames: int, width: int, asked: int | None = None, memory_mb: float = 2000.0) -> float:
    """Return the memory of one training step on a video of ``frames`` frames, MB; ``asked``, ``memory_mb`` as for ``chunks``.

    >>> round(step_mb(2000, 256)), round(step_mb(11_000, 256))
    (11200, 17094)
    """
    passing = chunks(frames, width, asked, memory_mb)
    if passing is None:
        return STEP_MB * frames * width
    kept = kept_mb(kept_stages(frames, width, passing.memory_mb), frames, width)
    return kept + STEP_MB * min(passing.frames, frames) * width
