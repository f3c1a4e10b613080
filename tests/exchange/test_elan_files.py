"""ELAN files of others: tiers of anything, several media, several annotators, times past the end."""

import logging

import numpy as np
import pandas as pd
import pytest

from pfes.base.errors import InputError
from pfes.exchange.annotations import import_labels, read_videos
from tests.media.drawn import write

VIDEOS = pd.DataFrame({"subject": ["anna"], "video": ["film"], "video_id": ["anna_film"], "path": ["/rec/film.mp4"], "fps": [30.0]})  # fmt: skip


def eaf(path, media, tiers):
    """Write an .eaf: ``media`` [(name, origin)], ``tiers`` {name: [(begin, end) in ms, None for no time]}."""
    slots, parts = [], []
    for name, items in tiers.items():
        inner = ""
        for begin, end in items:
            refs = []
            for time in (begin, end):
                slots.append("" if time is None else f' TIME_VALUE="{time}"')
                refs.append(f"ts{len(slots)}")
            inner += (
                f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{len(slots)}" TIME_SLOT_REF1="{refs[0]}"'
                f' TIME_SLOT_REF2="{refs[1]}"><ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION></ANNOTATION>'
            )
        tier, _, annotator = name.partition("|")
        who = f' ANNOTATOR="{annotator}"' if annotator else ""
        parts.append(f'<TIER LINGUISTIC_TYPE_REF="t" TIER_ID="{tier}"{who}>{inner}</TIER>')
    times = "".join(f'<TIME_SLOT TIME_SLOT_ID="ts{i}"{value}/>' for i, value in enumerate(slots, start=1))
    head = "".join(
        f'<MEDIA_DESCRIPTOR MEDIA_URL="file:///D:/{name}" TIME_ORIGIN="{origin}"/>' for name, origin in media
    )
    path.write_text(
        f'<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="milliseconds">{head}</HEADER><TIME_ORDER>{times}</TIME_ORDER>'
        f"{''.join(parts)}</ANNOTATION_DOCUMENT>",
        encoding="utf-8",
    )
    return path


def frames(path, videos=VIDEOS, **options):
    found = import_labels([path], "elan", videos, **options)
    return found[["class", "native_onset", "native_offset"]].to_numpy().tolist()


FILM = [("film.mp4", 0)]


def test_a_tier_that_is_not_asked_for_may_hold_anything(tmp_path):
    tiers = {"macro": [(1000, 2000)], "words": [(None, 500), (500, None)], "note": [(9000, 1)]}
    assert frames(eaf(tmp_path / "film.eaf", FILM, tiers)) == [["macro", 30, 59]]
    with pytest.raises(InputError, match="tier 'macro', annotation a2 has no time"):
        frames(eaf(tmp_path / "film.eaf", FILM, {"macro": [(1000, None)]}))


@pytest.mark.parametrize("media", [[("wide.mp4", 500), ("film.mp4", 2000)], [("film.mp4", 2000), ("wide.mp4", 0)], [("other.mp4", 2000)]])  # fmt: skip
def test_the_offset_is_that_of_the_recordings_own_medium(tmp_path, media):
    assert frames(eaf(tmp_path / "film.eaf", media, {"macro": [(1000, 2000)]})) == [["macro", 90, 119]]


def test_media_of_which_none_is_the_recording_are_refused(tmp_path):
    path = eaf(tmp_path / "film.eaf", [("wide.mp4", 0), ("side.mp4", 2000)], {"macro": [(1000, 2000)]})
    with pytest.raises(InputError, match=r"film.eaf: its media wide \(0 ms\), side \(2000 ms\) have different offsets"):
        frames(path)


