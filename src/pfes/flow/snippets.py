"""Stage snippets: remove head motion from the ROI flow and choose the ROIs that SpotFormer reads.

Cheap and apart from stage flow, so that an experiment on either choice computes no flow again (METHOD 5, step 3).
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pfes.base import provenance, store
from pfes.base.config import setting
from pfes.faces.align import NOSE

N_ROIS = 10


@dataclass(frozen=True)
class SnippetParameters:
    """Head motion: ``nose`` subtracts the flow of the nose ROI from every ROI, ``none`` keeps it."""

    head_motion: str = setting(
        "nose", "what is subtracted from the flow of every ROI: nose (its motion) or none", enum=("nose", "none")
    )


def write_snippets(flow_path: Path | str, out: Path | str, params: SnippetParameters) -> None:
    """Read a file of kind ``flow`` and write one of kind ``snippets``; a refusal passes through."""
    origin = provenance.record("snippets", asdict(params), [flow_path])
    with store.refusing(out, "snippets", origin):
        arrays, facts = store.read(flow_path, "flow"), store.attributes(flow_path, "flow")
        found = {"snippets": make_snippets(arrays["flow"], params), "valid": arrays["valid"]}
        rois = " ".join(facts["rois"].split()[:N_ROIS])
        store.write(out, "snippets", found, origin, fps=facts["fps"], rois=rois, size=facts["size"])


def make_snippets(flow: NDArray[np.float32], params: SnippetParameters = SnippetParameters()) -> NDArray[np.float32]:
    """Return snippets [T, 17, 10, 2] (crop px) from ROI flow [T, 17, R, 2] before head-motion removal."""
    if params.head_motion == "nose":
        flow = flow - flow[:, :, NOSE : NOSE + 1]
    return np.ascontiguousarray(flow[:, :, :N_ROIS])
