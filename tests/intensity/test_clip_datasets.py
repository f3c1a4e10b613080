"""CASME II and SAMM as clip datasets: the steps of config/README.md on small copies of both, from their sheets to curves.

Every image is BRIGHTER grey levels brighter than the one before it, so that the crop of a step tells which files it shows.
"""

import re
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from skimage import data

from pfes import datasets
from pfes.base import store
from pfes.base.config import merged
from pfes.faces.landmarks import FaceParameters, write_faces
from pfes.intensity.clips import aligned_crop, placement, write_clips
from pfes.intensity.parameters import ClipParameters
from pfes.intensity.training import load_clips
from pfes.media.decode import SamplingParameters
from tests.conftest import ROOT, snakemake
from tests.layouts import workbook

BRIGHTER = 2.0
IMAGES = 40  # of a clip
ONSET, APEX, OFFSET = 6, 13, 34  # images after the first
TABLES = ("videos", "expressions", "repairs")
STEPS = ClipParameters(steps=8, context=2, size=64)
README = (ROOT / "config/README.md").read_text().partition("## Clip datasets")[2]


@dataclass(frozen=True)
class Layout:
    """How a release names its files; ``clips`` are subject's cell, clip, number of the first image, cell of the apex."""

    sheet: str
    above: tuple[tuple[str, ...], ...]  # rows above the header
    header: tuple[str | None, ...]
    images: str  # folder of all images
    prefix: str
    digits: int
    image: str
    grey: bool
    clips: tuple[tuple[str | int, str, int, str | int | None], ...]
    config: str  # of those that are shipped


LAYOUTS = {
    "casme2": Layout(
        "CASME2-coding-20140508.xlsx", (),
        ("Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units", "Estimated Emotion"),
        "CASME2_RAW", "sub", 2, "img{number}.jpg", False,
        ((1, "EP02_01f", 46, 59), (1, "EP03_02", 81, 94), (2, "EP01_11f", 1, "/"), (2, "EP06_02f", 990, 1003)),
        "casme_ii_clips.yaml",
    ),
    "samm": Layout(
        "SAMM_Micro_FACS_Codes_v2.xlsx", (("free text",),) * 13,
        ("Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro", "Notes"),
        "SAMM", "", 3, "{subject}_{number:05d}.jpg", True,
        (("006", "006_1_2", 5562, 5575), ("006", "006_3_4", 9990, -1), ("007", "007_3_1", 97, None), ("007", "007_4_1", 1, 14)),
        "samm_clips.yaml",
    ),
}  # fmt: skip


def subject_of(layout, cell):
    """Return the name of a subject's folder."""
    return f"{layout.prefix}{str(cell).zfill(layout.digits)}"


def write_release(layout, root):
    """Write images and sheet as released."""
    face = cv2.cvtColor(data.astronaut()[:256, 96:352], cv2.COLOR_RGB2BGR) * 0.5 + 20
    rows = [*layout.above, layout.header]
    for subject, clip, first, apex in layout.clips:
        name = subject_of(layout, subject)
        folder = root / layout.images / name / clip
        folder.mkdir(parents=True)
        for index in range(IMAGES):
            image = np.uint8(face + BRIGHTER * index)
            file = folder / layout.image.format(subject=name, number=first + index)
            cv2.imwrite(str(file), cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if layout.grey else image)
        rows.append((subject, clip, None, first + ONSET, apex, first + OFFSET, None, "4+7", "others"))
    workbook(root / layout.sheet, rows)


def make_sheets(layout, root):
    """Run the README's script with its first lines corrected."""
    (script,) = re.findall(r"```python\n(.*?)```", README.partition("\n## ")[0], re.DOTALL)
    for name, values in {
        "labels, images": f"{str(root / layout.sheet)!r}, {str(root / layout.images)!r}",
        "prefix, digits": f"{layout.prefix!r}, {layout.digits}",
    }.items():
        script, count = re.subn(rf"^{name} = .*$", f"{name} = {values}", script, flags=re.MULTILINE)
        assert count == 1
    with chdir(root):
        exec(script, {})


@pytest.fixture(scope="module", params=LAYOUTS)
def release(request, tmp_path_factory):
    """Layout, its folder with the two sheets made, and its shipped configuration."""
    layout, root = LAYOUTS[request.param], tmp_path_factory.mktemp(request.param)
    write_release(layout, root)
    make_sheets(layout, root)
    return layout, root, yaml.safe_load((ROOT / "config" / layout.config).read_text())


@pytest.fixture(scope="module")
def cut(release):
    """Layout, folder and tables of a release whose clips are cut."""
    layout, root, config = release
    sampling = SamplingParameters(**config["sampling"])
    with chdir(root):
        found = datasets.load("generic", config["dataset"])
        datasets.write_dataset(found, root, sampling, config["dataset"])
    for video in found.videos:
        faces = root / f"{video.video_id}_faces.h5"
        write_faces(video.path, video.fps, faces, sampling, FaceParameters())
        clips = root / f"{video.video_id}.h5"
        write_clips(video.path, faces, root / "expressions.parquet", video.video_id, clips, STEPS)
    return layout, root, {kind: store.read_table(root / f"{kind}.parquet", kind) for kind in TABLES}


