"""The demo dataset: who does what and when. ``demo_render`` turns it into video.

Everything here is a pure function of ``DemoParameters`` and takes milliseconds; nothing is rendered or read.

Conventions
-----------
Frames are 0-based and intervals inclusive. Lengths on the face are in g, half the distance of the inner eye corners;
amplitudes are in px of the aligned crop at 128 px, which is 9 g wide. x is to the right of the image, y down.
The randomness of a video comes from its own seed sequence (seed, subject, video), that of a subject's looks from
(seed, subject): more videos or subjects change none of the others.

What is modelled on the real label sets
---------------------------------------
Durations (at 30 fps): MaE log-normal with median 31, between 16 and 100 frames; ME 8 to 15 frames, median 13.
Intensity: an S-shaped rise, for some MaE a plateau, a slower decay; the apex lies at 25 to 60 % of the duration.
With ``hold_s`` a macro-expression stays at its apex for a time drawn from 0 to that, beyond its own length.
About one video in five has no expression; a subject's first video always has one MaE and one ME at least.
Unlabelled distractors: head motion, blinks, talking-like mouth motion, flicker of the light, sensor noise.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from pfes.base.config import setting
from pfes.base.errors import InputError
from pfes.base.intervals import runs
from pfes.base.records import CLASSES, EXPRESSION_COLUMNS, Video
from pfes.datasets.release import LABEL_COLUMNS, REFUSAL_COLUMNS, REPAIR_COLUMNS, Release, empty

# action -> (part of the face, share of the drawn MaE amplitude that it reaches without looking torn)
ACTIONS = {
    "brow_raise": ("upper", 1.0), "brow_raise_left": ("upper", 1.0), "brow_raise_right": ("upper", 1.0),
    "brow_lower": ("upper", 0.8),
    "lip_pull": ("lower", 1.0), "lip_pull_left": ("lower", 0.9), "lip_pull_right": ("lower", 0.9),
    "lip_depress": ("lower", 0.9), "lip_press": ("lower", 0.6),
    "chin_raise": ("lower", 0.8), "lip_raise": ("lower", 0.8),
}  # fmt: skip

_MICRO_FRAMES = np.arange(8, 16)
_MICRO_SHARES = (0.03, 0.05, 0.08, 0.13, 0.19, 0.24, 0.17, 0.11)
_GAP_S, _MARGIN_S = 12 / 30, 6 / 30
_BLINK = np.array([(-0.10, 0), (-0.03, 0.75), (0.0, 1), (0.04, 1), (0.11, 0.55), (0.18, 0.15), (0.26, 0)])  # s, closure


@dataclass(frozen=True)
class DemoParameters:
    """Size and difficulty of the demo dataset."""

    subjects: int = setting(6, "identities", minimum=1, maximum=99)
    videos: int = setting(4, "videos per subject", minimum=1, maximum=99)
    seconds: float = setting(10.5, "length of a video, s", minimum=3, maximum=3600)
    fps: float = setting(30.0, "frame rate, 1/s", minimum=20, maximum=60)
    width: int = setting(384, "width of the frames, px", minimum=160, maximum=2048)
    height: int = setting(384, "height of the frames, px", minimum=160, maximum=2048)
    seed: int = setting(7, "seed of everything that is random in the demo", minimum=0, maximum=2**32 - 1)
    macro_px: tuple[float, float] = setting(
        (2.0, 4.5),
        "range of the displacement of macro-expressions at the apex, px of the crop at 128 px",
        items={"minimum": 0},
    )
    micro_px: tuple[float, float] = setting(
        (0.6, 1.2),
        "range of the displacement of micro-expressions at the apex, px of the crop at 128 px",
        items={"minimum": 0},
    )
    hold_s: float = setting(
        0.0,
        "longest time that a macro-expression is held at its apex, s; drawn for each from 0 on",
        minimum=0,
        maximum=10,
    )
    head_motion: float = setting(1.0, "scale of head motion; 0 is none", minimum=0)
    blinks: float = setting(1.0, "scale of the number of blinks; 0 is none", minimum=0)
    talking: float = setting(
        0.5, "scale of the number of talking episodes; 0 is none, 1 in about half of the videos", minimum=0
    )
    flicker: float = setting(0.008, "standard deviation of the light's gain, relative", minimum=0)
    noise: float = setting(1.8, "standard deviation of the sensor noise, grey levels", minimum=0)
    crf: int = setting(18, "constant rate factor of H.264; 0 is lossless, 51 worst", minimum=0, maximum=51)

    def __post_init__(self) -> None:
        limits = (("subjects", 1, 99), ("videos", 1, 99), ("seconds", 3, 3600), ("fps", 20, 60), ("width", 160, 2048),
                  ("height", 160, 2048), ("seed", 0, 2**32 - 1), ("crf", 0, 51))  # fmt: skip
        for name, low, high in limits:
            if not low <= getattr(self, name) <= high:
                raise InputError(f"demo.{name} is {getattr(self, name)}, expected {low} to {high}")
        if self.width % 2 or self.height % 2:
            raise InputError(f"demo: frames of {self.width} x {self.height} px; H.264 needs an even width and height")

    @property
    def frames(self) -> int:
        """Number of frames of each video."""
        return round(self.seconds * self.fps)


@dataclass(frozen=True)
class Instance:
    """One expression: ``actions`` are names and displacements at the apex (px of the crop at 128 px)."""

    label: str
    onset: int
    apex: int
    offset: int
    actions: tuple[tuple[str, float], ...]
    plateau: int
    rise: float
    decay: float

    def intensity(self, frames: int) -> NDArray[np.float64]:
        """Return the intensity [frames]: 1 at the apex, in (0, 1] on [onset, offset], 0 elsewhere."""
        t = np.arange(frames)
        up = np.clip((t - self.onset + 1) / (self.apex - self.onset + 1), 0, 1)
        down = np.clip((t - self.apex - self.plateau) / (self.offset + 1 - self.apex - self.plateau), 0, 1)
        return smooth_step(up) ** self.rise * (1 - smooth_step(down**self.decay))


@dataclass(frozen=True)
class Script:
    """What happens in one video of T frames.

    Attributes
    ----------
    subject : int
        Index of the subject, from 0.
    instances : tuple of Instance
        The expressions in order of time.
    blink, talk, pucker : [T]
        Closure of the eyes in [0, 1]; opening of the mouth in [0, 1]; narrowing of the mouth in px of the crop.
    pose : [T, 6]
        Head motion: x and y (g), roll (degree), logarithm of scale, yaw and pitch (degree).
    gain : [T]
        Global gain of the light, about 1.
    noise_seed : int
        Seed of the sensor noise.
    """

    subject: int
    instances: tuple[Instance, ...]
    blink: NDArray[np.float64]
    talk: NDArray[np.float64]
    pucker: NDArray[np.float64]
    pose: NDArray[np.float64]
    gain: NDArray[np.float64]
    noise_seed: int


def plan(params: DemoParameters, folder: str) -> tuple[list[Video], pd.DataFrame]:
    """Return the videos (at ``{folder}/{video_id}.mp4``) and the table of expressions, without rendering anything."""
    videos: list[Video] = []
    rows: list[tuple[Any, ...]] = []
    for subject, video, record in _all_videos(params, folder):
        videos.append(record)
        for instance in _instances(params, subject, video):
            frames = (instance.onset, instance.apex, instance.offset)
            number = len(rows)
            rows.append(
                (
                    "demo",
                    record.subject,
                    record.video,
                    record.video_id,
                    number,
                    instance.label,
                    *frames,
                    *frames,
                    number,
                )
            )
    return videos, pd.DataFrame(rows, columns=list(EXPRESSION_COLUMNS))


def load(settings: Mapping[str, Any]) -> Release:
    """Return the plan as a release; ``settings`` has ``folder`` (of the videos) and fields of DemoParameters."""
    videos, expressions = plan(parameters(settings), str(settings["folder"]))
    return Release(tuple(videos), expressions[list(LABEL_COLUMNS)], empty(REPAIR_COLUMNS), empty(REFUSAL_COLUMNS))


def parameters(settings: Mapping[str, Any]) -> DemoParameters:
    """Return the parameters named in ``settings`` (as YAML gives them); other keys are left alone."""
    known = DemoParameters.__dataclass_fields__
    fields: dict[str, Any] = {name: value for name, value in settings.items() if name in known}
    for name in {"macro_px", "micro_px"} & set(fields):
        fields[name] = tuple(fields[name])
    return DemoParameters(**fields)


def script(params: DemoParameters, video_id: str) -> Script:
    """Return what happens in one video; raises InputError for a video that the plan does not have."""
    known = {record.video_id: (subject, video) for subject, video, record in _all_videos(params, "")}
    if video_id not in known:
        raise InputError(f"{video_id}: not a video of this demo dataset, expected one of {', '.join(known)}")
    subject, video = known[video_id]
    instances = _instances(params, subject, video)
    rng = _generator(params, subject, video, stream=1)
    talk, pucker = _talking(params, rng, instances)
    return Script(
        subject, instances, _blinks(params, rng), talk, pucker, _head_motion(params, rng), _gain(params, rng),
        int(rng.integers(2**32)),
    )  # fmt: skip


def subject_generator(params: DemoParameters, subject: int) -> np.random.Generator:
    """Return the generator of a subject's looks (geometry, tone, light)."""
    return np.random.default_rng(np.random.SeedSequence([params.seed, subject]))


