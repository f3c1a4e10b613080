"""Published figures of continuous intensity stand in the table of the very dataset, and nowhere else."""

import numpy as np
import pandas as pd
import pytest
import yaml
from rich.console import Console

from pfes.base import store
from pfes.base.config import check, merged
from pfes.intensity.comparison import rich_table, score_curves
from tests.conftest import ROOT


def curves(path):
    tau = np.linspace(0, 1, 16)
    parts = [
        pd.DataFrame({
            "subject": subject, "video_id": f"{subject}_v", "instance": 0, "class": "micro", "step": np.arange(16),
            "tau": tau, "triangle": 1 - abs(2 * tau - 1), "frame": 10 + np.arange(16.0), "predicted": tau,
        })
        for subject in ("a", "b")
    ]  # fmt: skip
    store.write_table(path, "intensity_curves", pd.concat(parts, ignore_index=True), {})
    return {("gru", 0): [path]}


@pytest.mark.parametrize(
    ("dataset", "spearman", "kendall"), [("samm", 0.9014, 0.7999), ("casme_ii", 0.9116, 0.8168), (None, None, None)]
)
def test_the_row_is_what_the_paper_prints(tmp_path, dataset, spearman, kendall):
    out = tmp_path / "clips.parquet", tmp_path / "metrics.parquet"
    score_curves(curves(tmp_path / "gru.parquet"), *out, dataset=dataset)
    rows = store.read_table(out[1], "intensity_metrics")
    theirs = rows[rows["system"] == "published"]
    assert len(theirs) == (dataset is not None)
    if dataset is not None:
        assert theirs[["reference", "spearman", "kendall"]].to_numpy().tolist() == [["triangle", spearman, kendall]]
        assert theirs[["mae", "spearman_low"]].isna().all(axis=None)
        console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
        console.print(rich_table(rows[rows["class"] == "all"], {"spearman": "Spearman", "kendall": "Kendall"}, "t"))
        assert f"{spearman:.3f}" in console.export_text()
        assert "nan" not in console.export_text()


@pytest.mark.parametrize("name", ["casme_ii_clips", "samm_clips"])
def test_the_published_settings_are_configurations(name):
    own = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    config = merged(yaml.safe_load((ROOT / "config/config.yaml").read_text()), own)
    check(config, ROOT / "workflow/schemas/config.schema.yaml", name)
    intensity = config["intensity"]
    assert intensity["of"] == name.removesuffix("_clips")
    assert (intensity["training"]["context"], intensity["training"]["neutral"]) == (0, False)
    assert intensity["loss"]["ranking"] == (0 if name == "casme_ii_clips" else 0.1)
    assert {own["training"]["shape"] for own in intensity["systems"].values() if "training" in own} == {
        "step", "shuffled",
    }  # fmt: skip