@pytest.mark.parametrize(("first", "second"), [("macro@A", "macro@B"), ("macro", "MaE@B"), ("macro|A", "macro 2|B")])
def test_two_annotators_are_refused_by_name_or_one_is_chosen(tmp_path, first, second):
    path = eaf(tmp_path / "film.eaf", FILM, {first: [(1000, 2000)], second: [(1033, 2000)], "micro@B": [(5000, 5200)]})
    with pytest.raises(
        InputError, match=r"hold the macro labels of several annotators; choose one of them with --annot"
    ):
        frames(path)
    assert frames(path, annotator="B") == [["macro", 31, 59], ["micro", 150, 155]]
    with pytest.raises(InputError, match="no tier of annotator 'C', found"):
        frames(path, annotator="C")


def test_annotators_who_share_the_classes_are_one_label_set(tmp_path):
    path = eaf(tmp_path / "film.eaf", FILM, {"macro@A": [(1000, 2000)], "micro@B": [(5000, 5200)], "macro@B": []})
    assert frames(path) == [["macro", 30, 59], ["micro", 150, 155]]


def test_times_past_the_end_are_refused_and_short_ones_said(tmp_path, caplog):
    """A recording of 3 s: 2.95 to 3.03 s ends with it, to a frame; 3.2 s does not. 10 ms are a click, with a word."""
    film = write(tmp_path / "film.mp4", np.arange(90) / 30)
    videos = VIDEOS.assign(path=str(film), fps=0.0)
    tiers = {"micro": [(500, 510), (1000, 1000), (2950, 3030)]}
    with caplog.at_level(logging.WARNING):
        found = import_labels([eaf(tmp_path / "film.eaf", FILM, tiers)], "elan", videos)
    assert found["native_point"].tolist()[:2] == [15, 30] and found["native_onset"].isna().tolist() == [
        True,
        True,
        False,
    ]
    assert caplog.text.count("less than two frames: a click") == 2
    with pytest.raises(InputError, match=r"ends at 00:00:03.200, after the recording, which ends at 00:00:03.000"):
        frames(eaf(tmp_path / "film.eaf", FILM, {"micro": [(2900, 3200)]}), videos)


def test_a_tier_of_points_holds_clicks_whatever_their_length(tmp_path):
    path = eaf(tmp_path / "film.eaf", FILM, {"macro points": [(1000, 1500)], "ME point@A": [(2000, 2000)]})
    found = import_labels([path], "elan", VIDEOS)
    assert found[["class", "native_point"]].to_numpy().tolist() == [["macro", 30], ["micro", 60]]
    assert found["native_onset"].isna().all()


def test_a_decimal_comma_marks_an_apex(tmp_path):
    path = eaf(tmp_path / "film.eaf", FILM, {"macro": [(1000, 2000)]})
    path.write_text(
        path.read_text().replace("<ANNOTATION_VALUE/>", "<ANNOTATION_VALUE>apex 00:00:01,500</ANNOTATION_VALUE>")
    )
    assert import_labels([path], "elan", VIDEOS)["native_apex"].tolist() == [45]


def test_a_folder_is_no_elan_file(tmp_path):
    with pytest.raises(InputError, match="no such file; expected .eaf"):
        frames(tmp_path)


def test_sheets_of_export_and_import_are_read_as_by_a_run(tmp_path):
    """Decimal comma, NA and Macro in a sheet that goes to ELAN and back; a rate below 0 is refused there too."""
    (tmp_path / "videos.csv").write_text("subject;video;path;fps\nanna;film;film.mp4;29,97\n")
    (tmp_path / "e.csv").write_text("subject;video;onset;apex;offset;class\nanna;film;30,0;NA;59;Macro\n")
    videos = read_videos(tmp_path / "videos.csv")
    assert videos["fps"].tolist() == [29.97]
    found = import_labels([tmp_path / "e.csv"], "csv", videos)
    assert found[["class", "native_onset", "native_offset"]].to_numpy().tolist() == [["macro", 30, 59]]
    (tmp_path / "videos.csv").write_text("subject,video,path,fps\nanna,film,film.mp4,-5\n")
    with pytest.raises(InputError, match="row 2: fps '-5', expected frames per second"):
        read_videos(tmp_path / "videos.csv")
