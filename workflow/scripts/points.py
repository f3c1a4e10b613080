"""Draw one labelled frame per expression."""

from pfes.base.logs import stage
from pfes.datasets.points import PointParameters, write_points

with stage(snakemake.log[0]):
    params = PointParameters(**snakemake.params.settings["points"])
    write_points(snakemake.input[0], snakemake.output[0], params, int(snakemake.wildcards.seed))
