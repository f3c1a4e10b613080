"""A label page of the real command in a real browser."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from pfes.bench import browser


@contextmanager
def serving(*arguments, folder):
    """Run ``pfes label`` in ``folder``; the value is the page's address."""
    command = [sys.executable, "-c", "from pfes.commands.cli import main; main()", "label", *map(str, arguments)]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        line = process.stdout.readline()
        assert line.startswith("label page: http://127.0.0.1:"), process.stderr.read()
        yield line.split()[-1]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="session")
def chromium():
    """Debian's Chromium, driven by Playwright."""
    if browser.find_browser() is None:
        pytest.skip(f"no browser: none of {', '.join(browser.NAMES)} is installed")
    return browser.chromium()
