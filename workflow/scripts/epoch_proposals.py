"""Write what each kept epoch of a fold's training would have spotted in the held-out subject's videos."""

from pathlib import Path

from pfes.base.config import build
from pfes.base.logs import stage
from pfes.decoding.proposals import SpotParameters
from pfes.spotting.epochs import epoch_proposals

with stage(snakemake.log[0]):
    snippets, faces = (
        {Path(path).stem: path for path in part} for part in (snakemake.input.snippets, snakemake.input.faces)
    )
    epochs = Path(snakemake.input.model).parent / "epochs"
    params = build(SpotParameters, snakemake.params.spot)
    epoch_proposals(epochs, snippets, snakemake.input.videos, faces, snakemake.output[0], params)
