"""A sheet that is filled in: each change saved, undone, or refused with a reason."""

import csv

import pytest

from pfes.base.errors import InputError
from pfes.base.records import Video
from pfes.labelling.sheet import Sheet
from pfes.media.clock import Clock

VIDEOS = [Video("generic", "anna", "film", "a.mp4"), Video("generic", "ben", "film", "b.mp4")]


def opened(path):
    return Sheet(path, VIDEOS, [Clock(10.0)] * 2, [100, 50])


@pytest.fixture
def sheet(tmp_path):
    made = opened(tmp_path / "e.csv")
    yield made
    made.close()


def cells(sheet):
    with sheet.path.open() as file:
        return [
            [row[name] for name in ("subject", "class", "onset", "offset", "point")] for row in csv.DictReader(file)
        ]


def test_every_change_is_on_disk_at_once_and_can_be_undone(sheet):
    click = sheet.add({"video": 1, "class": "micro", "point": 7})
    sheet.add({"video": 0, "class": "macro", "point": 30})
    sheet.add({"video": 0, "class": "neutral", "onset": 0, "offset": 9})
    written = [["anna", "neutral", "0", "9", ""], ["anna", "macro", "", "", "30"], ["ben", "micro", "", "", "7"]]
    assert cells(sheet) == written
    sheet.change(click["id"], onset=5, offset=12)
    assert cells(sheet)[2] == ["ben", "micro", "5", "12", "7"]
    sheet.delete(click["id"])
    assert cells(sheet) == written[:2]
    assert sheet.undo() and sheet.undo() and cells(sheet) == written
    assert sheet.undo() and sheet.undo() and sheet.undo() and cells(sheet) == []
    assert not sheet.undo()


def test_a_sheet_opens_again_where_one_stopped_and_keeps_what_it_does_not_show(tmp_path):
    path = tmp_path / "e.csv"
    path.write_text(
        "subject,video,class,point,onset_s,offset_s\nanna,film,macro,12,,\ncarl,film,micro,3,,\nanna,film,macro,,2.0,3.0\n"
    )
    first = opened(path)
    first.add({"video": 0, "class": "micro", "point": 50})
    first.close()
    again = opened(path)
    assert [(row["class"], row["onset"], row["offset"], row["point"]) for row in again.of(0)] == [
        ("macro", None, None, 12),
        ("macro", 20, 30, None),
        ("micro", None, None, 50),
    ]
    assert ["carl", "micro", "", "", "3"] in cells(again)
    again.close()


def test_a_second_page_on_one_sheet_is_told_so(sheet):
    with pytest.raises(InputError, match="is open in another label page"):
        opened(sheet.path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"class": "macro", "point": 100}, "frame 100 lies beyond the last frame 99"),
        ({"class": "macro", "point": 30}, "frame 30 is a macro-expression already"),
        ({"class": "micro", "point": 62}, "frames 60 to 70 are marked as neutral"),
        ({"class": "neutral", "onset": 20, "offset": 40}, "the stretch holds a macro-expression at frame 30"),
        ({"class": "macro"}, "no frame"),
        ({"class": "blink", "point": 1}, "class 'blink'"),
    ],
)
def test_what_contradicts_the_sheet_is_refused_and_changes_nothing(sheet, row, message):
    sheet.add({"video": 0, "class": "macro", "point": 30})
    sheet.add({"video": 0, "class": "neutral", "onset": 60, "offset": 70})
    before = cells(sheet)
    with pytest.raises(InputError, match=message):
        sheet.add({"video": 0, **row})
    assert cells(sheet) == before


def test_two_classes_may_share_a_frame(sheet):
    sheet.add({"video": 0, "class": "macro", "point": 30})
    sheet.add({"video": 0, "class": "micro", "point": 30})
    assert len(sheet.of(0)) == 2
