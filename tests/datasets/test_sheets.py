"""Cells and sheets as spreadsheet programs and people write them."""

import logging

import pytest

from pfes import datasets
from pfes.base.errors import InputError
from pfes.datasets.sheets import blank, number, read_csv, whole

HEADER = "subject,video,onset,apex,offset,class\n"


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("30", 30), ("30.0", 30), ("30,0", 30), ("29,97", 29.97), ("-1", -1), ("+5", 5), ("1e3", 1000), (".5", 0.5),
        ("1_0", None), ("1,000", None), ("1 000", None), ("0x10", None), ("nan", None), ("inf", None), ("1.2.3", None),
        ("12:30", None), ("", None), ("1e300", None), (566.4, 566.4), (True, None),
    ],
)  # fmt: skip
def test_numbers(cell, value):
    assert number(cell) == value


def test_whole_numbers_and_cells_without_a_value():
    assert [whole(cell) for cell in ("30", "30.0", "30,0", "30.5", "1_0")] == [30, 30, 30, None, None]
    assert all(blank(cell) for cell in ("", " ", "NA", "n/a", "NaN", "-", "\N{EN DASH}", "/", "None", "?"))
    assert not any(blank(cell) for cell in ("0", "-1", "anna"))


def csv(folder, text, name="sheet.csv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\n1,2\n", {2: ["1", "2"]}),
        ("a,b,,\n1,2,,\n", {2: ["1", "2"]}),
        ("sep=;\na;b\n1;2\n", {3: ["1", "2"]}),
        ("\ufeffsep=|\r\na|b\r\n1|2\r\n", {3: ["1", "2"]}),
        ("# who: me\n# when\na,b\n1,2\n", {4: ["1", "2"]}),
        ("a,b\n# left out,x\n1,2\n\n3,4\n", {3: ["1", "2"], 5: ["3", "4"]}),
        ("a;b\r\n29,97;x\r\n", {2: ["29,97", "x"]}),
        ('a,b\n"29,97",x\n', {2: ["29,97", "x"]}),
        ("a,b\r1,2\r", {2: ["1", "2"]}),
    ],
)
def test_rows_keep_the_numbers_of_the_file(tmp_path, text, rows):
    table = read_csv(csv(tmp_path, text))
    assert list(table.columns) == ["a", "b"]
    assert {row: cells.tolist() for row, cells in table.iterrows()} == rows


def test_lines_passed_over_are_said(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        read_csv(csv(tmp_path, "a,b\n1,2\n#3,4\n"))
    assert "1 lines that begin with # are passed over, the first is line 3" in caplog.text


def test_a_value_in_a_column_without_a_name_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"row 3 holds 'x' in a column without a name"):
        read_csv(csv(tmp_path, "a,b,\n1,2,\n3,4,x\n"))


def test_an_excel_file_says_what_to_do(tmp_path):
    (tmp_path / "sheet.csv").write_bytes(b"PK\x03\x04 an Excel file")
    with pytest.raises(InputError, match="this is an Excel file; expected CSV or Parquet; save it as CSV in UTF-8"):
        read_csv(tmp_path / "sheet.csv")


def generic(folder, videos, expressions=HEADER, **settings):
    return datasets.load(
        "generic",
        {
            "videos": str(csv(folder, videos, "videos.csv")),
            "expressions": str(csv(folder, expressions, "e.csv")),
            **settings,
        },
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("anna,a,1_0,4_0,5_9,macro", r"row 2: onset '1_0', expected a frame number from 0 on"),
        ("anna,a,1.2,,2.5,macro", r"row 2: onset '1.2', expected a frame number from 0 on, not seconds"),
        ("anna,a,10,,20,1", r"row 2: class '1', expected macro, micro or neutral"),
        ("anna,a,NA,,20,macro", r"row 2: no frame: expected point, or apex, or both onset and offset"),
        ("Anna,a,1,,20,macro", r"row 2: subject 'Anna' has no video in the videos sheet"),
    ],
)
def test_labels_that_are_no_frames_are_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        generic(tmp_path, "subject,video,path\nanna,a,a.mp4\n", HEADER + rows + "\n")


@pytest.mark.parametrize(("rate", "message"), [("-30", "fps '-30', expected"), ("1_0", "fps '1_0' is not a number"), ("1e9", "fps '1e9', expected")])  # fmt: skip
def test_rates_that_cannot_be_are_refused(tmp_path, rate, message):
    with pytest.raises(InputError, match=rf"row 2: {message}"):
        generic(tmp_path, f"subject,video,path,fps\nanna,a,a.mp4,{rate}\n")


@pytest.mark.parametrize(("rate", "fps"), [("29,97", 29.97), ("", 0), ("0", 0), ("NA", 0), ("25", 25)])
def test_rates_as_people_write_them(tmp_path, rate, fps):
    assert generic(tmp_path, f'subject,video,path,fps\nanna,a,a.mp4,"{rate}"\n').videos[0].fps == fps


def test_classes_and_marks_as_people_write_them(tmp_path):
    rows = "anna,a,10,NA,20,Macro\nanna,a,30,-,34,ME\nanna,a,40,41.0,44,Micro - 1/2\n"
    release = generic(tmp_path, "subject,video,path\nanna,a,a.mp4\n", HEADER + rows)
    assert release.expressions["class"].tolist() == ["macro", "micro", "micro"]
    assert release.expressions["native_apex"].tolist() == [15, 32, 41]


def test_one_person_under_two_spellings(tmp_path):
    """An invisible character, or a decomposed letter, makes no second subject; a capital stops, unless it is meant."""
    same = "subject,video,path\nZo\u00eb,a,a.mp4\nZoe\u0308,b,b.mp4\nZo\u00eb\u200b,c,c.mp4\n"
    other = "ben,d,d.mp4\n"  # of one subject alone each recording would stand for one
    assert {video.subject for video in generic(tmp_path, same + other).videos} == {"Zo\u00eb", "ben"}
    alike = "subject,video,path\nanna,a,a.mp4\nAnna,b,b.mp4\n01,c,c.mp4\n1,d,d.mp4\n"
    with pytest.raises(InputError, match=r"'anna' and 'Anna', '01' and '1' look alike; .*dataset.distinct_names: true"):
        generic(tmp_path, alike)
    assert len({video.subject for video in generic(tmp_path, alike, distinct_names=True).videos}) == 4


@pytest.mark.parametrize(("typed", "stored"), [("Zo\u00eb.mp4", "Zoe\u0308.mp4"), ("Zoe\u0308.mp4", "Zo\u00eb.mp4")])
def test_a_path_is_found_however_its_letters_are_composed(tmp_path, typed, stored):
    (tmp_path / stored).touch()
    assert generic(tmp_path, f"subject,video,path\nz,a,{typed}\n").videos[0].path == str(tmp_path / stored)
