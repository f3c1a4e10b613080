"""Who moves when: expressions, and what is none, as tracks of the regions of made faces over time.

Conventions
-----------
N recordings of T frames, each of one face of ``faces``; I places for expressions in a recording, some of which stay empty.
Tracks are [N, T, 11, 2], px of the crop at 128 px. Curves of activation are 0 at rest and 1 at the apex. Frames are
0-based, intervals inclusive. Everything is drawn for all recordings at once.

Expressions: one to three actions, one-sided ones, onsets of .1 to 1 s, holds up to 3 s, offsets of .15 to 1.5 s, .3 to 12 px;
alone, overlapping or repeated; some do not come back to where they began. Micro: shorter than .5 s, up to 3 px.
No expression: blinks, gaze, talking, chewing, slow drift, and head motion with parallax, whose tracks are those of points in
space under a turning head.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d, minimum_filter1d

from pfes.base.records import HALF
from pfes.synthetic.faces import NAMES, PX, Array, MadeFaces

MICRO_S = 0.5  # an expression is micro if it is shorter
PLACES = 6  # for expressions in a recording
VISIBLE = 0.05  # of the apex: from here on an expression is seen
LEAST_PX = 0.5  # an expression of less than this teaches nothing
STILL = 0.12  # of the apex: where a window sees less of a held expression move, it teaches nothing
_BLINK_S, _BLINK = (-0.1, -0.03, 0.0, 0.04, 0.11, 0.18, 0.26), (0, 0.75, 1, 1, 0.55, 0.15, 0)  # closure of the lids
_MOUTH = tuple(NAMES.index(name) for name in ("jaw_drop", "pucker", "lip_pull", "lip_press", "lower_lip_depress"))


@dataclass(frozen=True)
class Motion:
    """What happens in N recordings.

    Parameters
    ----------
    tracks : float32 [N, T, 11, 2], px.
    expressions : int64 [E, 5], recording, class (0 macro, 1 micro), onset, apex, offset; those that can be seen.
    inside : bool [N, T, 2], frames of an expression of each class.
    counts : bool [N, T], frames that teach something: not the middle of a long hold, which no window sees, nor the edges of
        an expression, nor one that is too small to be seen.
    """

    tracks: Array
    expressions: NDArray[np.int64]
    inside: NDArray[np.bool_]
    counts: NDArray[np.bool_]


@dataclass(frozen=True)
class _Drawn:
    """Times and strengths [N, I] of expressions, and the motion [N, I, 11, 2] of each at its apex."""

    onset: Array
    rise: Array
    hold: Array
    fall: Array
    back: Array
    moved: Array
    micro: NDArray[np.bool_]
    there: NDArray[np.bool_]


def draw_motion(rng: np.random.Generator, faces: MadeFaces, frames: int, fps: float = 30.0) -> Motion:
    """Draw what happens in one recording of each of the N ``faces``."""
    drawn = _expressions(rng, faces, frames / fps)
    seconds = (np.arange(frames) / fps).astype(np.float32)
    curves = _curves(rng, drawn, seconds)
    tracks = np.einsum("nit,nirc->ntrc", curves, drawn.moved, optimize=True)
    for other in (_talking, _blinks, _gaze, _drift):
        tracks += other(rng, faces, seconds)
    tracks = _turned(rng, faces, tracks, seconds)
    inside, counts, rows = _labels(drawn, curves)
    return Motion(tracks.astype(np.float32), rows, inside, counts)


def smooth_step(x: Array) -> Array:
    """Rise from 0 to 1 over [0, 1] with zero slope at both ends."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _log_uniform(rng: np.random.Generator, low: float, high: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.asarray(np.exp(rng.uniform(np.log(low), np.log(high), shape)))


