"""Draw one labelled frame per expression."""

from pfes.logs import stage
from pfes.points import PointParameters, write_points

with stage(snakemake.log[0]):
    seed = int(snakemake.wildcards.seed)
    write_points(snakemake.input[0], snakemake.output[0], PointParameters(**snakemake.params.points), seed)
