"""Every command line in the documents is one that the programs accept: command, options and values exist."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from snakemake.cli import get_argument_parser
from typer.main import get_command

from pfes.commands.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^(?:```(?:sh|bash|shell|console|)\n(.*?)^```|((?:^    .*\n)+))", re.DOTALL | re.MULTILINE)
PROGRAM = re.compile(r"^\s*(?:\$ )?(?:\.venv/bin/)?(pfes|snakemake|make) ")


def lines() -> list[tuple[str, str]]:
    """Return (page, line) of each command line of the documents."""
    found = []
    for page in PAGES:
        for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
            text = (block[1] or block[2]).replace("\\\n", " ")
            found += [(page.name, line.strip()) for line in text.splitlines() if PROGRAM.match(line)]
    return found


def test_documents_have_command_lines_of_each_program() -> None:
    programs = [PROGRAM.match(line)[1] for _, line in lines()]
    assert len(programs) > 40 and set(programs) == {"pfes", "snakemake", "make"}


@pytest.mark.parametrize(("page", "line"), lines())
def test_a_command_line_is_accepted(page: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *words = shlex.split(re.sub(r"^\$ |[][]", "", line), comments=True)
    program = Path(program).name
    if program == "make":
        targets = re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert words[0] in targets
    elif program == "snakemake":
        get_argument_parser().parse_args(words)
        for number, word in enumerate(words):
            if word in ("--workflow-profile", "--configfile") and words[number + 1].startswith(
                ("workflow/", "config/")
            ):
                assert (ROOT / words[number + 1]).exists()
    else:
        monkeypatch.setattr(Path, "exists", lambda path: True)  # its files are the reader's
        command: Any = get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context(command.name, words)  # reads the words, runs nothing
