"""Where the workflow lies: Snakefile, rules, scripts, schemas, profiles and the shipped configuration.

In a checkout, an editable install too, it is the root of the repository. An installed wheel has it inside of the package,
in ``pfes/_workflow`` (setup.py puts it there).
"""

import re
from pathlib import Path

import pfes

PACKAGE = Path(pfes.__file__).resolve().parent
ROOT = PACKAGE / "_workflow" if (PACKAGE / "_workflow").is_dir() else PACKAGE.parents[1]
SCHEMAS = ROOT / "workflow/schemas"
# A path that a shell takes as it is. Snakemake does not quote that of Python.
SHELL_WORD = re.compile(r"[\w@%+=:,./-]+")
# Folders that an experiment is looked for in: the project's own, that is the working folder's, then the shipped one.
EXPERIMENTS = (Path("config/experiments"), ROOT / "config/experiments")
