"""The network and its file: SpotFormer with the head of a method, saved with all that is needed to use it.

File
----
model.pt  torch.save of {kind, format, state, meta}; tensors and plain types only, read with weights_only=True.
          meta: model, training, spotting (parameters), experiment, seed, held_out, validation_subjects,
          train_subjects, train_videos, provenance. Subjects and videos are lists.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pfes.base import store
from pfes.base.config import build
from pfes.base.errors import InputError
from pfes.base.torch_files import read_torch, write_torch
from pfes.methods.registry import learned
from pfes.network.parameters import ModelParameters
from pfes.network.spotformer import SpotFormer

FORMAT = 1
CHUNK = 256  # frames per inference batch; bounds memory

Subjects = str | Iterable[str] | None


class SpottingModel(nn.Module):
    """SpotFormer and the head of a method."""

    def __init__(self, params: ModelParameters, method: str = "journal") -> None:
        super().__init__()
        self.params, self.method = params, learned(method)
        self.spotformer = SpotFormer(params.width, params.heads, params.padding, params.dropout, params.block_dropout)
        self.head = self.method.head(params.width, params.head_dropout)

    def forward(self, snippets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features [T, D], intensity [T] and class scores [T, 2] of ``snippets`` [T, 17, 10, 2]."""
        features = self.spotformer(snippets)
        _, intensity, class_scores = self.head(features)
        return features, intensity, class_scores


@torch.inference_mode()
def predict(
    model: SpottingModel, snippets: NDArray[np.float32], *, chunk: int = CHUNK
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return features [T, D], intensity [T] and class scores [T, 2] of ``snippets`` [T, 17, 10, 2], in eval mode.

    ``chunk`` frames pass SpotFormer at a time, so that memory grows with T by its features alone. T may be 0.
    """
    model.eval()
    device = next(model.parameters()).device
    parts = [torch.as_tensor(snippets[i : i + chunk], device=device) for i in range(0, max(len(snippets), 1), chunk)]
    features = torch.cat([model.spotformer(part) for part in parts])
    _, intensity, class_scores = model.head(features)  # of all frames: a head may look at the neighbours of a frame
    return features.cpu().numpy(), intensity.cpu().numpy(), class_scores.cpu().numpy()


@contextmanager
def reproducible(seed: int, *, deterministic: bool = True) -> Iterator[None]:
    """Seed torch, use one thread and deterministic algorithms inside the block; the caller's settings come back after.

    With several threads a sum is split by their number, which changes its rounding. Not ``deterministic``: seed only.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may sum in any order
    threads, before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if deterministic:
            torch.set_num_threads(1)
            torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(before)


def choose_device(name: str) -> torch.device:
    """Return the device ``name``: cpu, cuda, or for auto CUDA where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("training: device cuda, but torch finds no CUDA device; use auto or cpu")
    return torch.device(name)


def save_model(path: Path | str, model: SpottingModel, meta: Mapping[str, Any]) -> None:
    """Write ``model`` and ``meta`` (plain types only) to ``path``."""
    plain = json.loads(json.dumps(dict(meta)))
    write_torch(path, {"kind": "model", "format": FORMAT, "state": model.state_dict(), "meta": plain})


def load_model(path: Path | str, *, for_subject: Subjects = None) -> tuple[SpottingModel, dict[str, Any]]:
    """Read a model (eval mode, CPU) and its meta.

    Parameters
    ----------
    for_subject : subject, or subjects, that the model is to be tested on.

    Raises
    ------
    InputError
        The file is no pfes model, or the model was trained on ``for_subject``.
    """
    content = read_torch(path, "a pfes model", "a model.pt written by rule train")
    if not isinstance(content, dict) or content.get("kind") != "model":
        raise InputError(f"{path}: not a pfes model; expected a model.pt written by rule train")
    if content["format"] != FORMAT:
        raise InputError(f"{path}: model of format {content['format']}, expected {FORMAT}; rerun rule train")
    meta = content["meta"]
    meta["held_out"] = subject_list(meta["held_out"])
    seen = [subject for subject in subject_list(for_subject) if subject in meta["train_subjects"]]
    if seen:
        raise InputError(
            f"{path}: this model was trained on subject {seen[0]!r} and cannot be tested on it; "
            f"it was made for subject {', '.join(map(repr, meta['held_out'])) or 'none in particular'}"
        )
    model = SpottingModel(build(ModelParameters, meta["model"]), method_name(meta))
    model.load_state_dict(content["state"])
    return model.eval(), meta


def method_name(meta: Mapping[str, Any]) -> str:
    """Return the method of a model from its meta; models of before 0.2 call it the system."""
    training = meta.get("training", {})
    return str(training.get("method", training.get("system", "journal")))


def subject_list(subjects: Subjects) -> list[str]:
    """Return one subject, several, or none as a list."""
    return [subjects] if isinstance(subjects, str) else sorted(subjects or ())


def read_snippets(path: Path | str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read snippets [T, 17, 10, 2] and valid [T]; what an invalid frame holds is read as no motion."""
    arrays = store.read(path, "snippets")
    snippets, valid = arrays["snippets"].astype(np.float32), arrays["valid"].astype(bool)
    finite = np.isfinite(snippets).all(axis=(1, 2, 3))
    if (valid & ~finite).any():
        frame = int(np.flatnonzero(valid & ~finite)[0])
        raise InputError(
            f"{path}: flow of frame {frame} is not finite though the frame is valid; delete it and rerun rule snippets"
        )
    snippets[~finite] = 0
    return snippets, valid
