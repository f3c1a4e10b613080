"""Events as BORIS exports them: points and states, tabular and aggregated, TSV and CSV."""

import logging

import pandas as pd
import pytest

from pfes.base.errors import InputError
from pfes.exchange.annotations import import_labels

VIDEOS = pd.DataFrame(
    {"subject": ["anna"], "video": ["film"], "video_id": ["anna_film"], "path": ["/rec/film.mp4"], "fps": [10.0]}
)
TABULAR = """Observation id\tMedia file name\tFPS (frame/s)\tSubject\tBehavior\tBehavior type\tTime\tComment
first\tC:\\lab\\film.mp4\t10\tanna\tMacro\tPOINT\t1.2\t
first\tC:\\lab\\film.mp4\t10\tanna\tME\tSTART\t3.0\tapex 00:00:03.100
first\tC:\\lab\\film.mp4\t10\tanna\tblink\tPOINT\t3.1\t
first\tC:\\lab\\film.mp4\t10\tanna\tME\tSTOP\t3.4\t
first\tC:\\lab\\film.mp4\t10\tanna\tneutral\tSTART\t5.0\t
first\tC:\\lab\\film.mp4\t10\tanna\tneutral\tSTOP\t6.0\t
"""
COLUMNS = ["class", "native_onset", "native_apex", "native_offset", "native_point"]


def read(path, text):
    path.write_text(text)
    found = import_labels([path], "boris", VIDEOS)[COLUMNS]
    return [[None if pd.isna(cell) else cell for cell in row] for row in found.astype(object).to_numpy().tolist()]


EXPECTED = [["macro", None, None, None, 12], ["micro", 30, 31, 33, None], ["neutral", 50, None, 59, None]]


def test_tabular_events_pair_their_starts_and_stops(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert read(tmp_path / "e.tsv", TABULAR) == EXPECTED
    assert "behaviors ignored: blink" in caplog.text


def test_lines_above_the_header_and_a_status_are_those_of_boris_7(tmp_path):
    old = TABULAR.replace("Media file name", "Media file path").replace("Behavior type", "Status")
    assert read(tmp_path / "e.tsv", f"Observation id\tfirst\n\nMedia file(s)\n\n{old}") == EXPECTED


def test_aggregated_events_have_both_times_in_a_row(tmp_path):
    text = (
        "Observation id,Subject,Behavior,Behavior type,Start (s),Stop (s),Duration (s),Media file name\n"
        "first,anna,macro,POINT,1.2,1.2,NA,film.mp4\nfirst,anna,micro,STATE,3.0,3.4,0.4,film.mp4\n"
    )
    assert read(tmp_path / "e.csv", text) == [EXPECTED[0], ["micro", 30, None, 33, None]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no header with Behavior and Time"),
        (TABULAR.replace("ME\tSTOP", "ME\tPOINT"), "line 3: ME starts and never stops"),
        (TABULAR.replace("ME\tSTART\t3.0", "ME\tSTOP\t3.0"), "line 3: ME stops, but did not start before"),
        (TABULAR.replace("1.2", "soon"), "line 2: time 'soon', expected seconds"),
        (TABULAR.replace("film.mp4", "other.mp4"), "line 2: video 'other' is not among the 1 videos"),
    ],
)
def test_what_cannot_be_read_is_named_by_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path / "e.tsv", text)
