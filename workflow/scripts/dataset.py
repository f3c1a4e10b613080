"""Write the tables of a dataset: videos, expressions, clicks, neutral stretches, repairs, refusals."""

from pathlib import Path

from pfes import datasets
from pfes.base.logs import stage
from pfes.media.decode import SamplingParameters

with stage(snakemake.log[0]):
    p, folder = snakemake.params, Path(snakemake.output[0]).parent
    settings, sampling = p.settings["dataset"], SamplingParameters(**p.settings["sampling"])
    release = datasets.load(settings["name"], settings, Path(p.run) / "dataset")
    datasets.write_dataset(release, folder, sampling, settings)
