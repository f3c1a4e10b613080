"""Compute the SW-MRO flow of one recording at the regions of interest."""

from pfes.base.logs import stage
from pfes.flow.sw_mro import FlowParameters, write_flow

with stage(snakemake.log[0]):
    p = snakemake.params
    params = FlowParameters(**{**snakemake.config["flow"], **p.settings["flow"]})
    write_flow(p.recording, snakemake.input.faces, snakemake.output[0], params, cores=snakemake.threads)
