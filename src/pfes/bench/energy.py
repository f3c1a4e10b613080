"""The TV-L1 energy that a flow reaches on a pair of images, beside that of a long minimisation.

Conventions
-----------
    E(u) = sum |grad u_x| + |grad u_y| + lambda sum |I1(x + u) - I0(x)|

as [S] (doi 10.5201/ipol.2013.26): forward differences, 0 across the last column and row, lambda .15 for grey levels
0..255. I1 is sampled bicubically, positions held at the border.

A low energy is no proof of a small error: smooth motion has more of it than flattened motion (docs/benchmarks.md).
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch.nn import functional

from pfes.base.errors import InputError
from pfes.flow.tvl1 import TVL1, tvl1

LAMBDA = 0.15
PURE = TVL1(
    lambda_=LAMBDA,
    delta=0,
    epsilon=0,
    cell=1,
    window=False,
    adapt=False,
    light=False,
    local=False,
    trust=False,
    prefilter=0,
)

Image = NDArray[np.uint8]
Flow = NDArray[np.float32]


def bench_energy(reference: Path | str, moving: Path | str, steps: int = 2000) -> pd.DataFrame:
    """Return the energy of every flow on two image files: ``flow``, ``energy``, ``variation``, ``data`` (with lambda).

    Raises
    ------
    InputError
        An image cannot be read, or the two differ in size.
    """
    first, second = _read(reference), _read(moving)
    if first.shape != second.shape:
        raise InputError(f"{moving}: {second.shape[::-1]} px, expected {first.shape[::-1]} px as {reference}")
    solve: Any = cv2.optflow.DualTVL1OpticalFlow_create().calc  # type: ignore[attr-defined]
    flows = {
        "no flow": np.zeros((*first.shape, 2), np.float32),
        "OpenCV TV-L1": solve(first, second, None),
        "pfes TV-L1": tvl1(first, second),
        "pfes TV-L1, energy of [S]": tvl1(first, second, PURE),
    }
    start = min(flows, key=lambda name: sum(energy(flows[name], first, second)))
    flows["long minimisation"] = minimise(flows[start], first, second, steps)
    rows = [(name, *energy(flow, first, second)) for name, flow in flows.items()]
    table = pd.DataFrame(rows, columns=["flow", "variation", "data"])
    table.insert(1, "energy", table["variation"] + table["data"])
    return table


def energy(flow: Flow, reference: Image, moving: Image) -> tuple[float, float]:
    """Return total variation and lambda times the data term of ``flow`` [H, W, 2] on two images [H, W]."""
    variation, data = _terms(*_tensors(flow, reference, moving), 0.0)
    return float(variation), float(data)


def minimise(start: Flow, reference: Image, moving: Image, steps: int) -> Flow:
    """Return the flow [H, W, 2] of lowest energy on the way of ``steps`` of Adam down the energy from ``start``.

    The absolute values are rounded off at .001, the step falls from .05 px to 0.
    """
    u, first, second = _tensors(start, reference, moving)
    u = u.clone().requires_grad_()
    best, lowest = u.detach().clone(), float("inf")
    optimiser = torch.optim.Adam([u], lr=0.05)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 1e-3, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        with torch.no_grad():
            now = float(sum(_terms(u, first, second, 0.0)))
        if now < lowest:
            best, lowest = u.detach().clone(), now
        torch.stack(_terms(u, first, second, 1e-3)).sum().backward()
        optimiser.step()
        schedule.step()
    return np.ascontiguousarray(best.movedim(0, -1).numpy())


def _tensors(flow: Flow, reference: Image, moving: Image) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    u = torch.from_numpy(np.ascontiguousarray(flow, np.float32)).movedim(-1, 0)  # (2, H, W)
    return u, torch.from_numpy(reference.astype(np.float32)), torch.from_numpy(moving.astype(np.float32))


def _terms(
    u: torch.Tensor, first: torch.Tensor, second: torch.Tensor, rounding: float
) -> tuple[torch.Tensor, torch.Tensor]:
    h, w = first.shape
    x = (torch.arange(w) + u[0]) * (2 / (w - 1)) - 1
    y = (torch.arange(h)[:, None] + u[1]) * (2 / (h - 1)) - 1
    grid = torch.stack([x, y], -1)[None]  # (1, H, W, 2)
    warped = functional.grid_sample(second[None, None], grid, "bicubic", "border", align_corners=True)[0, 0]
    dx = functional.pad(u[:, :, 1:] - u[:, :, :-1], (0, 1))
    dy = functional.pad(u[:, 1:] - u[:, :-1], (0, 0, 0, 1))
    variation = (dx**2 + dy**2 + rounding**2).sqrt().sum()
    return variation, LAMBDA * ((warped - first) ** 2 + rounding**2).sqrt().sum()


def _read(path: Path | str) -> Image:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise InputError(f"{path}: not an image that can be read; expected a file such as I0.png")
    return np.asarray(image, np.uint8)
