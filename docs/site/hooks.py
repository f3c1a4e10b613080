"""What MkDocs does besides: pages that come from elsewhere in the repository or from the code, and equations as MathML."""

import html
import re
import subprocess
import sys
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
# Page of the site -> file of the repository.
BORROWED = {
    "index.md": "README.md",
    "recordings.md": "config/README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
PAGES = {source: page for page, source in BORROWED.items()}
EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)
COMMANDS = (  # what latex2mathml does not know, in words that it knows
    (re.compile(r"\\arg\s*\\max"), r"\\operatorname{arg max}"),
    (re.compile(r"\\arg\s*\\min"), r"\\operatorname{arg min}"),
    (re.compile(r"\\tag\{([^}]*)\}"), r"\\qquad\\text{(\1)}"),
)
LINK = re.compile(r"\]\(([^)#:]+)(#[^)]*)?\)")


def on_files(files, config):
    """Add the pages that do not lie in docs."""
    for page, source in BORROWED.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, "commands.md", content=commands()))
    return files


def commands():
    """Return the reference of the command line, from its own help."""
    command = [
        sys.executable,
        "-m",
        "typer",
        "pfes.commands.cli",
        "utils",
        "docs",
        "--name",
        "pfes",
        "--title",
        "Commands",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def on_page_markdown(markdown, page, config, files):
    """Let links lead to pages of the site; a link to any other file of the repository becomes its name."""
    folder = (ROOT / BORROWED.get(page.file.src_uri, f"docs/{page.file.src_uri}")).parent

    def target(match):
        path, anchor = match.group(1), match.group(2) or ""
        try:
            source = (folder / path).resolve().relative_to(ROOT).as_posix()
        except ValueError:
            return match.group(0)
        name = PAGES.get(source, source.removeprefix("docs/"))
        return f"]({name}{anchor})" if files.get_file_from_path(name) else "]"

    return LINK.sub(target, markdown)


def on_page_content(content, page, config, files):
    """Replace every equation by MathML, which browsers draw without a script, and empty headings of tables by cells."""
    content = content.replace("<th></th>", "<td></td>")  # a heading without a text is none
    return EQUATION.sub(lambda found: mathml(html.unescape(found.group(3)), block=found.group(2) == "["), content)


def mathml(latex, *, block):
    """Return an equation as MathML; a command that the converter does not know stops the build."""
    for command, known in COMMANDS:
        latex = command.sub(known, latex)
    made = convert(latex, display="block" if block else "inline")
    if re.search(r">[^<]*\\[^<]*<", made):
        raise ValueError(f"docs/site/hooks.py: {latex} holds a command that has no MathML; add it to COMMANDS")
    return made


def on_post_build(config):
    """Give the search its index as a script too: a page that is opened as a file may not read the other one."""
    index = Path(config["site_dir"]) / "search/search_index.json"
    index.with_suffix(".js").write_text(f"var __index = {index.read_text(encoding='utf-8')}", encoding="utf-8")
