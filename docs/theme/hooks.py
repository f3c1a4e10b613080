"""Hooks of MkDocs: pages from outside of this folder, the reference of commands, equations as MathML.

README, CHANGELOG, CONTRIBUTING and config/README.md are pages of the site where they lie; links between all pages are
rewritten to what they are called there. A link to a file that is no page (a module, a configuration) becomes plain text.
"""

import html
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md",
    "config/README.md": "datasets.md",
}  # fmt: skip
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)

NAME = re.compile(r"(?<=<td><code>)[\w.]+(?=</code></td>)|(?<=<th><code>)[\w.]+(?=</code></th>)")
NUMBER = re.compile(r"<mtext>\([\d, ]+\)</mtext>")  # of an equation, behind it


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere or are made."""
    for source, page in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, "commands.md", content=commands()))
    return files


def commands() -> str:
    """Return the reference of all commands of ``pfes``, made from the program itself."""
    import typer
    from typer.cli import get_docs_for_click

    from pfes.commands.cli import app

    command = typer.main.get_command(app)
    text = str(get_docs_for_click(obj=command, ctx=typer.Context(command), name="pfes", title="Commands"))
    for name, one in command.commands.items():  # typer cuts what each command is for
        text = text.replace(
            f"* `{name}`: {one.get_short_help_str()}", f"* `{name}`: {' '.join((one.help or '').split())}", 1
        )
    return text


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Rewrite the links of a page."""
    pages = {name: source for source, name in ELSEWHERE.items()}
    here = posixpath.dirname(pages.get(page.file.src_uri, f"docs/{page.file.src_uri}"))
    return LINK.sub(lambda match: _link(*match.groups(), here=here, files=files), markdown)


def _link(image: str, text: str, target: str, *, here: str, files: Files) -> str:
    path, _, anchor = target.partition("#")
    if not path or "://" in path or path.startswith("mailto:"):
        return f"{image}[{text}]({target})"
    place = posixpath.normpath(posixpath.join(here, path))
    page = ELSEWHERE.get(place, place.removeprefix("docs/"))
    if files.get_file_from_path(page) is None:
        return text
    return f"{image}[{text}]({page}{'#' if anchor else ''}{anchor})"


def on_page_content(content: str, **_: Any) -> str:
    """Turn the equations of a page into MathML, which browsers draw without a script; an empty header cell is none.

    A name in a table may break behind its dots and underscores, and nowhere else.
    """
    content = content.replace("<th></th>", "<td></td>")
    content = NAME.sub(lambda match: re.sub(r"([._])(?=\w)", r"\1<wbr>", match[0]), content)
    return FORMULA.sub(lambda match: _mathml(html.unescape(match[2]), block=match[1] == "div"), content)


def _mathml(formula: str, *, block: bool) -> str:
    if not block:
        return str(convert(formula))
    made = NUMBER.sub(r'<mspace width="2em"/>\g<0>', convert(formula, display="block"))
    return f'<div class="equation" tabindex="0">{made}</div>'