def _expressions(rng: np.random.Generator, faces: MadeFaces, length_s: float) -> _Drawn:
    shape = (len(faces.positions), PLACES)
    micro = rng.random(shape) < 0.5
    rise, fall = _log_uniform(rng, 0.1, 1.0, shape), _log_uniform(rng, 0.15, 1.5, shape)
    hold = np.where(rng.random(shape) < 0.4, 0.0, rng.uniform(0, 3, shape))
    short = rise + hold + fall
    least = MICRO_S + rng.uniform(0.02, 0.2, shape)
    stretch = np.where(short < least, least / short, 1)
    whole, share = rng.uniform(0.2, MICRO_S, shape), rng.uniform(0.3, 0.6, shape)
    top = np.where(rng.random(shape) < 0.5, 0.0, rng.uniform(0, 0.2, shape))
    rise, hold, fall = (
        np.where(micro, whole * (1 - top) * share, rise * stretch),
        np.where(micro, whole * top, hold * stretch),
        np.where(micro, whole * (1 - top) * (1 - share), fall * stretch),
    )
    amplitude = np.where(micro, _log_uniform(rng, 0.3, 3, shape), _log_uniform(rng, 0.8, 12, shape))
    expected = rng.choice([0, 1, 3, 4.5], (shape[0], 1), p=(0.15, 0.15, 0.3, 0.4)) / PLACES
    there = rng.random(shape) < expected
    onset = rng.uniform(-0.5, length_s, shape)
    back = np.where(rng.random(shape) < 0.15, rng.uniform(-0.1, 0.25, shape), 0.0)  # where it ends, share of the apex
    moved = _moved(rng, faces, shape) * (amplitude * there)[..., None, None]
    return _Drawn(_f32(onset), _f32(rise), _f32(hold), _f32(fall), _f32(back), _f32(moved), micro, there)


