"""SpotFormer's features of a whole video in bounded memory: frames pass in chunks, activations are computed again.

Conventions
-----------
N frames of one video, cut into chunks of at most ``chunk`` frames. The network is a list of stages (BatchNorm, rest),
see SpotFormer.stages; only a BatchNorm looks across frames. A *span* is a run of stages whose input, one tensor per
chunk, is kept; whatever lies inside a span is computed again from there when it is needed.

Method
------
Statistics are those of the whole video, as in a plain step. Forward: stage after stage, one pass over the chunks of the
span gives mean and variance of its input. With these, stage k is rest(x, scale x + shift). Backward: the gradient
reaches a stage's input x directly and through mean and variance, that is, dx + a x + b with per-channel a, b that are
known only after a pass over all chunks; so from the last stage of a span to its first, one pass each gives a and b,
and a last pass gives the gradients of parameters and input. Running statistics move once.

Spans of one stage cost one more forward pass than a plain step. Where their inputs would take more than the memory
allowed, spans are longer and time grows; see LEVELS in pfes.network.memory. Results equal those of the plain step within rounding.

Differences
-----------
Dropout is drawn chunk by chunk, so that its random numbers differ from a plain step's.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pfes.network.memory import kept_stages
from pfes.network.spotformer import SpotFormer, Stage


def chunked_features(spotformer: SpotFormer, snippets: Tensor, chunk: int, memory_mb: float = 2000) -> Tensor:
    """Return features [N, D] of ``snippets`` [N, 17, 10, 2] in training mode, as ``spotformer(snippets)`` does.

    ``backward`` on what depends on them adds to the ``grad`` of the network's parameters; torch.autograd.grad does not
    reach these.

    Parameters
    ----------
    chunk : frames that pass at a time.
    memory_mb : of the inputs of stages that are kept; the most frugal level is taken even if it needs more.
    """
    tap = torch.ones((), device=snippets.device, requires_grad=torch.is_grad_enabled())
    features: Tensor = _Chunked.apply(tap, spotformer, snippets, chunk, memory_mb)
    return features


class _Chunked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tap: Tensor, model: SpotFormer, snippets: Tensor, chunk: int, memory_mb: float) -> Tensor:
        kept = kept_stages(len(snippets), model.embed.linear.out_features, memory_mb)
        stages, seed = model.stages(), int(torch.randint(2**62, ()))
        kind = snippets.device.type
        ctx.cast = (kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))
        ctx.spans = []
        inputs = list(snippets.split(chunk))
        for first, stop in zip(kept, (*kept[1:], len(stages)), strict=True):
            enter = model.embed.map if first == 0 else None
            ctx.spans.append(_Span(stages[first:stop], inputs, enter, seed + first * 2**32))  # each draws its own
            inputs = ctx.spans[-1].forward()
        return torch.cat(inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, ...]:
        kind, dtype, enabled = ctx.cast
        with torch.autocast(kind, dtype, enabled):
            gradients = list(gradient.split([len(x) for x in ctx.spans[0].inputs]))
            while ctx.spans:
                gradients = ctx.spans.pop().backward(gradients)
        return (None,) * 5


@dataclass
class _Statistics:
    """Mean and variance of a stage's input over the whole video, what BatchNorm makes of them, and their gradient.

    scale and shift are [D], so that norm(x) = scale x + shift; slope and offset are [D], so that the gradient of x through
    mean and variance is slope x + offset.
    """

    norm: nn.BatchNorm1d
    mean: Tensor
    variance: Tensor
    count: int
    scale: Tensor = field(init=False)
    shift: Tensor = field(init=False)
    slope: Tensor = field(init=False)
    offset: Tensor = field(init=False)

    def __post_init__(self) -> None:
        scale, shift = self._affine(self.mean, self.variance)
        self.scale, self.shift = scale.detach().requires_grad_(), shift.detach().requires_grad_()

    def _affine(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        scale = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        return scale, self.norm.bias - mean * scale

    def track(self) -> None:
        """Move the running statistics as one training pass of BatchNorm does."""
        norm, share = self.norm, self.norm.momentum
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        assert share is not None
        norm.running_mean.lerp_(self.mean, share)
        norm.running_var.lerp_(self.variance * (self.count / max(self.count - 1, 1)), share)
        norm.num_batches_tracked.add_(1)

    @torch.enable_grad()
    def pass_back(self) -> None:
        """Turn the gradients of scale and shift into those of the norm's parameters, and into slope and offset."""
        mean, variance = self.mean.clone().requires_grad_(), self.variance.clone().requires_grad_()
        torch.autograd.backward(self._affine(mean, variance), (self.scale.grad, self.shift.grad))
        assert mean.grad is not None
        assert variance.grad is not None
        self.slope = 2 * variance.grad / self.count
        self.offset = mean.grad / self.count - self.slope * self.mean

    def gradient(self, x: Tensor) -> Tensor:
        """Return the gradient of ``x`` through mean and variance."""
        return torch.addcmul(self.offset, x.detach(), self.slope)