def test_sheets_name_every_clip_and_its_folder(release):
    layout, root, _ = release
    videos = pd.read_csv(root / "videos.csv", dtype=str)
    assert videos["subject"].tolist() == [subject_of(layout, subject) for subject, *_ in layout.clips]
    assert videos["video"].tolist() == [clip for _, clip, *_ in layout.clips]
    assert all(len(list(Path(path).iterdir())) == IMAGES for path in videos["path"])
    sheet = pd.read_csv(root / "expressions.csv")
    assert sheet["onset"].tolist() == [first + ONSET for _, _, first, _ in layout.clips]


def test_every_frame_is_kept(cut):
    _, _, tables = cut
    assert tables["videos"]["n_frames"].tolist() == [IMAGES] * 4
    assert tables["videos"]["sampled_fps"].tolist() == [200.0] * 4
    assert tables["videos"]["refused"].isna().all()


def test_every_step_shows_the_files_that_the_sheet_counts(cut):
    """Steps lie evenly from the onset's file to the offset's; each crop is as bright as a crop of these files."""
    layout, root, tables = cut
    for video, (subject, _, first, _) in zip(tables["videos"].to_dict("records"), layout.clips, strict=True):
        faces = store.read(root / f"{video['video_id']}_faces.h5", "faces")
        place = placement(faces["landmarks"], faces["cut"] > 0, STEPS.smooth)[0]
        name = subject_of(layout, subject)
        numbers = np.arange(first, first + IMAGES)
        files = [Path(video["path"]) / layout.image.format(subject=name, number=number) for number in numbers]
        bright = [aligned_crop(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE), place, STEPS.size).mean() for file in files]
        made = store.read(root / f"{video['video_id']}.h5", "clips")
        own = made["clips"][made["instance"] >= 0]
        assert own.shape == (1, 12, 64, 64) and made["valid"].all()
        shown = np.interp(own[0].mean((1, 2)), bright, numbers)
        np.testing.assert_allclose(shown[2:-2], np.linspace(first + ONSET, first + OFFSET, 8), atol=0.25)


def test_an_apex_lies_where_the_sheet_says_and_a_missing_one_at_the_midpoint(cut):
    layout, root, tables = cut
    subjects = dict(tables["videos"][["video_id", "subject"]].to_numpy().tolist())
    clips = load_clips({name: root / f"{name}.h5" for name in subjects}, tables["expressions"], subjects)
    alphas = {clip.video_id: clip.alpha for clip in clips if clip.instance >= 0}
    repairs = tables["repairs"].set_index("video_id")
    for subject, clip, first, apex in layout.clips:
        midpoint = str(first + (ONSET + OFFSET) // 2)
        video_id = f"{subject_of(layout, subject)}_{clip}"
        if apex in ("/", -1, None):
            assert alphas.pop(video_id) == 0.5
            found = "" if apex is None else str(apex)
            repair = repairs.loc[video_id, ["found", "value", "rule"]]
            assert repair.tolist() == [found, midpoint, "no apex: midpoint"]
        else:
            assert alphas.pop(video_id) == (APEX - ONSET) / (OFFSET - ONSET)
            assert video_id not in repairs.index
    assert not alphas


@pytest.mark.slow
@pytest.mark.parametrize("release", ["casme2"], indirect=True)
def test_rules_need_no_spotting_to_come_to_curves(release):
    _, root, config = release
    tiny = {
        "systems": dict.fromkeys(("frame_wise", "step", "shuffled")), "clips": {"size": 32, "steps": 8}, "model": {"width": 2, "hidden": 4},
        "training": {"epochs": 1},
    }  # fmt: skip
    (root / "clips.yaml").write_text(yaml.safe_dump(merged(config, {"intensity": tiny})))
    done = snakemake(root, "intensity", configfile=root / "clips.yaml")
    assert done.returncode == 0, done.stderr
    run = root / "results" / config["run"]
    assert not any((run / stage).exists() for stage in ("flow", "snippets", "points", "train", "spot"))
    metrics = store.read_table(run / "intensity/metrics.parquet", "intensity_metrics")
    assert set(metrics["system"]) == {"gru", "position", "published"}
    assert (metrics.loc[metrics["system"] != "published", "clips"] == 4).all()
    for fold in ("sub01", "sub02"):
        curves = store.read_table(run / f"intensity/gru/{fold}/seed0/curves.parquet", "intensity_curves")
        assert len(curves) == 2 * 8 and set(curves["subject"]) == {fold}
        np.testing.assert_allclose(curves["frame"], np.tile(np.linspace(ONSET, OFFSET, 8), 2), rtol=1e-5)
        assert curves["predicted"].between(0, 1).all()
        streams = store.read_videos([run / f"intensity/gru/{fold}/seed0/stream.h5"], "stream", "intensity")
        assert [len(stream) for stream in streams.values()] == [IMAGES] * 2
    assert len(list((run / "intensity/streams").glob("*.svg"))) == 4
