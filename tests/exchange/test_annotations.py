"""Labels go to MEGC, ELAN and CSV and come back the same; files made by others are read, or it is said why not."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pfes.base import provenance, store
from pfes.base.errors import InputError
from pfes.base.records import EXPRESSION_COLUMNS, PROPOSAL_COLUMNS
from pfes.commands.cli import app
from pfes.exchange import elan
from pfes.exchange.annotations import (
    FORMATS,
    LABEL_COLUMNS,
    class_of,
    export_labels,
    find_video,
    import_labels,
    read_labels,
    read_videos,
    write_sheet,
)
from pfes.media.decode import Clock

VIDEOS = pd.DataFrame(
    {
        "subject": ["anna", "anna", "böb"],
        "video": ["talk", "film one", "talk"],
        "video_id": ["anna_talk", "anna_film_one", "böb_talk"],
        "path": ["/rec/anna 1.mp4", "/rec/film.mp4", "/rec/böb.mp4"],
        "fps": [30.0, 200.0, 29.97],
    }
)

# An annotator's file as ELAN 6 saves it (shortened): slots shared by nobody, a note tier, a dependent tier.
BY_HAND = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2025-03-01T10:00:00+01:00" FORMAT="3.0" VERSION="3.0"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
 <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
  <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/lab/anna%201.mp4" MIME_TYPE="video/mp4" RELATIVE_MEDIA_URL="./anna%201.mp4"/>
  <PROPERTY NAME="lastUsedAnnotationId">3</PROPERTY>
 </HEADER>
 <TIME_ORDER>
  <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1012"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="1999"/>
  <TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="2500"/><TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="2700"/>
  <TIME_SLOT TIME_SLOT_ID="ts5"/>
 </TIME_ORDER>
 <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="Macro-Expression@KL">
  <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
   <ANNOTATION_VALUE>smile, apex 00:00:01.500</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
 </TIER>
 <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="ME">
  <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
   <ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION></ANNOTATION>
 </TIER>
 <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="notes">
  <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
   <ANNOTATION_VALUE>cough</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
 </TIER>
 <TIER LINGUISTIC_TYPE_REF="ref-lt" PARENT_REF="notes" TIER_ID="translation">
  <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a4" ANNOTATION_REF="a3"><ANNOTATION_VALUE>x</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
 </TIER>
 <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>
</ANNOTATION_DOCUMENT>
"""


def labels(*rows):
    """One label per (index of the video, class, onset, apex, offset[, point])."""
    named = [
        (*VIDEOS.loc[i, ["subject", "video", "video_id"]], kind, *(*frames, pd.NA)[:4]) for i, kind, *frames in rows
    ]
    table = pd.DataFrame(named, columns=list(LABEL_COLUMNS))
    return table.astype(dict.fromkeys(("native_onset", "native_apex", "native_offset", "native_point"), "Int64"))


def clicks(*rows):
    """One click per (index of the video, class, point)."""
    return labels(*[(i, kind, pd.NA, pd.NA, pd.NA, point) for i, kind, point in rows])


def ordered(table):
    return table.sort_values(list(LABEL_COLUMNS)).reset_index(drop=True)


def round_trip(table, format, folder):
    out = folder / ("eaf" if format == "elan" else "labels.csv")
    return import_labels(export_labels({"expressions": table}, VIDEOS, format, out), format, VIDEOS)


SOME = labels(
    (0, "macro", 10, 20, 40),
    (0, "macro", 30, 31, 60),  # overlaps the first
    (0, "micro", 12, 15, 20),  # inside a macro-expression
    (1, "micro", 0, 0, 0),  # one frame, the first
    (2, "macro", 500, pd.NA, 560),
)


@st.composite
def label_tables(draw):
    rows = []
    for _ in range(draw(st.integers(0, 8))):
        onset = draw(st.integers(0, 400_000))
        offset = onset + draw(st.integers(0, 300))
        apex, point = (draw(st.one_of(st.just(pd.NA), st.integers(onset, offset))) for _ in range(2))
        rows.append((draw(st.integers(0, 2)), draw(st.sampled_from(["macro", "micro"])), onset, apex, offset, point))
    return labels(*rows)


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=30, deadline=None)
@given(table=label_tables())
def test_a_round_trip_gives_the_same_instances(format, tmp_path_factory, table):
    """The MEGC list has no apex and no point; all else comes back as it went."""
    nothing = pd.array([pd.NA] * len(table), "Int64")
    expected = table.assign(native_apex=nothing, native_point=nothing) if format == "megc" else table
    found = round_trip(table, format, tmp_path_factory.mktemp("trip"))
    pd.testing.assert_frame_equal(ordered(found), ordered(expected))


