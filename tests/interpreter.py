"""Triton's interpreter, which has to be chosen before Triton is imported: hence another process."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="Triton is not installed (it comes with torch for CUDA)"
)


def assert_equal_there(source):
    """Run Python ``source``, which prints "equal" at its end, where Triton interprets its kernels."""
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == "equal", done.stderr
