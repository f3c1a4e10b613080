"""Measure how the regions of the face of one recording are displaced against its rest."""

from pfes.base.logs import stage
from pfes.flow.displacement import DisplacementParameters, write_displacement
from pfes.flow.sw_mro import FlowParameters

with stage(snakemake.log[0]):
    p = snakemake.params
    flow = FlowParameters(**{**snakemake.config["flow"], **p.settings["flow"]})
    params = DisplacementParameters(**p.settings["displacement"])
    write_displacement(p.recording, snakemake.input.faces, snakemake.output[0], flow, params, cores=snakemake.threads)
