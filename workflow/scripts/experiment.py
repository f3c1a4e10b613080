"""Write the settings that a model of an experiment needs beside it, to spot new recordings."""

import json

from pfes.base.logs import stage
from pfes.base.store import atomic

with stage(snakemake.log[0]), atomic(snakemake.output[0]) as temporary:
    temporary.write_text(json.dumps(snakemake.params.settings, indent=2))
