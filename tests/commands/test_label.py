"""What the label page is given: recordings under their names, and candidates in the order that is asked for."""

import numpy as np
import pandas as pd
import pytest

from pfes.base.errors import InputError
from pfes.base.records import PROPOSAL_COLUMNS
from pfes.commands.label import _candidates, _files, _given, listed_videos
from pfes.labelling.app import Candidate, fate
from tests.conftest import write_video


@pytest.fixture
def recordings(tmp_path):
    return [write_video(tmp_path / f"{name}.mp4", np.arange(20) / 20) for name in "ab"]


def test_new_recordings_are_listed_once_and_keep_the_names_that_they_are_given(recordings, tmp_path):
    listing = tmp_path / "videos.csv"
    assert [(video.subject, video.video) for video in listed_videos(recordings, listing, 0.0)] == [
        ("a", "a"),
        ("b", "b"),
    ]
    listing.write_text(listing.read_text().replace("a,a,", "anna,talk,").replace("b,b,", "anna,film,"))
    found = listed_videos([*recordings, write_video(tmp_path / "c.mp4", np.arange(20) / 20)], listing, 0.0)
    assert [(video.subject, video.video) for video in found] == [("anna", "talk"), ("anna", "film"), ("c", "c")]
    assert len(listing.read_text().splitlines()) == 4
    assert [video.subject for video in listed_videos([listing], listing, 0.0)] == ["anna", "anna", "c"]


def test_two_recordings_of_one_name_are_refused(recordings, tmp_path):
    (tmp_path / "more").mkdir()
    other = write_video(tmp_path / "more" / "a.mp4", np.arange(20) / 20)
    with pytest.raises(InputError, match="is called a_a too; name both in"):
        listed_videos([recordings[0], other], tmp_path / "videos.csv", 0.0)


def test_candidates_come_by_time_by_score_or_uncertain_first():
    table = pd.DataFrame(
        [("a", "macro", 10 * i, 10 * i + 2, 10 * i + 4, score) for i, score in enumerate((0.9, 0.1, 0.5))],
        columns=["video_id", "class", "native_onset", "native_apex", "native_offset", "score"],
    )
    orders = {name: [item.score for item in _candidates(table, name)] for name in ("time", "score", "uncertain")}
    assert orders == {"time": [0.9, 0.1, 0.5], "score": [0.9, 0.5, 0.1], "uncertain": [0.5, 0.9, 0.1]}


def test_proposals_of_a_run_a_folder_and_a_table_are_found(tmp_path):
    row = dict.fromkeys(PROPOSAL_COLUMNS, 1) | {"video_id": "a", "class": "macro"}
    for name in ("one", "two"):
        place = tmp_path / f"run/spot/{name}/s1/seed0/proposals.parquet"
        place.parent.mkdir(parents=True)
        place.touch()
    (tmp_path / "spotted").mkdir()
    pd.DataFrame([row]).to_csv(tmp_path / "spotted/proposals.csv", index=False)
    assert len(_given([tmp_path / "spotted"], None)) == 1
    assert [path.parts[-4] for path in _files(tmp_path / "run", "two")] == ["two"]
    with pytest.raises(InputError, match="choose one of one, two with --experiment"):
        _files(tmp_path / "run", None)


def test_the_fate_of_a_candidate_is_read_from_the_sheet():
    row = {"class": "macro", "onset": None, "apex": None, "offset": None, "point": 12}
    still = {"class": "neutral", "onset": 30, "apex": None, "offset": 50, "point": None}
    places = {(10, 14, 20): "accepted", (13, 14, 20): "open", (28, 31, 60): "rejected", (28, 29, 60): "open"}
    for (onset, apex, offset), expected in places.items():
        assert fate(Candidate("macro", onset, apex, offset, 1.0), [row, still]) == expected
