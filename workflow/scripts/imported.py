"""Take over the snippets and the stand-in for faces of one video from imported features."""

import shutil
from pathlib import Path

from pfes.base.logs import stage

with stage(snakemake.log[0]):
    snippets = Path(snakemake.input[0])
    shutil.copyfile(snippets, snakemake.output.snippets)
    shutil.copyfile(snippets.parents[1] / "faces" / snippets.name, snakemake.output.faces)