def smooth_step(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rise from 0 to 1 over [0, 1] with zero slope at both ends."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _all_videos(params: DemoParameters, folder: str) -> Iterator[tuple[int, int, Video]]:
    for subject in range(params.subjects):
        for video in range(params.videos):
            name = (f"s{subject + 1:02d}", f"v{video + 1:02d}")
            yield subject, video, Video("demo", *name, f"{folder}/{name[0]}_{name[1]}.mp4", params.fps)


def _generator(params: DemoParameters, subject: int, video: int, stream: int) -> np.random.Generator:
    """Streams: 0 expressions, 1 all else. Videos count from 1 here: a trailing 0 would not change the sequence."""
    sequence = np.random.SeedSequence([params.seed, subject, video + 1])
    return np.random.default_rng(sequence.spawn(2)[stream])


def _instances(params: DemoParameters, subject: int, video: int) -> tuple[Instance, ...]:
    if video % 5 == 1 + (subject + params.seed) % 3:
        return ()
    rng = _generator(params, subject, video, stream=0)
    labels = _labels(params, rng, first=video == 0)
    lengths = [_length(params, rng, label) for label in labels]
    holds = [_hold(params, rng, label) for label in labels]
    lengths = [length + hold for length, hold in zip(lengths, holds, strict=True)]
    gap, margin = round(_GAP_S * params.fps), round(_MARGIN_S * params.fps)
    free = params.frames - 2 * margin
    while sum(lengths) + gap * (len(lengths) - 1) > free:
        labels.pop(), lengths.pop(), holds.pop()
    slack = free - sum(lengths) - gap * (len(lengths) - 1)
    pauses = np.floor(rng.dirichlet(np.full(len(lengths) + 1, 2.0)) * slack).astype(int)
    onsets = (
        margin + np.cumsum(pauses[:-1]) + np.concatenate([[0], np.cumsum(np.array(lengths[:-1]) + gap)]).astype(int)
    )
    return tuple(_instance(params, rng, *item) for item in zip(labels, onsets.tolist(), lengths, holds, strict=True))


def _labels(params: DemoParameters, rng: np.random.Generator, *, first: bool) -> list[str]:
    """Draw 3 to 5 classes per 14 s; a first video opens with one of each."""
    number = max(2 if first else 1, round(rng.uniform(2.6, 5.4) * params.seconds / 14))
    labels = rng.choice(CLASSES, number, p=(0.62, 0.38)).tolist()
    if first:
        labels[:2] = rng.permutation(CLASSES).tolist()
    return labels


def _length(params: DemoParameters, rng: np.random.Generator, label: str) -> int:
    if label == "micro":
        return round(int(rng.choice(_MICRO_FRAMES, p=_MICRO_SHARES)) * params.fps / 30)
    longest = min(100, 0.4 * params.seconds * 30)
    while not 16 <= (frames := rng.lognormal(np.log(31), 0.42)) <= longest:
        pass
    return round(frames * params.fps / 30)


def _hold(params: DemoParameters, rng: np.random.Generator, label: str) -> int:
    """Return the frames that an expression is held; without ``hold_s`` nothing is drawn, so that all else stays as it was."""
    return round(rng.uniform(0, params.hold_s) * params.fps) if params.hold_s and label == "macro" else 0


def _instance(
    params: DemoParameters, rng: np.random.Generator, label: str, onset: int, length: int, hold: int
) -> Instance:
    macro = label == "macro"
    apex = onset + round(rng.uniform(0.25, 0.55) * (length - hold - 1))
    plateau = round(rng.uniform(0.05, 0.15) * (length - hold)) if macro and rng.random() < 0.4 else 0
    low, high = params.macro_px if macro else params.micro_px
    amplitude = rng.uniform(low, high)
    names = [str(rng.choice(list(ACTIONS)))]
    others = [name for name in ACTIONS if ACTIONS[name][0] != ACTIONS[names[0]][0]]
    if macro and rng.random() < 0.35:
        names.append(str(rng.choice(others)))
    reached = [max(low, amplitude * ACTIONS[name][1]) if macro else amplitude for name in names]
    actions = tuple((name, pixels * share) for name, pixels, share in zip(names, reached, (1.0, 0.7), strict=False))
    return Instance(
        label, onset, apex, onset + length - 1, actions, plateau + hold, rng.uniform(0.8, 1.5), rng.uniform(0.65, 0.95)
    )


def _blinks(params: DemoParameters, rng: np.random.Generator) -> NDArray[np.float64]:
    seconds = np.arange(params.frames) / params.fps
    closure = np.zeros(params.frames)
    start = rng.exponential(2.0)
    while start < params.seconds and params.blinks > 0:
        speed, depth = rng.uniform(0.85, 1.25), rng.uniform(0.9, 1.0)
        closure = np.maximum(closure, depth * np.interp((seconds - start) * speed, _BLINK[:, 0], _BLINK[:, 1]))
        start += 0.8 + rng.exponential(3.4) / params.blinks
    return closure


def _talking(
    params: DemoParameters, rng: np.random.Generator, instances: tuple[Instance, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return opening [T] in [0, 1] and narrowing [T] (px of the crop) of the mouth, in episodes between expressions."""
    opening, pucker = np.zeros(params.frames), np.zeros(params.frames)
    if rng.random() > 0.6 * params.talking:
        return opening, pucker
    busy = np.zeros(params.frames, bool)
    for instance in instances:
        busy[max(0, instance.onset - 5) : instance.offset + 6] = True
    free = [pause for pause in runs(~busy).tolist() if pause[1] - pause[0] >= params.fps]
    for start, end in rng.permutation(np.array(free).reshape(-1, 2))[: int(rng.integers(1, 3))]:
        length = min(round(rng.uniform(1.0, 3.5) * params.fps), end - start + 1)
        episode = slice(start := int(rng.integers(start, end - length + 2)), start + length)
        opening[episode], pucker[episode] = _speech(params, rng, length)
    return opening, pucker


def _speech(
    params: DemoParameters, rng: np.random.Generator, length: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return syllables at 3 to 5 Hz of varying strength, faded in and out."""
    rate = 4 + gaussian_filter1d(rng.normal(size=length), 0.3 * params.fps) * 4
    phase = 2 * np.pi * np.cumsum(np.clip(rate, 3, 5)) / params.fps
    strength = np.clip(0.25 + gaussian_filter1d(rng.normal(size=length), 0.2 * params.fps) * 0.5, 0.1, 0.45)
    fade = np.clip(np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.2 * params.fps), 0, 1)
    return fade * strength * (1 - np.cos(phase)) / 2, fade * 0.6 * np.sin(0.5 * phase + rng.uniform(0, 6))


def _head_motion(params: DemoParameters, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the pose [T, 6]: slow drift, some faster shifts, a faint tremor."""
    size = params.head_motion * np.array([0.07, 0.05, 0.9, 0.006, 1.2, 0.9])
    time = np.arange(params.frames) / params.fps
    noise = rng.normal(size=(params.frames + round(10 * params.fps), 6))
    pose = np.zeros((params.frames, 6))
    for sigma_s, weight in ((1.2, 1.0), (0.25, 0.12)):
        smooth = gaussian_filter1d(noise, sigma_s * params.fps, axis=0)
        smooth = smooth / np.sqrt(1 / (2 * np.sqrt(np.pi) * sigma_s * params.fps))
        pose += weight * smooth[-params.frames - round(5 * params.fps) : -round(5 * params.fps)]
    start = rng.exponential(3.0)
    while start < params.seconds:
        ramp = smooth_step((time - start) / rng.uniform(0.3, 0.8))
        pose += ramp[:, None] * rng.normal(size=6) * 1.2
        start += 1.0 + rng.exponential(4.0)
    return np.clip(pose - np.median(pose, axis=0), -4, 4) * size


def _gain(params: DemoParameters, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return slow flicker plus the 10 Hz alias of 100 Hz light at 30 fps; ``flicker`` is its deviation."""
    time = np.arange(params.frames) / params.fps
    slow = np.sin(2 * np.pi * rng.uniform(0.1, 0.4) * time + rng.uniform(0, 6))
    alias = np.sin(2 * np.pi * abs(100 - round(100 / params.fps) * params.fps + 0.07) * time)
    return 1 + params.flicker * (1.2 * slow + 0.75 * alias)
