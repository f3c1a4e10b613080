"""A trained model as an ONNX file, for programs without PyTorch.

Conventions
-----------
Input   ``snippets`` float32 [T, 17, 10, 2], px of the aligned crop, T >= 2: what a file of the stage ``snippets`` holds.
Outputs ``intensity`` float32 [T] in [0, 1] and ``class_scores`` float32 [T, 2], macro and micro; ``outputs`` [T, n] of
        methods that decode from more (fully supervised SpotFormer: the ten probabilities).
``metadata_props``: ``pfes``, the meta of the model file as JSON (settings, subjects it was trained on, versions).

Proposals come from ``pfes.decoding.proposals.propose``, which needs numpy and pandas alone.

Differences
-----------
None in what is computed; agreement with PyTorch is to rounding (2e-7 on random weights).
"""

import json
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.records import WINDOW
from pfes.flow.snippets import N_ROIS
from pfes.training.model import SpottingModel, load_model

EXAMPLE_FRAMES = 8  # of the snippets that the export traces; any T from 2 works afterwards


class _Curves(nn.Module):
    """The curves of a model, the output that ONNX gets."""

    def __init__(self, model: SpottingModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, snippets: Tensor) -> tuple[Tensor, ...]:
        features, intensity, class_scores = self.model(snippets)
        outputs = self.model.method.outputs(self.model.head, features)
        return (intensity, class_scores) if outputs is None else (intensity, class_scores, outputs)


def export_onnx(model_path: Path | str, out: Path | str) -> list[str]:
    """Write the model of ``model_path`` to ``out`` and return the names of its outputs.

    Raises
    ------
    InputError
        It is no model, ONNX is not installed, or proposals of its method are not made from curves (HR-Pro, TSP-Net).
    """
    model, meta = load_model(model_path)
    snippets = torch.zeros(EXAMPLE_FRAMES, WINDOW, N_ROIS, 2)
    seen = np.ones(EXAMPLE_FRAMES, bool)
    with torch.inference_mode():
        if model.method.candidates(model.head, model.spotformer(snippets), seen) is not None:
            raise InputError(
                f"{model_path}: {model.method.name} refines proposals with its network; only curves can be exported"
            )
        names = ["intensity", "class_scores", "outputs"][: len(_Curves(model)(snippets))]
    try:
        import onnx
        import onnxscript  # noqa: F401  torch needs it
    except ImportError as error:
        raise InputError(f'{error.name} is not installed; install it with: pip install "pfes[onnx]"') from error
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), store.atomic(out) as temporary:
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Curves(model).eval(), (snippets,), dynamo=True, verbose=False, input_names=["snippets"],
            output_names=names, dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
        )  # fmt: skip
        assert program is not None
        graph = program.model_proto
        onnx.helper.set_model_props(graph, {"pfes": json.dumps(meta)})
        onnx.save(graph, temporary)
    return names
