"""The state of a training after an epoch, on disk, so that a killed job goes on where it was.

File
----
checkpoint.pt  torch.save of {kind, format, fingerprint, state}; tensors and plain types only, read with
               weights_only=True. It lies beside the model that will be written, is no output of the workflow (which
               deletes outputs of failed jobs) and is removed when training ends.

The fingerprint covers parameters, seed, what is trained on, the code and the libraries: a state of anything else is not
continued. The state holds weights, optimiser, schedule, the random states of torch (CPU, CUDA, the order of the videos)
and the rows logged so far. Training draws no random number elsewhere.
"""

import hashlib
import json
import logging
import zlib
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pfes.base import provenance
from pfes.base.errors import InputError
from pfes.base.torch_files import read_torch, write_torch

LOG = logging.getLogger(__name__)
FORMAT = 1


def save_checkpoint(path: Path, fingerprint: str, state: dict[str, Any]) -> None:
    """Write ``state`` to ``path``, whole or not at all."""
    write_torch(path, {"kind": "checkpoint", "format": FORMAT, "fingerprint": fingerprint, "state": state})


def load_checkpoint(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """Return the state in ``path``; None, with a line in the log, where there is none or it is of another training."""
    if not path.exists():
        return None
    try:
        content = read_torch(path, "a state of a training", "a checkpoint.pt written by rule train")
        found = content["kind"], content["format"], content["fingerprint"]
    except (InputError, KeyError, TypeError) as error:
        LOG.warning("%s: cannot be read (%s); training starts anew", path, error)
        return None
    if found != ("checkpoint", FORMAT, fingerprint):
        LOG.info("%s: of another training (parameters, data or code differ); training starts anew", path)
        return None
    state: dict[str, Any] = content["state"]
    return state


def random_state(generator: torch.Generator) -> dict[str, Any]:
    """Return the random states that training draws from."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"torch": torch.get_rng_state(), "cuda": cuda, "generator": generator.get_state()}


def restore_random_state(state: dict[str, Any], generator: torch.Generator) -> None:
    """Set the random states to those of ``random_state``."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    generator.set_state(state["generator"])


def fingerprint(
    videos: Sequence[Any],
    params: Sequence[Any],
    seed: int,
    start: dict[str, torch.Tensor] | None,
    module: str = "pfes.training.engine",
) -> str:
    """Return a digest of all that determines the result of a training.

    Parameters
    ----------
    videos : dataclasses of arrays and plain values; params : dataclasses of plain values; start : weights begun with.
    module : that trains.
    """
    said = {
        "params": [asdict(item) for item in params],
        "seed": seed,
        "videos": [_described(video) for video in videos],
        "start": {name: zlib.crc32(tensor.numpy().tobytes()) for name, tensor in (start or {}).items()},
        "code": provenance.code_digest(module),
        "libraries": [torch.__version__, np.__version__, torch.get_num_threads()],
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _described(item: Any) -> Any:
    if isinstance(item, np.ndarray):
        return [str(item.dtype), list(item.shape), zlib.crc32(np.ascontiguousarray(item).tobytes())]
    if is_dataclass(item):
        return {part.name: _described(getattr(item, part.name)) for part in fields(item)}
    return item
