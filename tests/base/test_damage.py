"""A file with one flipped bit, or cut short: what it says is what was written, or it is refused and named. Never another number."""

import random

import numpy as np
import pandas as pd
import pytest

from pfes.base import store
from pfes.base.errors import InputError
from pfes.network.parameters import ModelParameters
from pfes.training.checkpoint import load_checkpoint, save_checkpoint
from pfes.training.model import SpottingModel, load_model, save_model

FLIPS, CUTS = 60, 20


def write_arrays(path):
    values = np.random.default_rng(0).normal(size=(120, 10, 2)).astype(np.float32)
    store.write(path, "displacement", {"displacement": values}, {"made": "here"}, fps=29.97, cuts=3)


def read_arrays(path):
    found = store.read_whole(path, "displacement")
    arrays = {name: (str(array.dtype), array.tobytes()) for name, array in found.arrays.items()}
    return arrays, {name: str(value) for name, value in found.attributes.items()}


def write_cells(path):
    generator = np.random.default_rng(0)
    columns = {"subject": ["s1", "s2"] * 100, "onset": generator.integers(0, 500, 200), "score": generator.random(200)}
    store.write_table(path, "proposals", pd.DataFrame(columns), {"made": "here"})


def read_cells(path):
    return store.read_table(path, "proposals").to_dict()


def write_weights(path):
    meta = {"held_out": ["a"], "train_subjects": ["b"], "train_videos": ["v"], "model": {"width": 8, "heads": 2}}
    save_model(path, SpottingModel(ModelParameters(width=8, heads=2)), meta)


def read_weights(path):
    model, meta = load_model(path)
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}, repr(meta)


KINDS = [
    (".h5", write_arrays, read_arrays),
    (".parquet", write_cells, read_cells),
    (".pt", write_weights, read_weights),
]


@pytest.mark.parametrize(("ending", "write", "read"), KINDS, ids=["hdf5", "parquet", "model"])
def test_no_flipped_bit_changes_what_is_read(tmp_path, ending, write, read):
    path = tmp_path / f"whole{ending}"
    write(path)
    expected, content, chance = read(path), path.read_bytes(), random.Random(0)
    refused, other = [], tmp_path / f"damaged{ending}"
    for case in range(FLIPS + CUTS):
        damaged = bytearray(content)
        if case < FLIPS:
            bit = chance.randrange(8 * len(damaged))
            damaged[bit // 8] ^= 1 << bit % 8
        else:
            del damaged[chance.randrange(len(damaged)) :]
        other.write_bytes(damaged)
        try:
            assert read(other) == expected, f"case {case} reads otherwise"
        except InputError as error:
            refused.append(str(error))
    assert len(refused) > (FLIPS + CUTS) / 3
    assert all(str(other) in said and "\n" not in said for said in refused)


def test_a_damaged_state_of_a_training_is_not_gone_on_from(tmp_path, caplog):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, "mark", {"epoch": 3})
    assert load_checkpoint(path, "mark") == {"epoch": 3}
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    assert load_checkpoint(path, "mark") is None
    assert "training starts anew" in caplog.text


def test_a_table_of_another_version_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "VERSION", 1)
    write_cells(tmp_path / "a.parquet")
    monkeypatch.undo()
    with pytest.raises(InputError, match="'proposals' of format 1, expected format 3; rerun rule spot"):
        read_cells(tmp_path / "a.parquet")
