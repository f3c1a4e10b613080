"""All that is to be known of a GPU in one go: flow, training and inference there, against the CPU of the same machine.

Conventions
-----------
Each check is a function of a ``Size`` that yields rows; what it raises is caught, named in the result, and the next check
goes on. Seconds are wall time between two synchronisations of a GPU (processor time on a CPU), medians, the data already on the
device; the first run of each, which compiles, is left out. Only torch, numpy, numba and pandas are needed, no OpenCV and no MediaPipe.

The images of flow are sums of random waves, so that the moved image and the true flow are known exactly at every pixel.
"""

import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pfes.base import store
from pfes.base.errors import InputError
from pfes.bench.train import clock_of, machine, peak_mb, random_video
from pfes.flow import tvl1_cuda
from pfes.flow.tvl1 import DEFAULT, HALVING, WINDOW, tvl1_window
from pfes.methods.base import Batch
from pfes.methods.parameters import TrainingParameters
from pfes.network.chunked import chunked_features
from pfes.network.parameters import ModelParameters
from pfes.network.spotformer import attention
from pfes.training.engine import begin
from pfes.training.model import SpottingModel, predict, reproducible
from pfes.training.step import features_of, on_device, step

FLOWS = 16  # of a window
AIMS = {"flows_per_s at 256 px": 20_000, "ms of a step of 2,000 frames": 27}
MODES: dict[str, dict[str, Any]] = {
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "bf16, compiled": {"precision": "bf16", "compile": True},
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much work: that of a GPU, or little enough for a CPU to try everything."""

    device: str = "cuda"
    sides: tuple[int, ...] = (128, 256)
    windows: int = 64
    frames: tuple[int, ...] = (500, 2000, 4400)
    width: int = 256
    inference: int = 20_000
    repeats: int = 5
    modes: tuple[str, ...] = tuple(MODES)

    @classmethod
    def of(cls, device: str) -> "Size":
        """Return the work for ``device``, ``cuda`` or ``cpu``."""
        if device == "cuda":
            return cls()
        return cls("cpu", (64,), 2, (24,), 16, 48, 1, ("fp32", "bf16"))


def bench_gpu(out: Path | str, device: str = "cuda", limit_s: float = 450, tell: Callable[[str], None] = print) -> Row:
    """Run all checks, write what they found to ``out`` (JSON) after each, and return it.

    Parameters
    ----------
    device : ``cuda``, or ``cpu`` to try the command itself on small sizes.
    limit_s : no check begins after so many seconds.
    tell : gets a line per check.

    Raises
    ------
    InputError
        There is no such device.
    """
    if device not in ("cuda", "cpu"):
        raise InputError(f"bench gpu: device is {device!r}, expected cuda or cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("bench gpu: torch finds no CUDA device; try the command itself with --device cpu")
    size, began = Size.of(device), time.perf_counter()
    found: Row = {"machine": machine(), "aims": AIMS, "checks": {}}
    for name, check in CHECKS.items():
        started = time.perf_counter()
        if started - began > limit_s:
            result: Row = {"not_run": f"the limit of {limit_s:g} s was reached"}
        elif check is kernels and device == "cpu":
            result = {"not_run": "Triton's kernels need a CUDA device; the tests run them in Triton's interpreter"}
        else:
            result = _result(check, size)
            result["seconds"] = time.perf_counter() - started
        found["checks"][name] = result
        with store.atomic(out) as temporary:
            temporary.write_text(json.dumps(found, indent=1))
        tell(_line(name, result))
    return found


def _result(check: Callable[[Size], Iterator[Row]], size: Size) -> Row:
    """Return the rows of a check, as far as it came, and what it raised."""
    rows: list[Row] = []
    try:
        rows.extend(check(size))
    except Exception as error:
        return {"rows": rows, "failed": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    return {"rows": rows}


def failed(found: Row) -> list[str]:
    """Return the names of the checks that failed, or that have a row that did."""
    return [
        name
        for name, result in found["checks"].items()
        if "failed" in result or any("failed" in row for row in result.get("rows", []))
    ]


def _line(name: str, result: Mapping[str, Any]) -> str:
    state = next((f"{key}: {result[key]}" for key in ("failed", "not_run") if key in result), "done")
    rows = "".join(f"\n    {_short(row)}" for row in result.get("rows", []))
    return f"{name}: {state}{rows}"


def _short(row: Row) -> str:
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
    )


def waves(side: int, amplitude: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a window of images [17, side, side] (grey levels) and its true flow [16, side, side, 2], px.

    Forty waves of 6 to 40 px in random directions; in image k, a bump of sigma side / 8 at a random place has moved what
    it covers by ``amplitude`` times k / 16. The image at x + u(x) is the first image at x: as u is smooth and small, the
    inverse map is found by iteration to a thousandth of a px.
    """
    rng = np.random.default_rng(seed)
    angle, length, phase = rng.uniform(0, 2 * np.pi, 40), rng.uniform(6, 40, 40), rng.uniform(0, 2 * np.pi, 40)
    kx, ky = 2 * np.pi / length * np.cos(angle), 2 * np.pi / length * np.sin(angle)
    place, turn = rng.uniform(0.35, 0.65, 2) * side, rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:side, :side].astype(np.float64)

    def image(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        total = sum(np.cos(a * x + b * y + c) for a, b, c in zip(kx, ky, phase, strict=True))
        return np.asarray(128 + 10 * total)

    def moved(x: NDArray[np.float64], y: NDArray[np.float64], share: float) -> NDArray[np.float64]:
        bump = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * (side / 8) ** 2))
        return np.asarray(amplitude * share * bump[..., None] * [np.cos(turn), np.sin(turn)])

    images, flows = [image(x, y)], []
    for k in range(1, FLOWS + 1):
        back = np.zeros((side, side, 2))
        for _ in range(8):
            back = moved(x - back[..., 0], y - back[..., 1], k / FLOWS)
        images.append(image(x - back[..., 0], y - back[..., 1]))
        flows.append(moved(x, y, k / FLOWS))
    return np.stack(images).astype(np.float32), np.stack(flows).astype(np.float32)


