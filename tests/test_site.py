"""The documentation as a site: it builds without a warning, needs no network, and its examples run."""

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pfes.bench import browser
from tests.axe import violations

ROOT = Path(__file__).parents[1]
WITH_EXAMPLES = sorted(path for path in (ROOT / "src/pfes").rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, check=True, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    return folder


def test_no_page_asks_the_network_for_anything(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        text = page.read_text(encoding="utf-8")
        asked = re.findall(r'<(?:script|img|iframe|source)[^>]*\ssrc="(?:https?:)?//[^"]*"', text)
        asked += re.findall(r'<link[^>]*rel="(?:stylesheet|preconnect|icon)"[^>]*href="(?:https?:)?//[^"]*"', text)
        assert not asked, page.name


@pytest.mark.skipif(browser.find_browser() is None, reason="no browser is installed")
@pytest.mark.parametrize("name", ["index", "method", "commands", "python"])
def test_axe_finds_nothing_and_nothing_is_wider_than_a_phone(site, name):
    with browser.Browser(width=390, height=844) as opened:
        opened.open(site / f"{name}.html")
        assert opened.complaints == []
        assert [url for url in opened.requests if not url.startswith(("file:", "data:", "about:", "blob:"))] == []
        assert violations(opened.page) == []
        assert opened.evaluate("document.documentElement.scrollWidth") <= 390


def test_equations_are_mathml_and_none_is_left_as_tex(site):
    method = (site / "method.html").read_text(encoding="utf-8")
    assert method.count("<math") > 300
    assert "arithmatex" not in method and r"\operatorname" not in method


def test_every_command_and_option_is_in_the_reference(site):
    from typer.main import get_command

    from pfes.commands.cli import app

    text = (site / "commands.html").read_text(encoding="utf-8")
    for name, command in get_command(app).commands.items():
        assert f"pfes {name}" in text
        for parameter in command.params if not hasattr(command, "commands") else ():
            for option in parameter.opts if parameter.param_type_name == "option" else ():
                assert option in text, f"{name} {option}"


def test_every_page_of_the_repository_that_is_linked_is_a_page_of_the_site(site):
    index = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="datasets.html"' in index and 'src="images/report.png"' in index
    assert 'href="files.html"' in (site / "datasets.html").read_text(encoding="utf-8")


def test_examples_of_the_page_on_python_run():
    assert doctest.testfile(str(ROOT / "docs/python.md"), module_relative=False).failed == 0


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_examples_of_docstrings_run(path):
    module = importlib.import_module(".".join(path.relative_to(ROOT / "src").with_suffix("").parts))
    found = doctest.testmod(module, extraglobs={"np": np})
    assert found.attempted > 0 and found.failed == 0
