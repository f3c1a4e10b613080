"""Recordings made without rendering: faces that move, measured as the flow stage would, with their truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pfes.synthetic.faces import draw_faces
from pfes.synthetic.motion import draw_motion
from pfes.synthetic.noise import NoiseParameters, draw_strengths, measured, with_frame_errors
from pfes.synthetic.snippets import Array, window_motion

FPS = 30.0
MICRO_WEIGHT = 3


@dataclass(frozen=True)
class Recordings:
    """N made recordings, and M frames of each.

    Parameters
    ----------
    frames : int64 [N, M].
    snippets : float32 [N, M, 17, 10, 2], px of the crop at 128 px.
    inside : bool [N, M, 2], frames inside a macro-, a micro-expression.
    counts : bool [N, M], frames that teach something.
    expressions : int64 [E, 5], recording, class (0 macro, 1 micro), onset, apex, offset.
    """

    frames: NDArray[np.int64]
    snippets: Array
    inside: NDArray[np.bool_]
    counts: NDArray[np.bool_]
    expressions: NDArray[np.int64]


def draw_recordings(
    rng: np.random.Generator,
    count: int,
    seconds: float,
    *,
    frames: int | None = None,
    noise: NoiseParameters = NoiseParameters(),
) -> Recordings:
    """Draw ``count`` recordings of ``seconds`` at FPS; ``frames`` of each are drawn too, None takes all.

    A frame of a micro-expression is drawn MICRO_WEIGHT times as often as another, since there are few.
    """
    length = round(seconds * FPS)
    moving = draw_motion(rng, draw_faces(rng, count), length, FPS)
    drawn = draw_strengths(rng, count, noise)
    tracks = with_frame_errors(rng, moving.tracks, drawn, noise)
    every = np.tile(np.arange(length), (count, 1))
    chosen = every if frames is None else _draw_frames(rng, moving.inside, frames)
    snippets = measured(rng, window_motion(tracks, chosen), drawn, noise)
    rows = np.arange(count)[:, None]
    return Recordings(chosen, snippets, moving.inside[rows, chosen], moving.counts[rows, chosen], moving.expressions)


def _draw_frames(rng: np.random.Generator, inside: NDArray[np.bool_], frames: int) -> NDArray[np.int64]:
    share = np.cumsum(np.where(inside[..., 1], MICRO_WEIGHT, 1), axis=1, dtype=np.float64)
    wanted = rng.random((len(inside), frames)) * share[:, -1:]
    return np.asarray((share[:, None] <= wanted[..., None]).sum(-1), np.int64)
