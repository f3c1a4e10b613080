"""Read label sheets as they are: Excel files, and CSV in the encodings and with the separators that programs write.

Row numbers are the sheet's own, as a spreadsheet program shows them: the first row is 1, blank rows count.
"""

import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from pfes.base.errors import InputError

HEADER_ROWS = 50  # rows among which a header is looked for
ENGINES: dict[bytes, Literal["openpyxl", "xlrd"]] = {b"PK\x03\x04": "openpyxl", b"\xd0\xcf\x11\xe0": "xlrd"}
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
NO_VALUE = {
    "",
    "na",
    "n/a",
    "#n/a",
    "nan",
    "none",
    "null",
    "nil",
    "-",
    "--",
    "\N{EN DASH}",
    "\N{EM DASH}",
    "/",
    "?",
    ".",
}
log = logging.getLogger(__name__)
ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


def read_excel(path: Path | str) -> dict[str, pd.DataFrame]:
    """Return the sheets of an Excel file by name, in order; cells as they are, empty ones None, index the row number.

    Raises
    ------
    InputError
        The file is missing, locked, protected, cut short or no Excel file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such label file; expected the Excel file of the release; correct dataset.labels")
    try:
        content = path.read_bytes()
        if content[:4] not in ENGINES:
            raise ValueError("it does not begin like an Excel file")
        with pd.ExcelFile(io.BytesIO(content), engine=ENGINES[content[:4]]) as book:
            sheets = {str(name): book.parse(name, header=None, dtype=object) for name in book.sheet_names}
    except PermissionError as error:
        raise InputError(f"{path}: locked or not yours to read ({error}); close it in Excel and rerun") from error
    except Exception as error:  # the engines raise their own kinds, zip and XML errors
        raise InputError(
            f"{path}: cannot be read as Excel ({error}); it is cut short, protected by a password or no Excel file;"
            " copy it again, or open it and save it without password"
        ) from error
    return {name: _numbered(cells) for name, cells in sheets.items()}


def with_header(cells: pd.DataFrame, columns: tuple[str, ...], name: str) -> pd.DataFrame:
    """Return the rows below the header of a sheet, the header's names as columns (lower case, no spaces around).

    The header is the first row that holds all of ``columns``; whatever stands above is free text. ``name`` is the
    sheet's, for the message if there is none.
    """
    for row, values in cells.head(HEADER_ROWS).iterrows():
        names = [text(value).lower() for value in values]
        if set(columns) <= set(names):
            below = cells.loc[cells.index > row].set_axis(names, axis=1)
            return below.loc[:, [bool(item) for item in names]].dropna(how="all")
    raise InputError(
        f"{name}: no header with {', '.join(columns)} in its first {min(HEADER_ROWS, len(cells))} rows;"
        " expected the sheet of the release"
    )


def read_csv(path: Path) -> pd.DataFrame:
    """Return the rows of a CSV file as text, empty cells as "", index the row number of the file (a plain header is row 1).

    UTF-8 with or without byte order mark and UTF-16 are read, separated by commas, semicolons or tabs, or as a first line
    ``sep=;`` says. Lines that begin with # are comments, passed over with a warning; so are empty columns without a name.

    Raises
    ------
    InputError
        Another encoding, an Excel file, rows that do not fit the header, or a column without a name that is not empty.
    """
    content = path.read_bytes()
    if content[:4] in ENGINES:
        raise InputError(f"{path}: this is an Excel file; expected CSV or Parquet; save it as CSV in UTF-8")
    encoding = next((name for mark, name in ENCODINGS.items() if content.startswith(mark)), "utf-8")
    try:
        text, above, separator = _plain(path, content.decode(encoding))
        table = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            dtype=str,
            keep_default_na=False,
            index_col=False,
            skip_blank_lines=False,
        )
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error}); save it as CSV in UTF-8") from error
    table = table.fillna("").set_axis(range(above + 2, above + len(table) + 2))
    return _named_columns(path, table[(table != "").any(axis=1)])


def _plain(path: Path, text: str) -> tuple[str, int, str]:
    """Return the text from the header on, comments blanked, the number of lines above it, and its separator."""
    lines = re.split(r"\r\n|\n|\r", text)
    declared = re.fullmatch(r"sep=(.)", lines[0].strip(), re.I)
    comments = [i for i, line in enumerate(lines) if line.lstrip().startswith("#")]
    if comments:
        log.warning(
            "%s: %d lines that begin with # are passed over, the first is line %d", path, len(comments), comments[0] + 1
        )
    for i in comments:
        lines[i] = ""
    above = int(declared is not None)
    if above or comments:
        above += next((i for i, line in enumerate(lines[above:]) if line.strip()), 0)
    header = lines[above] if above < len(lines) else ""
    return "\n".join(lines[above:]), above, declared[1] if declared else max(",;\t", key=header.count)


def _named_columns(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that have a name, if the others are empty."""
    unnamed = [column for column in table.columns if re.fullmatch(r"(Unnamed: \d+|\s*)(\.\d+)?", str(column))]
    for column in unnamed:
        filled = table.index[table[column].str.strip() != ""]
        if len(filled):
            raise InputError(
                f"{path}: row {filled[0]} holds {table.at[filled[0], column]!r} in a column without a name; name or empty it"
            )
    return table.drop(columns=unnamed)


def rows(cells: pd.DataFrame) -> Iterator[tuple[int, dict[Any, Any]]]:
    """Yield (row number, cells by column) of every row of a sheet."""
    yield from zip(cells.index.tolist(), cells.to_dict("records"), strict=True)


def text(cell: Any) -> str:
    """Return a cell as text without spaces around; "" for an empty one, no decimals for a whole number."""
    if cell is None or cell is pd.NaT or cell != cell:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()


def number(cell: Any) -> float | None:
    """Return a cell that holds a number, as number or as text (29.97 or 29,97); None for any other.

    Digits only, with a sign, a decimal point or comma and an exponent: 1_0 is no number, nor is 1,000, which may be one or a
    thousand.
    """
    written = text(cell)
    if not NUMBER.fullmatch(written) or re.fullmatch(r"[+-]?\d+,\d{3}", written):
        return None
    value = float(written.replace(",", "."))
    return value if abs(value) < 2**53 else None  # not infinite


def whole(cell: Any) -> int | None:
    """Return a cell that holds a whole number, such as 30, 30.0 or 30,0; None for any other."""
    value = number(cell)
    return int(value) if value is not None and value.is_integer() else None


def blank(cell: str) -> bool:
    """Return whether a cell says that there is no value: empty, NA, n/a, NaN, none, null, a dash, a slash or a question mark."""
    return cell.strip().lower() in NO_VALUE


def _numbered(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.set_axis(range(1, len(cells) + 1)).astype(object).where(cells.notna().to_numpy(), None)
