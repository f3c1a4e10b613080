"""CAS(ME)^2 and SAMM-LV trees in their official layouts, with dirt, through the whole workflow to a report."""

import json

import cv2
import pytest
import yaml

from pfes.base import store
from pfes.media.decode import read_frames
from tests.conftest import ROOT, snakemake
from tests.datasets.test_samm_lv import ABOVE, HEADER
from tests.layouts import workbook

SUBJECTS = ("s01", "s02")
CASME2 = {"macro": "macro-expression", "micro": "micro-expression"}
SAMM = {"macro": "Macro", "micro": "Micro - 1/2"}


@pytest.fixture(scope="module")
def rendered(run):
    """Per subject of the smoke run: JPEG of every frame, and the rows (onset, apex, offset, class)."""
    labels = store.read_table(run / "dataset/expressions.parquet", "expressions")
    columns = ["onset", "apex", "offset", "class"]
    return [
        (
            [cv2.imencode(".jpg", frame)[1].tobytes() for frame in read_frames(run / f"dataset/demo/{name}_v01.mp4")],
            labels.loc[labels["subject"] == name, columns].to_numpy().tolist(),
        )
        for name in SUBJECTS
    ]


def casme2(root, rendered):
    """Unpadded and padded numbers, an unreadable image, a folder without labels, an offset of 0."""
    rows = []
    for number, (folder, video, images, labels) in enumerate(
        (folder, video, *item)
        for (folder, video), item in zip(
            (("s15/15_0101a", "disgust1"), ("s16/16_0508b", "happy5")), rendered, strict=True
        )
    ):
        write(
            root / "rawpic" / folder,
            (f"img{i + 1:03d}.jpg" if number else f"img{i + 1}.jpg" for i in range(999)),
            images,
        )
        for index, (onset, apex, offset, kind) in enumerate(labels):
            end = 0 if number == 0 and index == 0 else offset + 1
            rows.append([number + 1, f"{video}_{index + 1}", onset + 1, apex + 1, end, "4", "", CASME2[kind], ""])
    (root / "rawpic/s15/15_0101a/img30.jpg").write_bytes(b"no image")
    write(root / "rawpic/s16/16_0401c", (f"img{i + 1}.jpg" for i in range(999)), rendered[1][0][:40])
    workbook(root / "code_final.xlsx", rows)


def samm_lv(root, rendered):
    """200 frames a second: every seventh image is a frame of the rendered video; an apex of -1, an unlabelled folder."""
    rows = []
    for name, (images, labels) in zip(("006_1", "007_3"), rendered, strict=True):
        repeated = [image for image in images for _ in range(7)][: 7 * len(images) - 6]
        write(root / "SAMM_longvideos" / name, (f"{name}_{i + 1:04d}.jpg" for i in range(9999)), repeated)
        for index, (onset, apex, offset, kind) in enumerate(labels):
            at = [7 * frame + 1 for frame in (onset, apex, offset)]
            at[1] = -1 if index == 0 else at[1]
            rows.append([name[:3], f"{name}_{index + 1}", 1, *at, 0, SAMM[kind], "4", None])
    write(root / "SAMM_longvideos/007_4", (f"007_4_{i + 1:04d}.jpg" for i in range(9999)), rendered[1][0][:1] * 200)
    workbook(root / "SAMM_LongVideos_V2_Release.xlsx", [*ABOVE, HEADER, *rows])


def write(folder, names, images):
    folder.mkdir(parents=True)
    for name, image in zip(names, images, strict=False):
        (folder / name).write_bytes(image)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "experiment", "build", "n_frames", "rule"),
    [
        ("casme2", "journal", casme2, [120, 40, 120], "offset 0: onset + 20"),
        pytest.param("samm_lv", "baseline", samm_lv, [120, 120, 29], "apex -1: midpoint", marks=pytest.mark.long),
    ],
)
def test_a_release_goes_through_the_whole_workflow_to_a_report(
    rendered, tmp_path, name, experiment, build, n_frames, rule
):
    root = tmp_path / "release of 2018"
    build(root, rendered)
    smoke = yaml.safe_load((ROOT / "tests/smoke.yaml").read_text())
    (tmp_path / "own.yaml").write_text(
        yaml.safe_dump(
            {**smoke, "run": name, "experiments": [experiment], "dataset": {"name": name, "root": str(root)}}
        )
    )
    done = snakemake(tmp_path, configfile=tmp_path / "own.yaml")
    assert done.returncode == 0, done.stderr
    results = tmp_path / "results" / name
    assert store.read_table(results / "dataset/videos.parquet", "videos")["n_frames"].tolist() == n_frames
    assert rule in set(store.read_table(results / "dataset/repairs.parquet", "repairs")["rule"])
    summary = json.loads((results / "summary.json").read_text())["experiments"][experiment]["overall"]
    assert summary["tp"] + summary["fn"] == sum(len(labels) for _, labels in rendered)
    assert rule in (results / "report.html").read_text()