def flow(size: Size) -> Iterator[Row]:
    """How many flows a second, how far from the CPU's, and how far from the truth (px)."""
    for side in size.sides:
        window, truth = waves(side, 2.0)
        batch = torch.from_numpy(np.repeat(window[None], size.windows, axis=0)).to(size.device)
        _start(size)
        seconds = [_timed(partial(tvl1_cuda.solve, batch), size) for _ in range(size.repeats + 1)]
        own = tvl1_cuda.solve(batch[:1])[0].cpu().numpy()
        others = tvl1_window(window)
        yield {
            "side": side, "flows": size.windows * FLOWS, "flows_per_s": size.windows * FLOWS / median(seconds[1:]),
            "memory_mb": peak_mb(torch.device(size.device)), "max_px_from_cpu": float(np.abs(own - others).max()),
            "mean_px_from_truth": _mean_px(own - truth), "cpu_mean_px_from_truth": _mean_px(others - truth),
        }  # fmt: skip


def kernels(_: Size) -> Iterator[Row]:
    """Every Triton kernel against the same in torch on the CPU, on random numbers; the greatest difference."""
    generator = torch.Generator().manual_seed(0)
    u, px, py, planes = (torch.randn(2, 3, 2, 40, 36, generator=generator) for _ in range(4))
    padded, system, light = (
        torch.rand(*shape, generator=generator) for shape in ((2, 3, 43, 39), (2, 3, 5, 40, 36), (2, 3, 40, 36))
    )
    images = (planes[:, :, 0], (light > 0.1).float(), u[:, :1, 0], u[:, :1, 1], light[..., 0, 0])
    qkv = torch.randn(50, 17, 3 * 256, generator=generator)
    calls: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
        "smooth": (partial(tvl1_cuda.smooth, taps=WINDOW), (planes,)),
        "halve": (partial(tvl1_cuda.smooth, taps=HALVING, stride=2), (planes,)),
        "resize": (partial(tvl1_cuda.resize, size=(80, 72)), (planes,)),
        "gather": (partial(tvl1_cuda.gather, cell=2), images),
        "warp": (tvl1_cuda.warp, (padded, u)),
        "iterate": (partial(tvl1_cuda.iterate, params=DEFAULT), (u, px, py, system / 4)),
        "attention": (partial(_attended, heads=4), (qkv,)),
    }
    for name, (call, tensors) in calls.items():
        theirs, ours = call(*tensors), call(*(tensor.cuda() for tensor in tensors))
        pairs = [(ours, theirs)] if isinstance(theirs, torch.Tensor) else zip(ours, theirs, strict=True)
        yield {"kernel": name, "max": max(_apart(a, b) for a, b in pairs)}


