"""Pictures of a report, wide and narrow, light and dark: to look at after a change, and those that the README shows."""

import time
from pathlib import Path

from pfes.base.errors import InputError
from pfes.bench.browser import Browser

WIDE, NARROW = (1280, 900), (390, 844)  # px
# name -> address within the page, and what to do there
PLACES = {
    "overview": ("", ""),
    "video": (
        "#/video/{video}",
        "document.querySelectorAll('.tools [aria-pressed]').forEach(button => button.click())",
    ),
    "subject": ("#/subject/{subject}", ""),
}


def take_screenshots(page: Path | str, folder: Path | str, *, whole: bool = False) -> list[Path]:
    """Write ``{place}_{wide|narrow}_{light|dark}.png`` for every place of PLACES and return the paths in order.

    ``whole``: the full length of the page, else what a window shows. The video is the one with the most mistakes of the
    first experiment among those that were used.

    Raises
    ------
    InputError
        There is no such page, or no Chromium is installed.
    """
    page, folder = Path(page), Path(folder)
    if not page.is_file():
        raise InputError(f"{page}: no such file; expected the report of a run, such as results/demo/report.html")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with Browser() as browser:
        browser.open(page)
        worst = browser.evaluate(
            "(() => { const used = index.videos.filter(video => video.refused === null);"
            " const wrong = video => video.counts.length ? video.counts[0][1] + video.counts[0][2] : 0;"
            " const worst = used.reduce((a, b) => wrong(b) > wrong(a) ? b : a, used[0]);"
            " return worst && [encodeURIComponent(worst.id), encodeURIComponent(worst.subject)]; })()"
        )
        for size, (width, height) in {"wide": WIDE, "narrow": NARROW}.items():
            browser.resize(width, height)
            for colours in ("light", "dark"):
                browser.emulate(dark=colours == "dark")
                for name, (address, action) in PLACES.items():
                    if address and not worst:
                        continue
                    visit(browser, page, address.format(**dict(zip(("video", "subject"), worst or (), strict=False))))
                    if action:
                        browser.evaluate(action)
                        browser.settle()
                    written.append(browser.screenshot(folder / f"{name}_{size}_{colours}.png", whole=whole))
    return written


def visit(browser: Browser, page: Path | str, address: str = "", timeout: float = 30.0) -> None:
    """Load the page at an address within it, and wait until its view and its list of errors are drawn."""
    browser.open(page, address)
    browser.evaluate("started")
    deadline = time.monotonic() + timeout
    if address.startswith("#/"):
        drawn = "document.querySelector('#view .timeline svg, #view .note') !== null"
        while not browser.evaluate(drawn):
            if time.monotonic() > deadline:
                raise InputError(f"{page}{address}: nothing was drawn within {timeout:g} s")
            time.sleep(0.02)
    browser.settle()
