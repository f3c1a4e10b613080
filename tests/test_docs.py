"""The documents that code refers to: what they name exists, and what is cited is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
ANCHOR = re.compile(r'<a id="([^"]+)"></a>')


def glossary() -> list[list[str]]:
    """Return the rows (term, meaning, rooms) of the glossary."""
    lines = (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return rows[1:]


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_paths_and_links_of_a_document_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    named = re.findall(r"`((?:src|rules|workflow|config|tests|docs|envs)/[\w./-]*)`", text)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("http", "#"))]
    missing = [name for name in named if not (ROOT / name).exists()]
    missing += [link for link in links if not (path.parent / link.split("#")[0]).exists()]
    assert not missing


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_a_link_to_a_section_finds_its_anchor(path: Path) -> None:
    for name, anchor in re.findall(r"\]\(([\w.-]*)#([\w-]+)\)", path.read_text(encoding="utf-8")):
        target = (path.parent / name if name else path).read_text(encoding="utf-8")
        assert anchor in ANCHOR.findall(target), f"{path.name}: no anchor {anchor} in {name or path.name}"


def test_every_section_of_the_method_that_the_code_cites_has_an_anchor() -> None:
    anchors = ANCHOR.findall((ROOT / "docs/method.md").read_text(encoding="utf-8"))
    folders = ("src", "workflow", "rules", "tests")
    texts = [
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".smk", ".yaml")
    ]
    cited = {number for path in texts for number in re.findall(r"METHOD (\d+b?(?:\.\d+)?)", path.read_text("utf-8"))}
    assert {"5", "7.1", "7.4"} <= cited
    assert not [number for number in cited if f"s{number.replace('.', '-')}" not in anchors]


def test_terms_of_the_glossary_are_sorted_single_and_live_in_rooms() -> None:
    rows = glossary()
    terms = [term.lower() for term, _, _ in rows]
    assert len(rows) > 100
    assert terms == sorted(set(terms))
    for term, _, rooms in rows:
        assert rooms == "all" or all((ROOT / "src/pfes" / room).is_dir() for room in rooms.split(", ")), term


def test_the_list_of_rooms_is_that_of_the_folders() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    listed = [line.split()[0] for line in re.findall(r"```rooms\n(.*?)```", text, re.DOTALL)[0].splitlines()]
    folders = {path.parent.name for path in (ROOT / "src/pfes").glob("*/__init__.py")}
    assert len(listed) == len(set(listed))
    assert set(listed) == folders