def _moved(rng: np.random.Generator, faces: MadeFaces, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Draw the motion [N, I, 11, 2] of expressions at their apex, 1 px at the region that moves most."""
    actions = rng.integers(0, len(NAMES), (*shape, 3))
    repeated = rng.random((shape[0], 1, 1)) < 0.25
    actions = np.where(repeated, actions[:, :1], actions)
    gains = np.stack([np.ones(shape), rng.uniform(0.2, 1, shape), rng.uniform(0.2, 0.8, shape)], axis=-1)
    gains *= rng.random((*shape, 3)) < (1.0, 0.5, 0.2)
    side, weak = rng.integers(0, 2, shape), rng.uniform(0, 0.25, shape)
    sides = np.ones((*shape, 2))
    one_sided = rng.random(shape) < 0.25
    sides[np.where(one_sided & (side == 0))] = np.stack([np.ones_like(weak), weak], -1)[one_sided & (side == 0)]
    sides[np.where(one_sided & (side == 1))] = np.stack([weak, np.ones_like(weak)], -1)[one_sided & (side == 1)]
    own = faces.actions[np.arange(shape[0])[:, None, None], actions]  # (N, I, 3, 2, 11, 2)
    moved = np.einsum("niasrc,nia,nis->nirc", own, gains, sides, optimize=True)
    longest = np.linalg.norm(moved, axis=-1).max(axis=-1)
    return np.asarray(moved / np.maximum(longest, 1e-6)[..., None, None])


def _curves(rng: np.random.Generator, drawn: _Drawn, seconds: Array) -> Array:
    """Return the activation [N, I, T] of expressions."""
    shape = (*drawn.onset.shape, 1)
    since = seconds - drawn.onset[..., None]
    up = smooth_step(since / drawn.rise[..., None]) ** _f32(rng.uniform(0.8, 1.5, shape))
    left = (since - (drawn.rise + drawn.hold)[..., None]) / drawn.fall[..., None]
    down = smooth_step(np.clip(left, 0, 1) ** _f32(rng.uniform(0.65, 1.0, shape)))
    sway = 1 + _f32(rng.uniform(0, 0.06, shape)) * np.sin(since * _f32(rng.uniform(2, 8, shape)))
    found = up * (1 - down * (1 - drawn.back[..., None])) * sway
    return np.asarray(found, np.float32)


def _labels(drawn: _Drawn, curves: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
    floor = np.maximum(drawn.back, 0)[..., None]
    height = np.where(_ended(curves), (curves - floor) / (1 - floor), curves)
    seen = (height > VISIBLE) & drawn.there[..., None]
    inside = np.stack([(seen & (drawn.micro == kind)[..., None]).any(1) for kind in (False, True)], -1)
    low, high = _extremes(curves)
    length = np.linalg.norm(drawn.moved, axis=-1).max(-1)[..., None]
    still = seen & (high - low < STILL)
    small = seen & (length < LEAST_PX)
    edge = np.zeros_like(seen)
    edge[..., 1:] = seen[..., 1:] != seen[..., :-1]
    edge[..., :-1] |= edge[..., 1:]
    others = (seen & ~still & ~small & ~edge).any(1)  # another one that is seen well
    counts = ~((still | small | edge).any(1) & ~others)
    rows = []
    for n, i in np.argwhere((seen & ~small).any(-1)):
        frames = np.flatnonzero(seen[n, i])
        apex = frames[curves[n, i, frames].argmax()]
        rows.append((n, int(drawn.micro[n, i]), frames[0], apex, frames[-1]))
    return inside, counts, np.array(rows, np.int64).reshape(-1, 5)


def _ended(curves: Array) -> NDArray[np.bool_]:
    """Return which frames come after the apex."""
    return np.arange(curves.shape[-1]) > curves.argmax(-1)[..., None]


def _extremes(curves: Array) -> tuple[Array, Array]:
    """Return least and greatest value in the window of each frame."""
    size = 2 * HALF + 1
    return minimum_filter1d(curves, size, mode="nearest"), maximum_filter1d(curves, size, mode="nearest")


def _episodes(rng: np.random.Generator, shape: tuple[int, int], seconds: Array, share: float, most_s: float) -> Array:
    """Return [N, K, T] from 0 to 1: K episodes that fade in and out, there in a share of the recordings."""
    start, length = rng.uniform(-1, seconds[-1] + 1, shape), rng.uniform(0.6, most_s, shape)
    there = rng.random((shape[0], 1)) < share
    since = seconds - _f32(start)[..., None]
    fade = np.minimum(since, _f32(length)[..., None] - since) / 0.2
    return np.asarray(np.clip(fade, 0, 1) * there[..., None], np.float32)


def _noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Array:
    """Return smooth noise along the last axis, of standard deviation 1; ``sigma`` in frames."""
    raw = gaussian_filter1d(rng.standard_normal(shape, np.float32), sigma, axis=-1, mode="wrap")
    return np.asarray(raw / np.maximum(raw.std(-1, keepdims=True), 1e-6), np.float32)


def _talking(rng: np.random.Generator, faces: MadeFaces, seconds: Array) -> Array:
    """Return the tracks of talking and of chewing: mouth actions at 2 to 6 Hz, or at 1 to 2 Hz."""
    count, fps = len(faces.positions), 1 / (seconds[1] - seconds[0])
    tracks = np.zeros((count, len(seconds), 11, 2), np.float32)
    for share, low, high, most_s, strongest in ((0.4, 2.0, 6.0, 6.0, 4.0), (0.1, 0.8, 2.0, 8.0, 5.0)):
        when = _episodes(rng, (count, 2), seconds, share, most_s).max(1)  # (N, T)
        strength = _f32(_log_uniform(rng, 0.4, strongest, (count, 1)))
        pace = _f32(rng.uniform(low, high, (count, 1)))
        rate = np.clip(pace * (1 + 0.35 * _noise(rng, (count, len(seconds)), 0.2 * fps)), 0.5 * low, 1.3 * high)
        phase = 2 * np.pi * np.cumsum(rate, -1) / fps
        loud = np.clip(0.6 + 0.4 * _noise(rng, (count, len(seconds)), 0.15 * fps), 0, 1.5)
        share_of = _f32(rng.uniform(0.05, 0.5, (count, len(_MOUTH), 1)))
        share_of[:, 0] = 1
        ways = [loud * (1 - np.cos(phase)) / 2]
        ways += [_noise(rng, (count, len(seconds)), fps / rng.uniform(4, 14)) for _ in _MOUTH[1:]]
        curves = np.stack(ways, 1) * share_of * (strength * when)[:, None]
        tracks += np.einsum("nat,narc->ntrc", curves, faces.actions[:, list(_MOUTH)].sum(2), optimize=True)
    return tracks


def _blinks(rng: np.random.Generator, faces: MadeFaces, seconds: Array) -> Array:
    """Return the tracks of blinks: the skin of the brows follows the lids by up to .6 px, mostly down."""
    count = len(faces.positions)
    places = int(len(seconds) * (seconds[1] - seconds[0]) / 2) + 1
    start = rng.uniform(0, seconds[-1], (count, places))
    there = rng.random((count, places)) < rng.uniform(0.1, 0.9, (count, 1))
    since = (seconds - _f32(start)[..., None]) * _f32(rng.uniform(0.7, 1.3, (count, places, 1)))
    closure = (np.interp(since, _BLINK_S, _BLINK) * there[..., None]).max(1)
    moved = np.zeros((count, 11, 2), np.float32)
    moved[:, :6, 1] = rng.uniform(-0.1, 0.6, (count, 1)) * rng.uniform(0.3, 1, (count, 6))
    moved[:, :6, 0] = rng.normal(0, 0.08, (count, 6))
    moved[:, 6:10] = rng.normal(0, 0.04, (count, 4, 2))
    return np.asarray(np.einsum("nt,nrc->ntrc", closure, moved), np.float32)


def _gaze(rng: np.random.Generator, faces: MadeFaces, seconds: Array) -> Array:
    """Return the tracks of gaze: brows step by up to .3 px with the eyes, and stay there for a while."""
    count = len(faces.positions)
    start = _f32(rng.uniform(0, seconds[-1], (count, 8, 1)))
    steps = smooth_step((seconds - start) / _f32(rng.uniform(0.05, 0.3, (count, 8, 1))))
    moved = np.zeros((count, 8, 11, 2), np.float32)
    moved[:, :, :6] = rng.normal(0, 0.07, (count, 8, 1, 2)) + rng.normal(0, 0.03, (count, 8, 6, 2))
    moved *= rng.random((count, 1, 1, 1)) < 0.6
    return np.asarray(np.einsum("nkt,nkrc->ntrc", steps, moved, optimize=True), np.float32)


def _drift(rng: np.random.Generator, faces: MadeFaces, seconds: Array) -> Array:
    """Return the tracks of muscles that slowly change their tone: up to half a px over seconds."""
    count, fps = len(faces.positions), 1 / (seconds[1] - seconds[0])
    chosen = rng.integers(0, len(NAMES), (count, 3))
    curves = _noise(rng, (count, 3, len(seconds)), 1.5 * fps) * _f32(rng.uniform(0, 0.3, (count, 3, 1)))
    own = faces.actions[np.arange(count)[:, None], chosen].sum(2)
    return np.asarray(np.einsum("nat,narc->ntrc", curves, own, optimize=True), np.float32)


def _turned(rng: np.random.Generator, faces: MadeFaces, tracks: Array, seconds: Array) -> Array:
    """Return tracks with the motion of the head: points in space, turned, scaled and shifted, as the crop's scale has them."""
    count, fps = len(faces.positions), 1 / (seconds[1] - seconds[0])
    size = np.array([0.07, 0.05, 1.0, 0.006, 1.5, 1.2])[:, None] * _log_uniform(rng, 0.1, 4, (count, 1, 1))
    pose = sum(
        weight * _noise(rng, (count, 6, len(seconds)), sigma_s * fps)
        for sigma_s, weight in ((1.2, 1.0), (0.25, 0.12), (0.1, 0.02))
    )
    start = _f32(rng.uniform(0, seconds[-1], (count, 4, 1, 1)))
    ramps = smooth_step((seconds - start) / _f32(rng.uniform(0.25, 0.8, (count, 4, 1, 1))))
    steps = rng.normal(0, 1.2, (count, 4, 6, 1)) * (rng.random((count, 4, 1, 1)) < 0.5)
    nods = np.sin(2 * np.pi * rng.uniform(0.7, 2.5, (count, 1, 1)) * seconds) * np.isin(np.arange(6), (4, 5))[:, None]
    nodding = _episodes(rng, (count, 1), seconds, 0.1, 4) * rng.uniform(0.5, 3, (count, 6, 1))
    x, y, roll, scale, yaw, pitch = np.moveaxis((pose + (ramps * steps).sum(1) + nods * nodding) * size, 1, 0)
    roll, yaw, pitch = np.deg2rad(roll), np.deg2rad(yaw), np.deg2rad(pitch)
    places = faces.positions[:, None] + np.concatenate([tracks / PX, np.zeros_like(tracks[..., :1])], -1)
    px, py, pz = np.moveaxis(places, -1, 0)  # about which point it turns is the same for all regions, nose included
    a, b, c = (one[..., None] for one in (yaw, pitch, roll))
    u = px * np.cos(a) - pz * np.sin(a)
    depth = px * np.sin(a) + pz * np.cos(a)
    v = py * np.cos(b) - depth * np.sin(b)
    grown = np.exp(scale)[..., None]
    turned = np.stack(
        [
            grown * (u * np.cos(c) - v * np.sin(c)) + x[..., None],
            grown * (u * np.sin(c) + v * np.cos(c)) + y[..., None],
        ],
        axis=-1,
    )
    return np.asarray(turned * PX, np.float32)


def _f32(values: NDArray[Any]) -> Array:
    return np.asarray(values, np.float32)
