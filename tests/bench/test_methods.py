"""The benchmark of heads: every method that is trained passes, on a video short enough for a test."""

import pytest

from pfes.base.errors import InputError
from pfes.bench import methods


def test_every_trained_method_is_measured(monkeypatch):
    """In this process, which is faster; memory is then not that of a method."""
    monkeypatch.setattr(methods, "in_process", lambda module, task: methods.measure(task))
    table = methods.bench_methods(120, 16, "cpu")
    assert table["method"].tolist() == list(methods.LEARNED) and len(table) == 9
    assert (table.drop(columns=["method", "proposals"]) > 0).all(axis=None)


def test_what_cannot_be_measured_is_said():
    for frames, names, message in (
        (0, ["lac"], "frames 0"),
        (9, ["training_free"], "nothing to train"),
        (9, ["x"], "'x'"),
    ):
        with pytest.raises(InputError, match=message):
            methods.bench_methods(frames, 16, "cpu", names)
