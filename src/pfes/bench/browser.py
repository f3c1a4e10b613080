"""Drive a headless Chromium, to test and measure the report in a real browser; needs no package but the browser.

Conventions
-----------
Chromium speaks its DevTools protocol over two pipes (file descriptors 3 and 4 of its process): JSON messages, each ended
by a NUL byte. Lengths are CSS px; times are seconds. What the page asks for and complains about is kept while it runs:
``requests`` (URLs) and ``complaints`` (console errors, exceptions and entries of the browser's log).

References
----------
https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pfes.base.errors import InputError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--remote-debugging-pipe",
)  # fmt: skip
KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Tab": 9, "Escape": 27, "Home": 36}


def find_browser() -> str | None:
    """Return the path of an installed Chromium or Chrome, None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One page of a headless Chromium; a context manager that ends the browser and removes its profile.

    Raises
    ------
    InputError
        No Chromium is installed, or it does not answer in time.
    """

    def __init__(self, *, width: int = 1280, height: int = 900, timeout: float = 60.0) -> None:
        executable = find_browser()
        if executable is None:
            raise InputError(
                f"no browser found; expected one of {', '.join(NAMES)}; install it: apt-get install chromium"
            )
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._timeout, self._number, self._buffer = timeout, 0, b""
        self._loaded: set[str] = set()  # loaders (one per navigation) whose page has loaded
        self._profile = tempfile.TemporaryDirectory(prefix="pfes-browser-", ignore_cleanup_errors=True)
        self._process, self._to, self._from = _start([executable, *FLAGS, f"--user-data-dir={self._profile.name}"])
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)
        self.resize(width, height)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and remove its profile."""
        os.close(self._to)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._from)
        self._profile.cleanup()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command of the protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    def open(self, page: Path | str, fragment: str = "") -> float:
        """Load a file and wait for its load event; return the seconds that took.

        A page that is open already is loaded anew, also where only the fragment differs.
        """
        self._load("about:blank")
        start = time.perf_counter()
        self._load(Path(page).resolve().as_uri() + fragment)
        return time.perf_counter() - start

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page; a promise is awaited."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            details = found["exceptionDetails"]
            raise RuntimeError(f"{expression}: {details.get('exception', {}).get('description', details['text'])}")
        return found["result"].get("value")

    def settle(self) -> None:
        """Wait until the page has drawn what was asked for: two animation frames."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def emulate(self, *, dark: bool = False, still: bool = True, media: str = "") -> None:
        """Set what the system prefers: dark colours, reduced motion; ``media`` may be ``print``."""
        scheme, motion = ("dark" if dark else "light"), ("reduce" if still else "no-preference")
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)

    def press(self, key: str) -> None:
        """Press and release a key: a name in KEYS, or one character."""
        code, text = KEYS.get(key, 0), "\r" if key == "Enter" else key if len(key) == 1 else ""
        shared = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **shared)
        self.call("Input.dispatchKeyEvent", type="keyUp", **shared)

    def wheel(self, x: float, y: float, distance: float) -> None:
        """Turn the mouse wheel at (x, y) by ``distance``, down positive."""
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=distance)

    def screenshot(self, path: Path | str, *, whole: bool = False) -> Path:
        """Write what the window shows (``whole``: the full length of the page) as PNG and return the path."""
        options: dict[str, Any] = {"format": "png", "captureBeyondViewport": whole}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            options["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000), "scale": 1}
        path = Path(path)
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **options)["data"]))
        return path

    def pdf(self, path: Path | str) -> Path:
        """Print the page as PDF (A4) and return the path."""
        found = self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=True)
        Path(path).write_bytes(base64.b64decode(found["data"]))
        return Path(path)

    def _load(self, url: str) -> None:
        """Go to ``url`` and wait for the load event of that navigation; the one before may still have its own to come."""
        loader = self.call("Page.navigate", url=url)["loaderId"]
        while loader not in self._loaded:
            self._read()

    def _read(self) -> dict[str, Any]:
        """Read one message; keep what it says about requests and complaints."""
        while b"\0" not in self._buffer:
            if not select.select([self._from], [], [], self._timeout)[0]:
                raise InputError(f"the browser did not answer within {self._timeout:g} s; is the machine overloaded?")
            block = os.read(self._from, 1 << 20)
            if not block:
                raise InputError("the browser ended before it answered; does it start from a terminal?")
            self._buffer += block
        line, self._buffer = self._buffer.split(b"\0", 1)
        message = dict(json.loads(line))
        if "method" in message:
            self._note(message["method"], message["params"])
        return message

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.lifecycleEvent":
            if params["name"] == "load":
                self._loaded.add(params["loaderId"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(" ".join(str(item.get("value", item.get("description"))) for item in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(params["entry"]["text"])


def _start(command: list[str]) -> tuple[subprocess.Popen[bytes], int, int]:
    """Start ``command`` with pipes as its descriptors 3 and 4; return process, descriptor to write to and to read from."""
    to_child, from_child = os.pipe(), os.pipe()
    read_end, write_end = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (to_child[0], from_child[1]))

    def place() -> None:
        os.dup2(read_end, 3)
        os.dup2(write_end, 4)

    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, stdin=quiet, stdout=quiet, stderr=quiet, close_fds=False, preexec_fn=place, start_new_session=True
    )
    for descriptor in (read_end, write_end, to_child[0], from_child[1]):
        os.close(descriptor)
    return process, to_child[1], from_child[0]
