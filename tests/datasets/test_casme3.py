"""CAS(ME)^3 part A: text cells, absolute image numbers with gaps, blinks; and a tree of it through the whole workflow."""

import json

import cv2
import pytest
import yaml

from pfes import datasets
from pfes.base import store
from pfes.base.errors import InputError
from pfes.datasets import demo, demo_render
from pfes.media.decode import read_frames
from tests.conftest import ROOT, snakemake
from tests.layouts import changes, frames, images, old_workbook, tables, workbook

HEADER = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Expression type", "Objective class"]
BLINKS = ["Subject", "Filename", "Onset", "Apex", "Offset"]
MAE, ME = "Macro-expression", "Micro-expression"
NAME = "CAS(ME)3_part_A_v2.xls"


def row(subject="spNO.1", video="a", onset="12", apex="20", offset="40", kind=MAE):
    return [subject, video, onset, apex, offset, "4+7", kind, "I"]


def labels(tmp_path, *rows, **settings):
    path = workbook(tmp_path / "labels.xlsx", [HEADER, *rows])
    return datasets.load("casme3", {"labels": str(path), **settings}, labels_only=True)


@pytest.fixture
def release(tmp_path):
    """spNO.1/a has images 8 to 60 without 19 to 21, one unreadable; spNO.10/b is upper-case on disk; spNO.2/c unlabelled."""
    root = tmp_path / "CASME3 部分 A"
    numbers = [number for number in range(8, 61) if number not in (19, 20, 21)]
    images(root / "data/part_A/spNO.1/a/color", [f"{number}.jpg" for number in numbers], bad=["30.jpg"])
    images(root / "data/part_A/spNO.1/a/depth", ["8.png"])
    images(root / "data/part_A/spNO.2/c/color", [f"{number}.jpg" for number in range(5, 10)])
    images(root / "data/part_A/spNO.10/B/color", [f"{number}.jpg" for number in range(1, 31)])
    rows = [row(), row("spNO.10", "B", "2", "4", "10", ME), row("spNO.1", "A ", "22", "30", "60")]
    blinks = [BLINKS, ["spNO.1", "a", "8", "9", "19"], ["spNO.1", "a", "15", "x", "14"], ["spNO.1", "a", "99", "", "100"],
              ["spNO.99", "m", "1", "2", "3"]]  # fmt: skip
    old_workbook(root / "annotation" / NAME, [HEADER, *rows], blinks)
    return root


def test_labels_are_ranks_among_the_images_that_are_there(release, tmp_path):
    """Image 8 is frame 0, 12 is 4, 18 is 10, 22 is 11: the apex on the missing 20 takes 22."""
    found = tables("casme3", {"root": str(release)}, tmp_path / "out")
    assert found["videos"]["video_id"].tolist() == ["spNO.1_a", "spNO.2_c", "spNO.10_b"]
    assert found["videos"]["n_frames"].tolist() == [50, 5, 30]
    assert found["expressions"]["video_id"].tolist() == ["spNO.1_a", "spNO.10_b", "spNO.1_a"]
    assert frames(found["expressions"]) == [[4, 11, 29], [1, 3, 9], [11, 19, 49]]
    assert (2, "apex", "20", "22", "no such frame: the next present one") in changes(found["repairs"])


def test_an_unreadable_image_keeps_its_frame(release, tmp_path):
    found = tables("casme3", {"root": str(release)}, tmp_path / "out")
    missing = [frame is None for frame in read_frames(found["videos"]["path"][0])]
    assert (len(missing), missing.index(True), sum(missing)) == (50, 19, 1)


def test_blinks_are_a_table_of_their_own(release, tmp_path):
    """The first ends on a missing image, the second before it begins, the third lies beyond the end; none is refused."""
    found = tables("casme3", {"root": str(release)}, tmp_path / "out")
    assert frames(found["blinks"], native=True) == [[0, 1, 11], [1, 2, 3]]
    assert found["blinks"]["video_id"].tolist() == ["spNO.1_a", "spNO.99_m"]
    assert [change for change in changes(found["repairs"]) if "blink" in change[-1]] == [
        (2, "offset", "19", "22", "blink: no such frame: the next present one"),
        (3, "row", "second sheet: '15' to '14'", "left out", "blink that cannot be used"),
        (
            4,
            "row",
            "blink: onset 99 lies beyond the last frame 60 of spNO.1_a",
            "left out",
            "blink that cannot be used",
        ),
    ]
    assert len(found["refusals"]) == 0


def test_a_second_sheet_of_something_else_gives_no_blinks(tmp_path):
    path = workbook(tmp_path / "labels.xlsx", [HEADER, row()], [["notes"], ["none"]])
    release = datasets.load("casme3", {"labels": str(path)}, labels_only=True)
    assert (release.blinks, len(release.refusals)) == (None, 0)


def test_without_recordings_numbers_are_the_releases_own(tmp_path):
    release = labels(tmp_path, row())
    assert frames(release.expressions, native=True) == [[12, 20, 40]]
    assert [(video.video_id, video.path, video.fps) for video in release.videos] == [("spNO.1_a", "", 30.0)]


