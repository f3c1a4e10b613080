"""From clicks to a model: the configuration of the workflow, and, slowly, all of it."""

import json

import numpy as np
import pytest
import yaml

from pfes.base import store
from pfes.base.errors import InputError
from pfes.commands.learn import SIZES, configuration, for_release, learn, worse_than_box
from pfes.datasets.points import some_points
from pfes.training.box import SPOT
from pfes.workflow.plan import plan_file


def sheets(folder, rows, subjects="ab"):
    videos = "".join(f"{name},v,{name}.mp4\n" for name in subjects)
    (folder / "videos.csv").write_text(f"subject,video,path\n{videos}")
    (folder / "e.csv").write_text(f"subject,video,class,onset,offset,point\n{rows}")
    return folder / "e.csv", folder / "videos.csv"


def planned(folder, rows, size="small", **more):
    config = configuration(*sheets(folder, rows, **more), size, curve=False)
    (folder / "c.yaml").write_text(yaml.safe_dump(config))
    return for_release(config, plan_file(folder / "c.yaml"), size)


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_a_configuration_that_the_workflow_takes(tmp_path, size):
    assert planned(tmp_path, "a,v,macro,,,3\nb,v,micro,,,3\n", size)["points"] == {"mode": "given"}


def test_points_are_clicks_where_all_have_one_and_apexes_otherwise(tmp_path):
    assert planned(tmp_path, "a,v,macro,1,9,3\nb,v,micro,,,3\n")["points"] == {"mode": "given"}
    assert planned(tmp_path, "a,v,macro,1,9,\nb,v,micro,,,3\n")["points"] == {"mode": "apex"}


def test_many_subjects_are_tested_in_groups(tmp_path):
    assert "folds" not in planned(tmp_path, "a,v,macro,,,3\n", subjects="abcd")
    assert planned(tmp_path, "a,v,macro,,,3\n", subjects="abcde")["folds"] == {"scheme": "groups", "groups": 4}


@pytest.mark.parametrize(
    ("rows", "message"), [("", "no expression; click on some with: pfes label"), ("a,v,macro,,,\n", "no frame")]
)
def test_sheets_without_a_click_are_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        learn(*sheets(tmp_path, rows), tmp_path / "out")


def test_a_share_of_the_clicks_is_drawn_per_class_and_part_of_a_larger_one():
    import pandas as pd

    points = pd.DataFrame({"video_id": "a", "instance": np.arange(20), "class": ["macro"] * 16 + ["micro"] * 4})
    kept = {share: some_points(points, share, 3) for share in (0.25, 0.5, 1.0)}
    assert kept[0.25]["class"].value_counts().to_dict() == {"macro": 4, "micro": 1}
    assert set(kept[0.25]["instance"]) < set(kept[0.5]["instance"]) < set(kept[1.0]["instance"])
    assert len(kept[1.0]) == 20
    assert set(some_points(points, 0.25, 4)["instance"]) != set(kept[0.25]["instance"])


@pytest.mark.slow
@pytest.mark.long
def test_clicks_on_the_smoke_demo_become_a_model_with_a_card(run, tmp_path):
    videos, truth = (store.read_table(run / f"dataset/{name}.parquet", name) for name in ("videos", "expressions"))
    videos = videos.assign(path=[str((run.parents[1] / path).resolve()) for path in videos["path"]])
    videos[["subject", "video", "path"]].to_csv(tmp_path / "videos.csv", index=False)
    truth.assign(point=truth["native_apex"])[["subject", "video", "class", "point"]].to_csv(
        tmp_path / "e.csv", index=False
    )
    found = learn(tmp_path / "e.csv", tmp_path / "videos.csv", tmp_path / "out", licence="CC0")
    card = json.loads(found.card.read_text())
    assert (card["subjects"], card["recordings"], card["licence"]) == (3, 3, "CC0")
    assert sum(card["clicks"].values()) == len(truth)
    assert (
        set(card["held_out"]) == {"journal", "box", "training_free", "baseline"}
        and found.model.is_file()
        and found.report.is_file()
    )


def found(journal, box):
    """A table of what two experiments found of 20 clicks in 10 minutes: (found, proposals) of each."""
    import pandas as pd

    rows = [
        {"experiment": name, "class": "overall", "clicks": 20, "found": hits, "proposals_per_minute": proposals / 10,
         "recorded_minutes": 10.0}
        for name, (hits, proposals) in (("journal", journal), ("box", box)) if hits is not None
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("journal", "box", "worse"),
    [
        ((10, 20), (8, 20), False),
        ((8, 20), (10, 20), True),
        ((12, 80), (10, 20), True),  # more is found, but of four times as many proposals
        ((10, 20), (10, 20), False),
        ((1, 50), (None, None), False),  # of a size that does not begin at the box
    ],
)
def test_what_was_learned_is_kept_unless_it_is_worse_than_the_box(journal, box, worse):
    assert worse_than_box(found(journal, box)) is worse


def test_the_small_size_begins_at_the_box_and_is_compared_with_it(tmp_path):
    rows = "a,v,macro,,,3\nb,v,micro,,,3\n"
    small, medium = (planned(tmp_path, rows, size) for size in ("small", "medium"))
    assert small["experiments"] == ["journal", "training_free", "box"] and small["spot"] == SPOT
    assert (small["training"]["start"], small["training"]["start_layers"]) == ("box", "heads")
    assert medium["experiments"] == ["journal", "training_free"] and "start" not in medium["training"]
