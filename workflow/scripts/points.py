"""Draw one labelled frame per expression."""

from pfes.base.logs import stage
from pfes.datasets.points import PointParameters, write_points

with stage(snakemake.log[0]):
    params = PointParameters(**snakemake.params.settings["points"])
    expressions, clicks = snakemake.input
    write_points(expressions, snakemake.output[0], params, int(snakemake.wildcards.seed), clicks)
