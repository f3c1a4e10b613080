"""The documentation as a site: it builds without a warning, asks the network for nothing, and its references are the code's."""

import html
import os
import re
import subprocess
import sys

import pytest
import typer

from pfes.base.schema import settings_of
from pfes.bench import browser
from pfes.commands.cli import app
from pfes.workflow.settings import Settings
from tests.accessibility import violations
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site; a warning of MkDocs, such as a link that leads nowhere, is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.html")}, folder


def test_no_page_loads_anything_from_elsewhere(site):
    loaded = re.compile(
        r"<(?:script|img|iframe|source|video)[^>]*\ssrc=\"(?:https?:)?//|<link[^>]*\shref=\"(?:https?:)?//"
    )
    assert {name: loaded.findall(text) for name, text in site[0].items() if loaded.search(text)} == {}


def test_every_equation_is_mathml(site):
    page = site[0]["method.html"]
    source = (ROOT / "docs/method.md").read_text(encoding="utf-8")
    assert page.count("<math") == len(re.findall(r"\$\$.*?\$\$|\$[^$\n]+(?:\n[^$\n]+)?\$", source, re.S)) > 200
    assert not any("arithmatex" in text for text in site[0].values())


def test_the_command_reference_has_every_command_and_option(site):
    page = html.unescape(re.sub(r"<[^>]+>", "", site[0]["commands.html"]))
    for name, command in typer.main.get_command(app).commands.items():
        assert f"pfes {name}" in page
        for option in command.params:
            assert all(text in page for text in option.opts if text.startswith("--")), (name, option.opts)


def test_the_settings_reference_has_every_setting(site):
    assert all(f"<code>{setting.path}</code>" in site[0]["settings.html"] for setting in settings_of(Settings()))


def test_every_page_of_the_documentation_is_in_the_menu(site):
    menu = set(re.findall(r'href="(\w+\.html)" class="md-nav__link"', site[0]["404.html"].replace('href="/', 'href="')))
    assert {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")} <= menu | set(
        re.findall(r'href="(\w+\.html)"', site[0]["index.html"])
    )


@pytest.mark.skipif(
    browser.find_browser() is None, reason=f"no browser: none of {', '.join(browser.NAMES)} is installed"
)
def test_a_page_opened_as_a_file_asks_for_nothing(site):
    with browser.Browser() as chromium:
        chromium.open(site[1] / "method.html")
        chromium.settle()
        assert [url for url in chromium.requests if not url.startswith(("file:", "data:", "about:", "blob:"))] == []
        assert violations(chromium) == []
        assert chromium.evaluate("document.querySelector('math').getBoundingClientRect().width") > 0
