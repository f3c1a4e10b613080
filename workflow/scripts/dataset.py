"""Write the tables of a dataset: videos, expressions, repairs, refusals."""

from pathlib import Path

from pfes import datasets
from pfes.base.logs import stage
from pfes.media.decode import SamplingParameters

with stage(snakemake.log[0]):
    settings = snakemake.params.dataset
    release = datasets.load(settings["name"], settings, Path(snakemake.params.run) / "dataset")
    folder = Path(snakemake.output[0]).parent
    datasets.write_dataset(release, folder, SamplingParameters(**snakemake.params.sampling), settings)