@pytest.mark.parametrize("format", ["elan", "boris", "csv"])
def test_clicks_and_neutral_stretches_come_back_as_they_went(format, tmp_path):
    table = pd.concat(
        [
            SOME,
            clicks((0, "macro", 0), (0, "micro", 17), (0, "macro", 16), (2, "micro", 4321)),
            labels((1, "neutral", 9, pd.NA, 90)),
        ],
        ignore_index=True,
    )
    found = round_trip(table, format, tmp_path)
    pd.testing.assert_frame_equal(ordered(found), ordered(table))


def test_a_megc_list_has_no_place_for_a_click(tmp_path):
    with pytest.raises(InputError, match="1 expressions have no onset and offset, which a MEGC list needs"):
        export_labels({"expressions": clicks((0, "macro", 3))}, VIDEOS, "megc", tmp_path / "list.csv")


@pytest.mark.parametrize("fps", [23.976, 25.0, 120.0, 999.0, 1000.0])
def test_milliseconds_name_every_frame_of_a_fast_recording(fps, tmp_path):
    videos = VIDEOS.assign(fps=fps)
    table = labels(*[(0, "micro", frame, frame, frame) for frame in range(0, 5000, 7)])
    files = export_labels({"expressions": table}, videos, "elan", tmp_path)
    pd.testing.assert_frame_equal(ordered(import_labels(files, "elan", videos)), ordered(table))


def test_beyond_a_thousand_frames_per_second_elan_is_refused(tmp_path):
    with pytest.raises(InputError, match="anna_talk: 1200 frames per second; ELAN counts milliseconds"):
        export_labels({"expressions": SOME}, VIDEOS.assign(fps=1200.0), "elan", tmp_path)


def test_megc_counts_from_one(tmp_path):
    export_labels({"expressions": SOME}, VIDEOS, "megc", tmp_path / "list.csv")
    lines = (tmp_path / "list.csv").read_text().splitlines()
    assert lines[:2] == ["vid,onset,offset,type", "anna_talk,11,41,mae"]
    assert lines[4] == "anna_film_one,1,1,me"


def test_the_lists_of_the_challenges_are_read(tmp_path):
    """MEGC submissions call their columns pred_onset, pred_offset."""
    (tmp_path / "a.csv").write_text("vid,pred_onset,pred_offset,type\nfilm,11,21,me\nböb_talk,1,30,MAE\n")
    found = import_labels([tmp_path / "a.csv"], "megc", VIDEOS)
    assert found["video_id"].tolist() == ["anna_film_one", "böb_talk"]
    assert found[["native_onset", "native_offset"]].to_numpy().tolist() == [[10, 20], [0, 29]]


def test_overlapping_labels_of_one_class_go_to_tiers_of_their_own(tmp_path):
    """ELAN allows no overlap within a tier; here [10, 40] and [30, 60] overlap, [61, 70] follows the second.

    macro    |----[10..40]----|
    macro 2        |----[30..60]----|
    """
    table = pd.concat([SOME, labels((0, "macro", 41, 50, 70))])
    path = export_labels({"expressions": table}, VIDEOS, "elan", tmp_path)[0]
    tiers = elan.read(path).tiers
    assert {name: len(items) for name, items in tiers.items()} == {"macro": 2, "macro 2": 1, "micro": 1}
    for items in tiers.values():
        assert all(first[2] <= second[1] for first, second in zip(items, items[1:], strict=False))


def test_every_video_gets_a_file_to_annotate(tmp_path):
    files = export_labels({"expressions": SOME[:0]}, VIDEOS, "elan", tmp_path)
    assert [path.name for path in files] == ["anna_talk.eaf", "anna_film_one.eaf", "böb_talk.eaf"]
    document = elan.read(files[2])
    assert document.tiers == {"macro": [], "micro": []}
    assert document.media == ("böb",)


def test_two_label_sets_share_an_elan_file(tmp_path):
    proposed = labels((0, "macro", 12, 20, 44)).assign(score=0.5)
    files = export_labels({"expressions": SOME, "proposals": proposed}, VIDEOS, "elan", tmp_path)
    assert elan.read(files[0]).tiers["macro proposed"][0][3] == "apex 00:00:00.667, score 0.5"
    found = import_labels(files, "elan", VIDEOS, name="proposals")
    pd.testing.assert_frame_equal(found, proposed.drop(columns="score"))
    pd.testing.assert_frame_equal(ordered(import_labels(files, "elan", VIDEOS)), ordered(SOME))


def test_an_annotators_own_file_is_read(tmp_path, caplog):
    """At 30 fps: 1012..1999 ms is nearest to frames 30..59 (60 begins at 2000 ms), apex 1500 ms is frame 45."""
    (tmp_path / "session 1.eaf").write_text(BY_HAND, encoding="utf-8")
    found = import_labels([tmp_path / "session 1.eaf"], "elan", VIDEOS)
    expected = labels((0, "macro", 30, 45, 59), (0, "micro", 75, pd.NA, 80))
    pd.testing.assert_frame_equal(found, expected)
    assert "tiers ignored: 'notes'" in caplog.text


