"""Render one video of the demo dataset with its truth."""

from pfes.config import build
from pfes.datasets.demo import DemoParameters
from pfes.datasets.demo_render import render
from pfes.logs import stage

with stage(snakemake.log[0]):
    params = build(DemoParameters, snakemake.params.settings)
    render(params, snakemake.wildcards.video, snakemake.output.video, snakemake.output.truth)
