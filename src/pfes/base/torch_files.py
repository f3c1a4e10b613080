"""Files of torch: tensors and plain types only, written whole or not at all, read without running code from them."""

import io
import pickle
import zipfile
import zlib
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
    try:
        with zipfile.ZipFile(path) as archive:  # torch itself looks at no checksum
            if (member := archive.testzip()) is not None:
                raise ValueError(f"the checksum of {member} does not match: the file is damaged")
        return torch.load(path, map_location="cpu", weights_only=True)
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        zlib.error,
        zipfile.BadZipFile,
        pickle.UnpicklingError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not {what} ({reason}); expected {expected}") from error
