"""Recordings spotted without a model: one or many, what is there already, what cannot be used, and the neutral stretch."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pfes.base.errors import InputError
from pfes.commands.cli import _stretch
from pfes.commands.spot import PROPOSALS, Wanted, spot
from pfes.commands.spot_all import Asked, asked, collect_events, spot_all

NAMES = ["class", "onset", "apex", "offset", "onset_s", "apex_s", "offset_s", "score"]


def test_a_single_video_goes_to_the_folder_itself(tmp_path: Path) -> None:
    assert asked([Path("a/clip.mp4")], tmp_path, 25.0) == {"clip": Asked("a/clip.mp4", 25.0, tmp_path)}


def test_files_folders_and_sheets_are_taken_together(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir(), (tmp_path / "images").mkdir()
    for name in ("videos/b.mp4", "videos/c.mp4", "images/img_001.png"):
        (tmp_path / name).touch()
    (tmp_path / "sheet.csv").write_text("subject,video,path,fps\ns01,d,videos/b.mp4,50\n")
    given = [tmp_path / name for name in ("a.mp4", "videos", "images", "sheet.csv")]
    found = asked(given, tmp_path / "out", 30.0)
    assert {name: one.fps for name, one in found.items()} == {"a": 30, "b": 30, "c": 30, "images": 30, "s01_d": 50}
    assert found["b"].out == tmp_path / "out/b"


def test_recordings_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="would both be called clip"):
        asked([Path("one/clip.mp4"), Path("two/clip.mp4")], tmp_path)


def done(folder: Path, rows: int) -> None:
    """Write a table of proposals as ``spot`` does."""
    folder.mkdir(parents=True)
    table = pd.DataFrame({"video_id": ["x"] * rows, **{name: [1] * rows for name in NAMES}})
    table.to_csv(folder / PROPOSALS, index=False)


def test_what_is_there_is_not_done_again_and_counts_among_the_events(tmp_path: Path) -> None:
    recordings = {name: Asked(f"{name}.mp4", 0.0, tmp_path / name) for name in ("a", "b")}
    done(tmp_path / "a", 2)
    outcomes = {outcome.name: outcome.problem for outcome in spot_all(recordings, Wanted())}
    assert "is there already; replace it with --overwrite" in str(outcomes["a"])
    assert "b.mp4: no such file" in str(outcomes["b"])
    events = collect_events(recordings, tmp_path)
    assert events["recording"].tolist() == ["a", "a"]
    assert len(pd.read_csv(tmp_path / "events.csv")) == 2


def test_the_box_says_that_it_has_seen_no_person(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert list(spot_all({"a": Asked("gone.mp4", 0.0, tmp_path / "a")}, Wanted("box")))[0].problem
    assert "box was trained on made motion and has seen no person" in caplog.text


def test_a_recording_that_fails_when_done_over_keeps_no_old_result(tmp_path: Path) -> None:
    done(tmp_path / "a", 1)
    recordings = {"a": Asked("gone.mp4", 0.0, tmp_path / "a")}
    assert [outcome.problem is None for outcome in spot_all(recordings, Wanted(), overwrite=True)] == [False]
    assert collect_events(recordings, tmp_path).empty


@pytest.mark.parametrize(
    ("text", "expected"), [("0:00-1:30", (0, 90)), ("12.5-40", (12.5, 40)), ("59:30-1:02:00.5", (3570, 3720.5))]
)
def test_a_stretch_is_from_to_in_minutes_and_seconds(text: str, expected: tuple[float, float]) -> None:
    assert _stretch(text) == expected


@pytest.mark.parametrize("text", ["1:30", "1:30-0:10", "from 1 to 2", "0:10-0:10"])
def test_a_stretch_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--neutral"):
        _stretch(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"continuous": True}, "--intensity needs the models of a run"),
        ({"model": "baseline", "threshold": 1.0}, "belong to --model none"),
        ({"model": "box", "threshold": 1.0}, "belong to --model none"),
        ({"model": "box", "continuous": True}, "--intensity needs the models of a run; .* instead of box"),
        ({"neutral": (0, 60)}, "--alarms-per-minute needs --neutral"),
        ({"alarms_per_minute": 1.0}, "--alarms-per-minute needs --neutral"),
        ({"neutral": (0, 60), "alarms_per_minute": 1.0, "threshold": 1.0}, "both set the threshold"),
        ({"neutral": (5, 8), "alarms_per_minute": 1.0}, "--neutral: 3.0 s of the recording, expected at least 10"),
        ({"neutral": (0, 60), "alarms_per_minute": 0.0}, "--alarms-per-minute is 0, expected more than 0"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Wanted(**options)


def test_a_neutral_stretch_is_of_one_recording(tmp_path: Path) -> None:
    recordings = {name: Asked(f"{name}.mp4", 0.0, tmp_path / name) for name in ("a", "b")}
    with pytest.raises(InputError, match="--neutral is a stretch of one recording"):
        list(spot_all(recordings, Wanted(neutral=(0, 60), alarms_per_minute=1.0)))


def test_one_that_cannot_be_used_is_listed_and_the_other_spotted(shared_data: Path, tmp_path: Path) -> None:
    videos = [shared_data / "videos" / name for name in ("single_face.mp4", "no_face.mp4")]
    command = [sys.executable, "-m", "pfes.commands.cli", "spot", *videos, "--out", tmp_path, "--no-overlay"]
    ended = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "1 of 2 recordings were skipped" in ended.stderr and "no face was found" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(pd.read_csv(tmp_path / "single_face/intensity.csv")) == 72
    assert not (tmp_path / "single_face/overlay.mp4").exists()
    assert (tmp_path / "events.csv").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "false_alarms"), [("expressions_a", 0), ("expressions_b", 1)])
def test_the_expressions_of_two_real_faces_are_found(
    shared_data: Path, tmp_path: Path, name: str, false_alarms: int
) -> None:
    """Every labelled one by an interval of IoU .5; the clip b ends in an expression that is not labelled."""
    spot(shared_data / f"videos/{name}.mp4", tmp_path, Wanted(overlay=False))
    found = pd.read_csv(tmp_path / PROPOSALS)
    labels = pd.read_csv(shared_data / "labels/real_clips.csv").query(f"video == '{name}.mp4'")
    for label in labels.itertuples():
        shared = found["offset"].clip(upper=label.offset) - found["onset"].clip(lower=label.onset) + 1
        union = found["offset"].clip(lower=label.offset) - found["onset"].clip(upper=label.onset) + 1
        assert (shared / union).max() >= 0.5
    assert len(found) == len(labels) + false_alarms


@pytest.mark.slow
def test_the_old_baseline_can_still_be_chosen(shared_data: Path, tmp_path: Path) -> None:
    found = spot(shared_data / "videos/single_face.mp4", tmp_path, Wanted("baseline", overlay=False))
    assert (tmp_path / "snippets.h5").exists() and len(found.intensity) == 72
    assert found.intensity.max() <= 1


@pytest.mark.slow
def test_a_neutral_stretch_sets_the_threshold(shared_data: Path, tmp_path: Path) -> None:
    clip = shared_data / "videos/WolfgangLanger_Pexels.mp4"
    found = spot(clip, tmp_path, Wanted(neutral=(0, 15), alarms_per_minute=8, overlay=False))
    said = json.loads((tmp_path / "calibration.json").read_text())
    assert said["alarms"] == 2  # 8 a minute in a quarter of one
    assert said["minutes"] == pytest.approx(0.25, abs=0.01)
    again = spot(clip, tmp_path, Wanted(threshold=said["threshold"], overlay=False))
    assert again.proposals["onset"].tolist() == found.proposals["onset"].tolist()
    assert (again.proposals["apex"] < 15 * 30).sum() == 2
