"""Render one video of the demo dataset with its truth."""

from pfes.base.config import build
from pfes.base.logs import stage
from pfes.datasets.demo import DemoParameters
from pfes.datasets.demo_render import render

with stage(snakemake.log[0]):
    params = build(DemoParameters, snakemake.params.settings["dataset"]["demo"])
    render(params, snakemake.wildcards.video, snakemake.output.video, snakemake.output.truth)
