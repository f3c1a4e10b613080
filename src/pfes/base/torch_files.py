"""Files of torch: tensors and plain types only, written whole or not at all, read without running code from them."""

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from pfes.base import store
from pfes.base.errors import InputError


def write_torch(path: Path | str, content: Any) -> None:
    """Write ``content`` to ``path``."""
    buffer = io.BytesIO()  # so that the archive's inner names, and with them its bytes, do not depend on the path
    torch.save(content, buffer)
    with store.atomic(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def read_torch(path: Path | str, what: str, expected: str) -> Any:
    """Return what ``path`` holds, on the CPU; raise InputError that it is not ``what``, but ``expected`` was expected."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; expected {expected}")
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself looks at no checksum
            if (member := archive.testzip()) is not None:
                raise ValueError(f"the checksum of {member} does not match: the file is damaged")
        return torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # bytes that are no archive raise whatever their first opcode leads to; torch's text advises
        raise InputError(  # to switch the check off, which could run any program
            f"{path}: not {what}; it is no file of torch, is damaged, or holds more than tensors and plain values; expected"
            f" {expected}"
        ) from error
