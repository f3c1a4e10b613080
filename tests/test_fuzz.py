"""Doors that bytes come in by, searched by coverage (atheris): what is not read is refused in words, whatever the bytes.

Beside ``test_doors``, whose damages are blind: here an input that reaches new lines of pfes is kept and changed further.
"""

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from pfes.base import store
from pfes.network.parameters import ModelParameters
from pfes.training.model import SpottingModel, save_model
from tests import test_doors

SECONDS = int(os.environ.get("PFES_TEST_FUZZ", "6"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("atheris") is None, reason="atheris is not installed (it has no wheel for this Python)"
    ),
]


def model(path):
    small = SpottingModel(ModelParameters(width=8, heads=2), "journal")
    save_model(path, small, {"held_out": [], "train_subjects": []})


def arrays(path):
    with store.create(path, "snippets", {"params": {}}) as writer:
        writer.append("valid", np.ones(5, bool))


def parquet(path):
    store.write_table(path, "points", pd.DataFrame({"video_id": ["a", "b"], "frame": [3, 5]}), {"params": {}})


STORE = "from pfes.base import store"
DOORS = {name: test_doors.DOORS[name] for name in ("elan", "boris", "videos sheet", "expressions sheet", "config")} | {
    "hdf5": ("snippets.h5", arrays, STORE, "store.read(path, 'snippets')"),
    "parquet": ("points.parquet", parquet, STORE, "store.read_table(path, 'points')"),
    "model": ("model.pt", model, "from pfes.training.model import load_model", "load_model(path)"),
}
FUZZ = """
import logging, sys, warnings
from pathlib import Path
import atheris
import pandas as pd
with atheris.instrument_imports(include=["pfes"]):
    {imports}
    from pfes.base.errors import InputError
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
{film}
path = Path(sys.argv[1])

def one(data):
    path.write_bytes(data)
    try:
        {read}
    except InputError:
        pass

atheris.Setup([sys.argv[0], *sys.argv[2:]], one)
atheris.Fuzz()
"""


@pytest.mark.parametrize("door", DOORS)
def test_bytes_are_read_or_refused(tmp_path, door):
    name, good, imports, read = DOORS[door]
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    good(corpus / name)
    (tmp_path / "videos.txt").write_text(test_doors.VIDEOS_SHEET)
    source = FUZZ.format(imports=imports, read=read, film=test_doors.FILM)
    options = [f"-max_total_time={SECONDS}", "-timeout=60", "-rss_limit_mb=4000", "-seed=1", "-max_len=20000", corpus]
    done = subprocess.run(
        [sys.executable, "-c", source, tmp_path / name, *options],
        capture_output=True, text=True, cwd=tmp_path, timeout=SECONDS + 300, check=False,
    )  # fmt: skip
    tried = re.findall(r"#(\d+)\s+DONE", done.stderr)
    print(f"door {door}: {tried} cases in {SECONDS} s")
    assert done.returncode == 0 and tried, done.stdout[-4000:] or done.stderr[-4000:]
