"""Write what each kept epoch of a fold's training would have spotted in the held-out subject's videos."""

from pathlib import Path

from pfes.config import build
from pfes.epochs import epoch_proposals
from pfes.logs import stage
from pfes.proposals import SpotParameters

with stage(snakemake.log[0]):
    snippets, faces = (
        {Path(path).stem: path for path in part} for part in (snakemake.input.snippets, snakemake.input.faces)
    )
    epochs = Path(snakemake.input.model).parent / "epochs"
    params = build(SpotParameters, snakemake.params.spot)
    epoch_proposals(epochs, snippets, snakemake.input.videos, faces, snakemake.output[0], params)
