"""Train a network on made motion (``pfes.synthetic``): a prior of how faces move, no validated model of people.

Every step has new recordings of new faces, of each of which some frames are taken: SpotFormer and the head look at one
frame's window at a time. Here onsets and offsets are known, since they were made: a frame inside an expression shall have
intensity 1 and the score 1 of its class, one outside of any 0. What a window cannot know is left out (``motion.Motion.counts``).

Step n draws from (seed, n) alone: an interrupted training goes on, to the same weights, from its checkpoint.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy
from torch.optim.lr_scheduler import LambdaLR

from pfes.base.config import setting
from pfes.network.parameters import ModelParameters
from pfes.synthetic.recordings import Recordings, draw_recordings
from pfes.training import checkpoint
from pfes.training.model import SpottingModel, reproducible

LOG = logging.getLogger(__name__)
WARM = 0.05  # share of the steps in which the learning rate rises


@dataclass(frozen=True)
class PretrainParameters:
    """How a network is trained on made motion."""

    steps: int = setting(1200, "optimiser steps", minimum=1)
    recordings: int = setting(32, "made recordings of a step, each of its own face", minimum=1)
    frames: int = setting(6, "frames that are taken of each", minimum=1)
    seconds: float = setting(10.0, "length of a made recording, s", minimum=2)
    learning_rate: float = setting(3e-3, "highest learning rate of Adam; it rises and falls along a cosine", minimum=0)
    keep_every: int = setting(50, "steps after which the state is written", minimum=1)


class Pretrained(NamedTuple):
    """A model on the CPU in eval mode, and the mean loss of each ``keep_every`` steps."""

    model: SpottingModel
    losses: list[float]


def pretrain(
    model_params: ModelParameters,
    params: PretrainParameters,
    seed: int,
    *,
    state_path: Path | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Pretrained:
    """Train a network of the method ``journal`` on made motion, on one core.

    Parameters
    ----------
    seed : of weights, dropout, and all that is made.
    state_path : where the state is written, and from where an interrupted training goes on.
    progress : called with the number of steps done and the mean loss since it was last called.
    """
    with reproducible(seed):
        model = SpottingModel(model_params, "journal").train()
        optimiser = torch.optim.Adam(model.parameters(), lr=params.learning_rate, fused=True)
        schedule = LambdaLR(optimiser, lambda step: rate(step, params.steps))
        generator, losses, done = torch.Generator(), [], 0
        mark = checkpoint.fingerprint([], [model_params, params], seed, None, __name__)
        saved = checkpoint.load_checkpoint(state_path, mark) if state_path else None
        if saved is not None:
            model.load_state_dict(saved["model"])
            optimiser.load_state_dict(saved["optimiser"])
            schedule.load_state_dict(saved["schedule"])
            losses, done = saved["losses"], saved["done"]
            checkpoint.restore_random_state(saved["random"], generator)
            LOG.info("going on after step %d of %d", done, params.steps)
        recent, started = [], time.process_time()
        for step in range(done, params.steps):
            made = draw_recordings(
                np.random.default_rng([seed, step]), params.recordings, params.seconds, frames=params.frames
            )
            optimiser.zero_grad()
            loss = loss_of(model, made)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            recent.append(float(loss.detach()))
            if (step + 1) % params.keep_every == 0 or step + 1 == params.steps:
                losses.append(float(np.mean(recent)))
                LOG.info(
                    "step %d of %d: loss %.4f, %.0f s",
                    step + 1,
                    params.steps,
                    losses[-1],
                    time.process_time() - started,
                )
                if progress is not None:
                    progress(step + 1, losses[-1])
                recent = []
                if state_path is not None:
                    parts: dict[str, Any] = {"model": model, "optimiser": optimiser, "schedule": schedule}
                    state = {name: part.state_dict() for name, part in parts.items()}
                    state |= {"losses": losses, "done": step + 1, "random": checkpoint.random_state(generator)}
                    checkpoint.save_checkpoint(state_path, mark, state)
    return Pretrained(model.eval(), losses)


def rate(step: int, steps: int) -> float:
    """Return the share of the highest learning rate in ``step``: a rise over WARM of the steps, then half a cosine."""
    rise = max(1, round(WARM * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def loss_of(model: SpottingModel, made: Recordings) -> Tensor:
    """Return the cross-entropy of intensity and class scores over the frames that count."""
    counts = torch.as_tensor(made.counts.reshape(-1))
    inside = torch.as_tensor(made.inside.reshape(-1, 2)).float()
    _, intensity, scores = model(torch.as_tensor(made.snippets.reshape(-1, *made.snippets.shape[2:])))
    found = binary_cross_entropy(intensity[counts], inside[counts].amax(1))
    return found + 0.5 * binary_cross_entropy(scores[counts], inside[counts])