@pytest.mark.parametrize(
    ("value", "apex"), [("apex 1.5 s", 45), ("Apex: 1500 ms", 45), ("apex=0:01.9", 57), ("AU12", pd.NA)]
)
def test_the_apex_may_be_written_in_several_ways(tmp_path, value, apex):
    (tmp_path / "anna_talk.eaf").write_text(BY_HAND.replace("smile, apex 00:00:01.500", value), encoding="utf-8")
    found = import_labels([tmp_path / "anna_talk.eaf"], "elan", VIDEOS)["native_apex"][0]
    assert found is apex if apex is pd.NA else found == apex


def test_a_click_in_elan_is_a_point(tmp_path):
    (tmp_path / "anna_talk.eaf").write_text(BY_HAND.replace("smile, ", "point 1.2 s; "), encoding="utf-8")
    found = import_labels([tmp_path / "anna_talk.eaf"], "elan", VIDEOS)
    assert found[["native_apex", "native_point"]].iloc[0].tolist() == [45, 36]


def test_the_origin_of_the_media_is_added(tmp_path):
    """In ELAN, TIME_ORIGIN is where in the recording its time 0 lies."""
    text = BY_HAND.replace("<MEDIA_DESCRIPTOR", '<MEDIA_DESCRIPTOR TIME_ORIGIN="1000"').replace("01.500", "02.500")
    (tmp_path / "anna_talk.eaf").write_text(text, encoding="utf-8")
    assert import_labels([tmp_path / "anna_talk.eaf"], "elan", VIDEOS)["native_onset"].tolist() == [60, 105]


