"""Two finished runs compared: every array and table, but for columns that hold times, memory or places."""

import json

import numpy as np

from pfes.base import store

OF_THE_MACHINE = ("seconds", "memory_mb", "path")


def same_results(expected, found):
    """Assert that ``found`` has every HDF5 and Parquet file of ``expected`` with the same content; return their number."""
    names = sorted(path.relative_to(expected) for path in expected.rglob("[!.]*") if path.suffix in (".h5", ".parquet"))
    for name in names:
        if name.suffix == ".h5":
            kind = store.describe(expected / name)["pfes_kind"]
            left, right = store.read(expected / name, kind), store.read(found / name, kind)
            assert left.keys() == right.keys(), name
            for key in left:
                np.testing.assert_array_equal(left[key], right[key], err_msg=f"{name} {key}")
        else:
            kind = store.describe(expected / name)["kind"]
            left, right = (store.read_table(root / name, kind) for root in (expected, found))
            assert list(left) == list(right), name
            own = [column for column in left if column in OF_THE_MACHINE]
            assert left.drop(columns=own).equals(right.drop(columns=own)), name
    first, second = (json.loads((root / "summary.json").read_text()) for root in (expected, found))
    assert first == second
    return len(names)
