"""The label page as a web application of this machine: pictures out, changes of one sheet in.

Conventions
-----------
Every address begins with a token that only whoever started the page knows; requests that name another host than this machine
are refused, and the page may load nothing from elsewhere. Frames are native, from 0.

Addresses, below the token
--------------------------
``/``                     the page; ``label.js``, ``label.css``
``/videos``               subject, video, frames and fps of each recording
``/video/{i}``            its rows, those of a second coder, motion and candidates
``/frame/{i}/{n}.jpg``    frame n
``/change/{i}`` (POST)    {op: add | change | delete | undo, ...}; answers as ``/video/{i}``, or {problem} with status 409
"""

import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from pfes.base.errors import InputError
from pfes.base.records import NEUTRAL, Video
from pfes.labelling.pictures import Pictures
from pfes.labelling.sheet import Row, Sheet, click_of

HOSTS = ["127.0.0.1", "localhost"]
TYPES = {"label.html": "text/html", "label.js": "text/javascript", "label.css": "text/css"}
POLICY = "default-src 'none'; img-src 'self' data:; script-src 'self'; style-src 'self'; connect-src 'self'"
HEADERS = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


@dataclass(frozen=True)
class Candidate:
    """An interval that may be an expression, in native frames."""

    kind: str
    onset: int
    apex: int
    offset: int
    score: float


@dataclass(frozen=True)
class Motion:
    """What is known of the motion in a recording.

    Attributes
    ----------
    state : ``ready``, ``measuring`` or ``failed``; message : why it failed
    frames, curve : native frames and the motion there, as a share of the highest
    gaps : inclusive intervals of native frames without a usable face
    candidates : in the order in which they are looked at
    """

    state: str
    message: str = ""
    frames: Sequence[int] = ()
    curve: Sequence[float] = ()
    gaps: Sequence[tuple[int, int]] = ()
    candidates: Sequence[Candidate] = ()


@dataclass(frozen=True)
class Labelling:
    """What a page shows: recordings with their frames per second, the sheet, another coder's rows, and motion by number."""

    videos: Sequence[Video]
    fps: Sequence[float]
    pictures: Sequence[Pictures]
    sheet: Sheet
    beside: Sequence[Row]
    motion: Callable[[int], Motion]


def build_app(labelling: Labelling, token: str) -> Starlette:
    """Return the application; see the module's docstring."""

    def page(request: Request) -> Response:
        name = request.path_params.get("name", "label.html")
        if name not in TYPES:
            raise HTTPException(404)
        text = files("pfes.labelling").joinpath("page", name).read_text(encoding="utf-8")
        return Response(text, media_type=TYPES[name], headers=HEADERS)

    def videos(request: Request) -> Response:
        listed = zip(labelling.videos, labelling.fps, labelling.pictures, strict=True)
        rows = [
            {"subject": video.subject, "video": video.video, "fps": fps, "frames": pictures.n_frames}
            for video, fps, pictures in listed
        ]
        return JSONResponse({"videos": rows, "sheet": labelling.sheet.path.name})

    def video(request: Request) -> Response:
        return JSONResponse(_state(labelling, _number(request, labelling)))

    def frame(request: Request) -> Response:
        try:
            picture = labelling.pictures[_number(request, labelling)].jpeg(request.path_params["frame"])
        except InputError as error:
            raise HTTPException(404, str(error)) from error
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    async def change(request: Request) -> Response:
        number, asked = _number(request, labelling), await request.json()
        try:
            if not _apply(labelling.sheet, number, asked):
                raise InputError("nothing to undo")
        except (InputError, KeyError, TypeError, ValueError) as error:
            return JSONResponse({"problem": str(error)}, 409)
        return JSONResponse(_state(labelling, number))

    routes = [
        Route("/", page),
        Route("/videos", videos),
        Route("/video/{number:int}", video),
        Route("/frame/{number:int}/{frame:int}.jpg", frame),
        Route("/change/{number:int}", change, methods=["POST"]),
        Route("/{name}", page),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)
    return Starlette(routes=[Mount(f"/{token}", routes=routes)], middleware=[hosts])


def serve(labelling: Labelling, say: Callable[[str], None], port: int = 0) -> None:
    """Serve the page on this machine alone until it is interrupted; ``say`` is told its address. Port 0 takes a free one.

    Raises InputError for a port that cannot be had.
    """
    token = secrets.token_urlsafe(24)
    with socket.socket() as listening:
        try:
            listening.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:  # taken, reserved for root, no port number
            raise InputError(f"--port {port}: {error}; leave it out to take any that is free") from error
        listening.listen()  # who opens the address at once waits, and is not turned away
        say(f"http://127.0.0.1:{listening.getsockname()[1]}/{token}/")
        config = uvicorn.Config(build_app(labelling, token), log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listening])


def _number(request: Request, labelling: Labelling) -> int:
    number = int(request.path_params["number"])
    if number >= len(labelling.videos):
        raise HTTPException(404)
    return number


def _apply(sheet: Sheet, number: int, asked: Mapping[str, Any]) -> bool:
    """Do what the page asks for; False where there is nothing to undo."""
    cells = {name: asked[name] for name in ("class", "onset", "apex", "offset", "point") if name in asked}
    if asked["op"] == "undo":
        return sheet.undo()
    if asked["op"] == "add":
        sheet.add({**cells, "video": number})
    elif asked["op"] == "change":
        sheet.change(asked["id"], **cells)
    elif asked["op"] == "delete":
        sheet.delete(asked["id"])
    else:
        raise InputError(f"{asked['op']!r} is not known")
    return True


def _state(labelling: Labelling, number: int) -> dict[str, Any]:
    motion, rows = labelling.motion(number), labelling.sheet.of(number)
    candidates = [{**asdict(item), "state": fate(item, rows)} for item in motion.candidates]
    beside = [row for row in labelling.beside if row["video"] == number]
    return {"rows": rows, "beside": beside, **asdict(motion), "candidates": candidates}


def fate(candidate: Candidate, rows: Sequence[Row]) -> str:
    """Return what the sheet says of a candidate: ``accepted``, ``rejected`` or ``open``.

    It is accepted where its interval holds the one frame of an expression, rejected where its apex is in a neutral stretch.
    """
    for row in rows:
        if row["class"] != NEUTRAL and candidate.onset <= click_of(row) <= candidate.offset:
            return "accepted"
    for row in rows:
        if row["class"] == NEUTRAL and row["onset"] <= candidate.apex <= row["offset"]:
            return "rejected"
    return "open"
