"""Small copies of the official layouts on disk: folders of tiny images and label files with rows as released."""

import cv2
import numpy as np
import pandas as pd
import pytest

from pfes import datasets
from pfes.base import store
from pfes.media.decode import SamplingParameters

JPEG = cv2.imencode(".jpg", np.full((8, 8, 3), 90, np.uint8))[1].tobytes()


def images(folder, names, bad=()):
    """Write a tiny image for every name; those in ``bad`` cannot be read."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"no image" if name in bad else JPEG)


def workbook(path, *sheets):
    """Write sheets, lists of rows, to an Excel file without any header of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pd.ExcelWriter(path, engine="openpyxl") as writer:
        for index, rows in enumerate(sheets):
            pd.DataFrame(rows).to_excel(writer, sheet_name=f"sheet {index}", header=False, index=False)
    return path


def old_workbook(path, *sheets):
    """Write sheets of text cells to an Excel file of the kind before 2007 (.xls)."""
    xlwt = pytest.importorskip("xlwt")
    book = xlwt.Workbook()
    for index, rows in enumerate(sheets):
        cells = book.add_sheet(f"sheet {index}")
        for row, values in enumerate(rows):
            for column, value in enumerate(values):
                cells.write(row, column, str(value))
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(str(path))
    return path


def tables(name, settings, out):
    """Load a dataset, write its tables and return them by kind."""
    release = datasets.load(name, settings)
    datasets.write_dataset(release, out, SamplingParameters(), settings)
    return {path.stem: store.read_table(path, path.stem) for path in out.glob("*.parquet")}


def frames(table, *, native=False):
    """Return [onset, apex, offset] of every row."""
    names = ["onset", "apex", "offset"]
    return table[[f"native_{name}" for name in names] if native else names].to_numpy().tolist()


def changes(table):
    """Return (row, column, found, value, rule) of every repair."""
    return [tuple(row) for row in table[["row", "column", "found", "value", "rule"]].to_numpy().tolist()]