def _attended(qkv: torch.Tensor, heads: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return attention and the gradient of its mean square."""
    qkv = qkv.clone().requires_grad_()
    found = attention(qkv, heads)
    (gradient,) = torch.autograd.grad(found.square().sum(), qkv)
    return found.detach(), gradient


def training(size: Size) -> Iterator[Row]:
    """Steps of journal's third stage in every mode and length: ms, memory, and the loss beside the CPU's after three."""
    on_cpu = _losses(size, "cpu", size.frames[0], MODES["fp32"])[0]
    for name in size.modes:
        for frames in size.frames:
            try:
                losses, seconds = _losses(size, size.device, frames, MODES[name])
            except Exception as error:  # a mode that fails says so, the others go on
                yield {"mode": name, "frames": frames, "failed": f"{type(error).__name__}: {error}"}
                continue
            row = {
                "mode": name,
                "frames": frames,
                "ms": 1000 * median(seconds[1:]),
                "memory_mb": peak_mb(torch.device(size.device)),
            }
            if frames == size.frames[0]:
                row |= {"loss": losses[2], "cpu_loss": on_cpu[2], "relative": abs(losses[2] / on_cpu[2] - 1)}
            yield row


def _losses(size: Size, device: str, frames: int, mode: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Return losses and seconds of the first steps on a random video, from the same weights on every device."""
    params = replace(TrainingParameters(device=device), **mode)
    where = replace(size, device=device)
    with reproducible(0, deterministic=False):
        model = SpottingModel(ModelParameters(width=size.width, dropout=0.0, head_dropout=0.0), "journal").train()
        model.to(torch.device(device))
        state, features_from = begin(model, params, 0), features_of(model, params)
        batch = on_device(random_video(frames, frames), torch.device(device))
        losses: list[float] = []
        _start(where)

        def one() -> None:
            (outcome,) = step(model, features_from, state.optimiser, [batch], 10, params, state.generator)
            losses.append(float(outcome.values[outcome.names.index("total")]))

        seconds = [_timed(one, where) for _ in range(max(3, size.repeats + 1))]
    return losses, seconds


def chunks(size: Size) -> Iterator[Row]:
    """A video in chunks against the same in one piece: ms, memory, and how far the features and gradients differ."""
    frames = size.frames[min(1, len(size.frames) - 1)]
    batch = on_device(random_video(frames, frames), torch.device(size.device))
    kept: dict[str, list[torch.Tensor]] = {}
    for name in ("whole", "chunks"):
        with reproducible(0, deterministic=False):
            network = SpottingModel(ModelParameters(width=size.width, dropout=0.0), "journal").spotformer.train()
            network.to(size.device)
        _start(size)

        def one(name: str = name, network: Any = network) -> None:
            network.zero_grad()
            features = network(batch.snippets) if name == "whole" else _in_chunks(network, batch, frames)
            features.square().mean().backward()
            kept[name] = [features.detach(), *(p.grad for p in network.parameters() if p.grad is not None)]

        seconds = [_timed(one, size) for _ in range(size.repeats + 1)]
        row = {
            "how": name,
            "frames": frames,
            "ms": 1000 * median(seconds[1:]),
            "memory_mb": peak_mb(torch.device(size.device)),
        }
        if name == "chunks":
            row["features"] = _relative(kept["chunks"][:1], kept["whole"][:1])
            row["gradients"] = _relative(kept["chunks"][1:], kept["whole"][1:])
        yield row


def _in_chunks(network: Any, batch: Batch, frames: int) -> torch.Tensor:
    return chunked_features(network, batch.snippets, max(1, frames // 8))


def inference(size: Size) -> Iterator[Row]:
    """Frames a second from snippets in memory to curves in memory, and how far the curves are from the CPU's."""
    with reproducible(0, deterministic=False):
        model = SpottingModel(ModelParameters(width=size.width), "journal").to(size.device)
        snippets = random_video(size.inference, size.inference).snippets
        _start(size)
        seconds = [_timed(lambda: predict(model, snippets), size) for _ in range(size.repeats + 1)]
        some = snippets[: size.frames[0]]
        own = predict(model, some)
        others = predict(model.cpu(), some)
    yield {
        "frames": len(snippets), "frames_per_s": len(snippets) / median(seconds[1:]), "memory_mb": peak_mb(torch.device(size.device)),
        "intensity_from_cpu": float(np.abs(own[1] - others[1]).max()),
    }  # fmt: skip


CHECKS: dict[str, Callable[[Size], Iterator[Row]]] = {
    "flow": flow, "kernels": kernels, "training": training, "chunks": chunks, "inference": inference,
}  # fmt: skip


def _mean_px(error: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(error, axis=-1).mean())


def _apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.cpu() - b.cpu()).abs().max())


def _relative(a: list[torch.Tensor], b: list[torch.Tensor]) -> float:
    """Return the greatest difference of two lists of tensors, relative to the greatest value in the second.

    Of all tensors together: the gradient of a bias before a BatchNorm is nothing but rounding.
    """
    return max(_apart(x, y) for x, y in zip(a, b, strict=True)) / max(float(y.abs().max()) for y in b)


def _start(size: Size) -> None:
    if size.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _timed(run: Callable[[], Any], size: Size) -> float:
    clock = clock_of(torch.device(size.device))
    start = clock()
    run()
    return clock() - start