LAUGHS = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>
<ANNOTATION_DOCUMENT><HEADER/><TIER TIER_ID="&b;"/></ANNOTATION_DOCUMENT>"""
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><ANNOTATION_DOCUMENT>&a;</ANNOTATION_DOCUMENT>"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, r"declares a document type \(lolz\)"),
        (OUTSIDE, r"declares a document type \(x\)"),
        ("not xml", "cannot be read as XML"),
        ("<html/>", "<html> is not an ELAN file"),
        (BY_HAND.replace("milliseconds", "PAL-frames"), "times in PAL-frames, expected milliseconds"),
        (BY_HAND.replace("1012", "soon"), "TIME_VALUE 'soon', expected whole milliseconds"),
        (re.sub('MEDIA_URL="[^"]*"', 'MEDIA_URL="file://[x"', BY_HAND), r"MEDIA_URL 'file://\[x' is no address"),
        (BY_HAND.replace('REF1="ts1"', 'REF1="ts5"'), r"tier 'Macro-Expression@KL', annotation a1 has no time"),
        (BY_HAND.replace('"1012"', '"9000"'), r"annotation a1 at 00:00:09.000: ends at 00:00:01.999"),
        (BY_HAND.replace("01.500", "05.000"), r"annotation a1 .* apex at 00:00:05.000 lies outside"),
        (BY_HAND.replace("apex 00:00:01.500", "apex 45"), r"annotation a1 .* expected apex as"),
        (BY_HAND.replace("Macro-Expression@KL", "a").replace('"ME"', '"b"'), r"no tier holds expressions, found 'a', 'b', "),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_elan_file_is_named(tmp_path, text, message):
    (tmp_path / "anna_talk.eaf").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rf"anna_talk.eaf: (.|\n)*{message}"):
        import_labels([tmp_path / "anna_talk.eaf"], "elan", VIDEOS)


def test_entities_are_refused_in_any_encoding(tmp_path):
    (tmp_path / "anna_talk.eaf").write_bytes(LAUGHS.replace('"1.0"', '"1.0" encoding="UTF-16"').encode("utf-16"))
    with pytest.raises(InputError, match="declares a document type"):
        import_labels([tmp_path / "anna_talk.eaf"], "elan", VIDEOS)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("nobody,1,5,me", r"row 2: video 'nobody' is not among the 3 videos of the sheet, e.g. 'anna_talk'"),
        ("talk,1,5,me", r"row 2: video 'talk' may be any of anna_talk, böb_talk"),
        ("film,0,5,me", r"row 2: onset '0', expected a frame number from 1 on"),
        ("film,5,1,me", r"row 2: onset 5 > offset 1"),
        ("film,1,5,blink", r"row 2: class 'blink', expected macro, micro or neutral"),
        ("film,1.5,5,me", r"row 2: onset '1.5', expected a frame number"),
        ("film,1,5,me\nfilm,,5,me\nfilm,9,5,me", r"2 labels cannot be used(.|\n)*row 3(.|\n)*row 4"),
    ],
)
def test_what_is_wrong_with_a_list_is_named_by_row(tmp_path, rows, message):
    (tmp_path / "list.csv").write_text(f"vid,onset,offset,type\n{rows}\n", encoding="utf-8")
    with pytest.raises(InputError, match=message):
        import_labels([tmp_path / "list.csv"], "megc", VIDEOS)


def test_an_unknown_format_and_two_sets_in_a_list_are_refused(tmp_path):
    with pytest.raises(InputError, match="'praat' is not known; expected one of megc, elan, csv"):
        export_labels({"expressions": SOME}, VIDEOS, "praat", tmp_path / "x")
    with pytest.raises(InputError, match="2 label sets, but megc holds one"):
        export_labels({"expressions": SOME, "proposals": SOME}, VIDEOS, "megc", tmp_path / "x")


def test_a_video_is_found_by_whichever_name_is_its_own():
    for name in ("böb_talk", "böb/talk", "böb"):
        assert find_video(VIDEOS, name)["video_id"] == "böb_talk"


def test_class_names_of_the_tools():
    assert [class_of(name) for name in ("MaE", "macro expression", "Micro-expression", "me", "mo")] == [
        "macro", "macro", "micro", "micro", None,
    ]  # fmt: skip


def test_tables_of_a_run_are_read(tmp_path):
    """Expressions and the proposals of two folds, one of them empty."""
    made = provenance.record("test", {})
    rows = [("d", "anna", "talk", "anna_talk", 0, "macro", 1, 2, 3, 10, 20, 40, 2)]
    store.write_table(tmp_path / "e.parquet", "expressions", pd.DataFrame(rows, columns=list(EXPRESSION_COLUMNS)), made)
    proposed = pd.DataFrame(0, index=[0], columns=list(PROPOSAL_COLUMNS)).assign(
        video_id="böb_talk", subject="böb", native_offset=9, score=0.25, **{"class": "micro"}
    )
    store.write_table(tmp_path / "p.parquet", "proposals", proposed, made)
    store.write_table(tmp_path / "q.parquet", "proposals", proposed[:0], made)
    found = read_labels([tmp_path / "e.parquet"], "expressions", VIDEOS)
    pd.testing.assert_frame_equal(found, SOME[:1])
    both = read_labels([tmp_path / "q.parquet", tmp_path / "p.parquet"], "proposals", VIDEOS)
    assert both[["video", "native_offset", "score"]].to_numpy().tolist() == [["talk", 9, 0.25]]
    with pytest.raises(InputError, match="video böb_talk is not among the 1 videos"):
        read_labels([tmp_path / "p.parquet"], "proposals", VIDEOS[:1])


def test_a_clock_names_the_nearest_frame():
    clock = Clock(25.0)
    assert clock.frames(np.array([0.0, 0.019, 0.021, 1.0])).tolist() == [0, 0, 1, 25]
    assert clock.seconds(np.array([0, 25])).tolist() == [0.0, 1.0]


def test_the_command_line_goes_to_elan_and_back(tmp_path):
    """As a user would: sheets of one's own with spaces in names, numbers from 1, export, import, the same sheet."""
    (tmp_path / "my videos.csv").write_text("subject,video,path,fps\nanna,a talk,x y.mp4,25\nben,b,b.mp4,50\n")
    text = "subject,video,onset,apex,offset,class\nanna,a talk,10,14,20,macro\nben,b,3,,9,micro\n"
    (tmp_path / "labels.csv").write_text(text)
    videos = ["--videos", str(tmp_path / "my videos.csv"), "--format", "elan", "--first-frame", "1"]
    done = CliRunner().invoke(
        app, ["export", "--expressions", str(tmp_path / "labels.csv"), *videos, "--out", str(tmp_path / "eaf")]
    )
    assert done.exit_code == 0, done.output
    files = [str(path) for path in sorted((tmp_path / "eaf").glob("*.eaf"))]
    assert [path.rsplit("/", 1)[-1] for path in files] == ["anna_a_talk.eaf", "ben_b.eaf"]
    done = CliRunner().invoke(app, ["import", *files, *videos, "--out", str(tmp_path / "back.csv")])
    assert done.exit_code == 0, done.output
    assert "2 labels" in done.output
    assert (tmp_path / "back.csv").read_text() == text
    done = CliRunner().invoke(app, ["import", *files, *videos, "--out", str(tmp_path / "back.csv")])
    assert isinstance(done.exception, InputError)  # which main() prints
    assert "is there already" in str(done.exception)
    table = import_labels([tmp_path / "back.csv"], "csv", read_videos(tmp_path / "my videos.csv"), first_frame=1)
    write_sheet(table, tmp_path / "again.csv", first_frame=1)
    assert (tmp_path / "again.csv").read_text() == text