@dataclass
class _Span:
    """Stages computed together from kept inputs, one tensor per chunk; ``enter`` makes the first stage's input."""

    stages: list[Stage]
    inputs: list[Tensor]
    enter: Callable[[Tensor], Tensor] | None
    seed: int
    statistics: list[_Statistics] = field(default_factory=list)

    def forward(self) -> list[Tensor]:
        """Return the outputs, one per chunk, and keep the statistics."""
        for k, (norm, _) in enumerate(self.stages):
            moments = [_moments(self._run(chunk, 0, k)[-1]) for chunk in self._chunks()]
            self.statistics.append(_Statistics(norm, *_merged(moments, norm.weight.dtype)))
            self.statistics[-1].track()
        return self._gathered(self._run(chunk, 0, len(self.stages))[-1] for chunk in self._chunks())

    def backward(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Add the gradients of all parameters; return those of the inputs (of the snippets none)."""
        for k in reversed(range(0 if self.enter else 1, len(self.stages))):
            self._statistics_pass(k, gradients)
        passed = self._last_pass(gradients)
        if self.enter:
            for _ in passed:
                pass
            return []
        found = self._gathered(passed)
        self.statistics[0].pass_back()
        for chunk, to_input in zip(self.inputs, found, strict=True):
            to_input += self.statistics[0].gradient(chunk)
        return found

    def _last_pass(self, gradients: Sequence[Tensor]) -> Iterator[Tensor]:
        """Add the gradients of the parameters; yield that of each chunk's input, but for the statistics of its stage."""
        last = len(self.stages)
        for chunk, gradient in zip(self._chunks(), gradients, strict=True):
            with torch.enable_grad():
                x = self._enter(chunk) if self.enter else chunk.detach().requires_grad_()
                ahead = self._run(x, 0, last, entered=True)
            pairs = [(ahead[-1], gradient)]
            start = 0 if self.enter else 1
            pairs += [(ahead[j], self.statistics[j].gradient(ahead[j])) for j in range(start, last)]
            outputs, received = zip(*pairs, strict=True)
            torch.autograd.backward(outputs, received)
            if not self.enter:
                assert x.grad is not None
                yield x.grad

    def _gathered(self, parts: Iterable[Tensor]) -> list[Tensor]:
        """Return one tensor per chunk, all of one block: kept in pieces they would leave holes in the heap, half as much again."""
        sizes = [len(chunk) for chunk in self.inputs]
        views: list[Tensor] = []
        for number, part in enumerate(parts):
            if not views:
                views = list(part.new_empty((sum(sizes), *part.shape[1:])).split(sizes))
            views[number].copy_(part)
        return views

    def _statistics_pass(self, k: int, gradients: Sequence[Tensor]) -> None:
        """Add up the gradients of scale and shift of stage ``k``, and pass them back to its mean and variance."""
        own = self.statistics[k]
        own.scale.grad, own.shift.grad = torch.zeros_like(own.scale), torch.zeros_like(own.shift)
        for chunk, gradient in zip(self._chunks(), gradients, strict=True):
            x = self._run(chunk, 0, k)[-1]
            with torch.enable_grad():
                ahead = self._run(x, k, len(self.stages), entered=True)
            later = [(z, self.statistics[k + i].gradient(z)) for i, z in enumerate(ahead[:-1]) if i > 0]
            pairs = [(ahead[-1], gradient), *later]
            outputs, received = zip(*pairs, strict=True)
            to_scale, to_shift = torch.autograd.grad(outputs, [own.scale, own.shift], received)
            own.scale.grad += to_scale
            own.shift.grad += to_shift
        own.pass_back()
        own.scale.grad = own.shift.grad = None

    def _run(self, x: Tensor, first: int, stop: int, *, entered: bool = False) -> list[Tensor]:
        """Return the inputs of stages ``first`` .. ``stop``, that of ``stop`` being the output of the last run."""
        found = [x if entered else self._enter(x)]
        for (_, rest), own in zip(self.stages[first:stop], self.statistics[first:stop], strict=True):
            found.append(rest(found[-1], torch.addcmul(own.shift, found[-1], own.scale)))
        return found

    def _enter(self, chunk: Tensor) -> Tensor:
        return self.enter(chunk) if self.enter else chunk

    def _chunks(self) -> Iterator[Tensor]:
        """Yield the inputs; while one is in use the random state is that of its chunk, the same in every pass."""
        for number, chunk in enumerate(self.inputs):
            with chunk_seed(self.seed, number):
                yield chunk


@contextmanager
def chunk_seed(seed: int, number: int) -> Iterator[None]:
    """Seed torch for chunk ``number`` inside the block; the state before comes back after."""
    with torch.random.fork_rng():
        torch.manual_seed((seed + number) % 2**63)
        yield


def _moments(x: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return mean [D], variance [D] and number of the positions of ``x`` [..., D]."""
    flat = x.detach().reshape(-1, x.shape[-1])
    variance, mean = torch.var_mean(flat, 0, correction=0)
    return mean.double(), variance.double(), len(flat)


def _merged(moments: Sequence[tuple[Tensor, Tensor, int]], dtype: torch.dtype) -> tuple[Tensor, Tensor, int]:
    """Return mean, variance (as ``dtype``) and number of all positions from those of the parts."""
    total = sum(count for _, _, count in moments)
    mean = torch.stack([m * (count / total) for m, _, count in moments]).sum(0)
    variance = torch.stack([(v + (m - mean).square()) * (count / total) for m, v, count in moments]).sum(0)
    return mean.to(dtype), variance.to(dtype), total
