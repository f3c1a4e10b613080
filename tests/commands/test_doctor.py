"""A missing system library is named with the package that holds it, in one line."""

import pytest

from pfes.commands.doctor import advice


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "libGL.so.1: cannot open shared object file: No such file or directory",
            "apt-get install libgl1 libglib2.0-0",
        ),
        ("libgthread-2.0.so.0: cannot open shared object file", "apt-get install libgl1 libglib2.0-0"),
        ("libEGL.so.1: cannot open shared object file", "apt-get install libgl1 libglib2.0-0 libegl1"),
        ("libodd.so.7: cannot open shared object file", "apt-file search libodd.so.7"),
    ],
)
def test_advice(message, expected):
    line = advice(ImportError(message, name="cv2"))
    assert line.endswith(expected)
    assert "\n" not in line


def test_another_import_error_says_to_set_up_again():
    assert "rm -r .venv" in advice(ImportError("No module named 'cv2'", name="cv2"))
