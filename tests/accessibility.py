"""What axe-core finds wrong with the page that a browser shows."""

import importlib.util
from pathlib import Path

from pfes.bench.browser import Browser

FOUND = "axe.run().then(found => found.violations.map(one => `${one.id}: ${one.nodes.map(node => node.html).join(' ').slice(0, 200)}`))"


def violations(chromium: Browser) -> list[str]:
    """Return a line for every rule of axe-core that the page breaks; its script comes with a package."""
    found = importlib.util.find_spec("axe_playwright_python")
    assert found is not None and found.origin is not None
    chromium.evaluate(Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8") + ";0")
    return list(chromium.evaluate(FOUND))
