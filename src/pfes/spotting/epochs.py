"""What every kept epoch of a fold's training would have spotted, for a table of ways to choose an epoch.

The protocol in which an epoch is chosen by its score on the test subject (``oracle``) is optimistic: it looks at the
answers. Nothing else in pfes does so; this table exists so that such a figure can be put beside an honest one, under its
name. It is made on request and is no part of a run.

File
----
epoch_proposals.parquet  kind ``epoch_proposals``: column ``epoch`` (from 0), then the columns of proposals, for the videos
                         of the held-out subjects. An epoch that spotted nothing has no row: its number is in ``epochs`` of
                         the provenance's parameters.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pfes.base import provenance, store
from pfes.base.config import values_of
from pfes.base.errors import InputError
from pfes.decoding.proposals import SpotParameters
from pfes.methods.base import Method
from pfes.spotting.proposal_tables import write_proposals
from pfes.training.features import extract_features, score_fold


def epoch_proposals(
    epochs: Path | str,
    snippet_paths: Mapping[str, Path | str],
    videos_path: Path | str,
    faces_paths: Mapping[str, Path | str],
    out_path: Path | str,
    params: SpotParameters,
    method: Method,
) -> None:
    """Spot the held-out videos with the model of every kept epoch and write one table.

    Parameters
    ----------
    epochs : folder of models named by their epoch, see pfes.training.fold; training.keep_every fills it.
    snippet_paths, faces_paths : of the held-out subjects' videos alone; a model refuses a subject that it has seen.
    """
    models = sorted(Path(epochs).glob("[0-9]*.pt"))
    if not models:
        raise InputError(f"{epochs}: no kept epoch; set training.keep_every and rerun rule train")
    tables = []
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            features, scores, proposals = (Path(folder) / name for name in ("f.h5", "s.h5", "p.parquet"))
            extract_features(model, snippet_paths, features)
            score_fold(model, features, snippet_paths, scores)
            write_proposals(scores, videos_path, faces_paths, proposals, params, method)
            found = store.read_table(proposals, "proposals")
        found.insert(0, "epoch", int(model.stem))
        tables.append(found)
    done = {"epochs": [int(model.stem) for model in models], "spot": values_of(params)}
    made = provenance.record("epoch_proposals", done, [*models, videos_path])
    filled = [table for table in tables if len(table)] or tables[:1]
    store.write_table(out_path, "epoch_proposals", pd.concat(filled, ignore_index=True), made)