def test_the_length_rule_leaves_out_what_is_longer(tmp_path):
    """At 30 fps .5 s are 15 frames and 4 s are 120; a class without a limit keeps all."""
    rows = [row(onset=1, apex=5, offset=15, kind=ME), row("spNO.2", "a", 1, 5, 16, ME),
            row("spNO.3", "a", 1, 5, 120), row("spNO.4", "a", 1, 5, 121)]  # fmt: skip
    release = labels(tmp_path, *rows, max_me_s=0.5, max_mae_s=4.0)
    assert release.expressions["row"].tolist() == [2, 4]
    assert [change for change in changes(release.repairs) if change[3] == "left out"] == [
        (3, "row", "0.53 s", "left out", "micro longer than 0.5 s"),
        (5, "row", "4.03 s", "left out", "macro longer than 4 s"),
    ]
    assert [video.video_id for video in release.videos] == [f"spNO.{number}_a" for number in (1, 2, 3, 4)]
    assert labels(tmp_path, *rows, max_me_s=0.5).expressions["row"].tolist() == [2, 4, 5]
    assert len(labels(tmp_path, *rows).expressions) == 4


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row("No1"), "subject 'No1', expected one such as spNO.1"),
        (row(video="ab"), "filename 'ab', expected a letter from a to m"),
        (row(kind="Expression"), "expression type 'Expression', expected Macro- or Micro-expression"),
        (row(offset="0"), "onset 12 > offset 0"),
        (row(onset=""), "onset '', expected a frame number"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_and_the_others_go_on(tmp_path, bad, reason):
    release = labels(tmp_path, row(), bad, row(kind=ME))
    assert release.expressions["row"].tolist() == [2, 4]
    assert release.refusals["row"].tolist() == [3]
    assert reason in release.refusals["reason"][0]


def test_apexes_outside_become_midpoints(tmp_path):
    release = labels(tmp_path, row(apex="0"), row(video="b", apex="99"), row(video="c", apex=""))
    assert release.expressions["native_apex"].tolist() == [26, 26, 26]
    assert [rule for *_, rule in changes(release.repairs)] == [
        "apex 0: midpoint", "apex after offset: midpoint", "apex -1: midpoint"
    ]  # fmt: skip


def test_a_truncated_old_excel_file_is_named(release):
    path = release / "annotation" / NAME
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InputError, match=r"v2.xls: cannot be read as Excel .* copy it again"):
        datasets.load("casme3", {"root": str(release)})


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Two rendered subjects as a release: numbers from 8 with a gap, an unreadable image, an unlabelled short video."""
    root = tmp_path_factory.mktemp("caśme 3 部") / "part_A"
    params = demo.DemoParameters(subjects=2, videos=1, seconds=3.0, width=256, height=256)
    videos, expressions = demo.plan(params, "")
    rows = []
    for number, video in enumerate(videos, start=1):
        path = root.parent / f"{number}.mp4"
        demo_render.render(params, video.video_id, path, path.with_suffix(".h5"))
        _write_images(root / f"spNO.{number}/a/color", list(read_frames(path)))
        own = expressions[expressions["video_id"] == video.video_id]
        kinds = own["class"].map({"macro": MAE, "micro": ME})
        for onset, apex, offset, kind in zip(own["onset"], own["apex"], own["offset"], kinds, strict=True):
            rows.append(row(f"spNO.{number}", "A", onset + 10, apex + 10, offset + 10, kind))
    _write_images(root / "spNO.2/b/color", list(read_frames(path))[:30])
    workbook(root / NAME, [HEADER, *rows], [BLINKS, ["spNO.1", "a", "20", "22", "24"]])
    return root


def _write_images(folder, pictures):
    """Write frame i as number i + 8, from the fourth on as i + 10; one of them cannot be read."""
    folder.mkdir(parents=True)
    for index, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{index + (8 if index < 3 else 10)}.jpg"), picture)
    (folder / "25.jpg").write_bytes(b"no image")


@pytest.mark.slow
@pytest.mark.long
def test_a_release_goes_through_the_whole_workflow_to_a_report(faces, tmp_path):
    smoke = yaml.safe_load((ROOT / "tests/smoke.yaml").read_text())
    config = {
        **smoke,
        "run": "casme3",
        "experiments": ["baseline"],
        "dataset": {"name": "casme3", "root": str(faces), "max_mae_s": 4.0},
    }
    (tmp_path / "casme3.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(tmp_path, configfile=tmp_path / "casme3.yaml")
    assert done.returncode == 0, done.stderr
    results = tmp_path / "results/casme3"
    videos = store.read_table(results / "dataset/videos.parquet", "videos")
    assert videos["n_frames"].tolist() == [90, 90, 30]
    assert store.read(next(results.glob("faces/*/spNO.1_a.h5")), "faces")["found"][15] == 0
    assert json.loads((results / "summary.json").read_text())["experiments"]["baseline"]
    assert len(store.read_table(results / "dataset/blinks.parquet", "blinks")) == 1
    assert "spNO.2" in (results / "report.html").read_text()
