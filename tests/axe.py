"""What axe-core finds in a page."""

from axe_playwright_python.sync_playwright import Axe


def violations(page) -> list[str]:
    """Return what axe-core finds against WCAG and its own best practices in a page of Playwright's, with the element."""
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {node['html'][:100]} {node['failureSummary']}" for rule in found for node in rule["nodes"]]
