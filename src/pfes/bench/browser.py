"""A headless Chromium, to test and measure the report in a real browser: Playwright drives the one that is installed.

Conventions
-----------
Lengths are CSS px; times are seconds. What the page asks for and complains about is kept while it runs: ``requests`` (URLs)
and ``complaints`` (console errors and warnings, exceptions).
"""

import atexit
import shutil
import time
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pfes.base.errors import InputError

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LONGEST = 16_000  # px of a page that a picture shows


def find_browser() -> str | None:
    """Return the path of an installed Chromium or Chrome, None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


@cache
def chromium() -> Any:
    """Return the running browser of this process (playwright.sync_api.Browser), started by the first call.

    Raises
    ------
    InputError
        No Chromium is installed, or Playwright is not.
    """
    executable = find_browser()
    if executable is None:
        raise InputError(f"no browser found; expected one of {', '.join(NAMES)}; install it: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise InputError("playwright is not installed; install it with: pip install playwright") from error
    playwright = sync_playwright().start()  # there can be one in a process
    atexit.register(playwright.stop)
    return playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])


class Browser:
    """One page of the browser; a context manager that closes it. ``page`` is Playwright's. Raises as ``chromium``."""

    def __init__(self, *, width: int = 1280, height: int = 900) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page = chromium().new_page(viewport={"width": width, "height": height})
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._note)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.page.close()

    def open(self, page: Path | str, fragment: str = "") -> float:
        """Load a file and wait for its load event; return the seconds that took.

        A page that is open already is loaded anew, also where only the fragment differs.
        """
        self.page.goto("about:blank")
        start = time.perf_counter()
        self.page.goto(Path(page).resolve().as_uri() + fragment)
        return time.perf_counter() - start

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page; a promise is awaited."""
        return self.page.evaluate(expression)

    def settle(self) -> None:
        """Wait until the page has drawn what was asked for: two animation frames."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window."""
        self.page.set_viewport_size({"width": width, "height": height})

    def emulate(self, *, dark: bool = False, printed: bool = False) -> None:
        """Set what the system prefers, dark colours or not (motion is always reduced), and whether it prints."""
        self.page.emulate_media(
            color_scheme="dark" if dark else "light", reduced_motion="reduce", media="print" if printed else "screen"
        )

    def press(self, key: str) -> None:
        """Press and release a key, by its name in the browser or its character."""
        self.page.keyboard.press(key)

    def wheel(self, x: float, y: float, distance: float) -> None:
        """Turn the mouse wheel at (x, y) by ``distance``, down positive."""
        self.page.mouse.move(x, y)
        self.page.mouse.wheel(0, distance)

    def screenshot(self, path: Path | str, *, whole: bool = False) -> Path:
        """Write what the window shows (``whole``: the full length of the page) as PNG and return the path."""
        if not whole:
            self.page.screenshot(path=path)
            return Path(path)
        width, height = self.evaluate("[innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, LONGEST)}
        self.page.screenshot(path=path, full_page=True, clip=clip)
        return Path(path)

    def pdf(self, path: Path | str) -> Path:
        """Print the page as PDF (A4) and return the path."""
        self.page.pdf(path=path, format="A4", print_background=True)
        return Path(path)

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning", "assert"):
            self.complaints.append(message.text)
