"""Read label sheets as they are: Excel files, and CSV in the encodings and with the separators that programs write.

Row numbers are the sheet's own, as a spreadsheet program shows them: the first row is 1, blank rows count.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from pfes.base.errors import InputError

HEADER_ROWS = 50  # rows among which a header is looked for
ENGINES: dict[bytes, Literal["openpyxl", "xlrd"]] = {b"PK\x03\x04": "openpyxl", b"\xd0\xcf\x11\xe0": "xlrd"}
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
    """Return the rows of a CSV file as text, empty cells as "", index the row number (the header is row 1).

    UTF-8 with or without byte order mark and UTF-16 are read, separated by commas, semicolons or tabs.

    Raises
    ------
    InputError
        Another encoding, or rows that do not fit the header.
    """
    content = path.read_bytes()
    encoding = next((name for mark, name in ENCODINGS.items() if content.startswith(mark)), "utf-8")
    try:
        decoded = content.decode(encoding)
        separator = max(",;\t", key=decoded.split("\n", 1)[0].count)
        table = pd.read_csv(
            io.StringIO(decoded),
            sep=separator,
            dtype=str,
            keep_default_na=False,
            index_col=False,
            skip_blank_lines=False,
        )
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read as CSV ({error}); save it as CSV in UTF-8") from error
    table = table.fillna("").set_axis(range(2, len(table) + 2))
    return table[(table != "").any(axis=1)]


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
    """Return a cell that holds a number, as number or as text; None for any other."""
    try:
        value = float(text(cell))
    except ValueError:
        return None
    return value if abs(value) < 2**53 else None  # not infinite, not NaN


def _numbered(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.set_axis(range(1, len(cells) + 1)).astype(object).where(cells.notna().to_numpy(), None)
