"""What a method of spotting is: the one seam between a method and everything around it.

A method is one object of a class below, listed in ``pfes.methods.registry.METHODS``. The workflow, training, spotting and figures
ask it what they need to know and never for its name. A ``LearnedMethod`` puts a head on SpotFormer and says what its loss
is; a ``TrainingFreeMethod`` turns what was measured into curves as it is. Both turn curves into proposals.

Conventions
-----------
T frames of a video, N of a training step, D = width of SpotFormer, class order macro, micro. Curves of a video are a
mapping of ``intensity`` [T], ``class_scores`` [T, 2], ``valid`` [T] bool (frames with a face), and if the method reads more
than these ``outputs`` [T, n] per frame or ``candidates`` [N, n] per interval.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # torch takes seconds to import, and a workflow only wants to know what methods there are
    import pandas as pd
    import torch
    from torch import Tensor

    from pfes.decoding.proposals import SpotParameters
    from pfes.methods.parameters import TrainingParameters
    from pfes.network.heads import Head

Labels = Literal["points", "intervals", "none"]
Measured = Literal["snippets", "displacement"]
Curves = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class TrainingVideo:
    """What training sees of one video: flow and points, no onset, no offset.

    Parameters
    ----------
    snippets : float32 [T, 17, 10, 2], px; in cached trainings the features [T, D] of the frozen SpotFormer.
    valid : bool [T], frames that count in the losses.
    point_frames, point_classes : int64 [I]; classes 0 macro, 1 micro. I may be 0.
    targets : what a method that may read intervals made of them; None for any other.
    neutral : bool [T], frames that an annotator marked as without expression; None where none is.
    """

    video_id: str
    subject: str
    snippets: NDArray[np.float32]
    valid: NDArray[np.bool_]
    point_frames: NDArray[np.int64]
    point_classes: NDArray[np.int64]
    targets: Any = None
    neutral: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Signals:
    """What a method without training sees of one video of T sampled frames.

    Parameters
    ----------
    measured : of the stage that the method ``reads``: snippets float32 [T, 17, 10, 2], px of the crop, whose side is
        ``size`` px; or displacement [T, 10, 2], g.
    valid, cut : bool [T], frames that can be trusted, and those that come right after a cut.
    fps : sampled frames per second.
    landmarks, pose : [T, 68, 2] px of the recording and [T, 3] degrees, of stage faces; NaN where they are not known.
    """

    measured: NDArray[np.floating]
    valid: NDArray[np.bool_]
    cut: NDArray[np.bool_]
    fps: float
    landmarks: NDArray[np.floating]
    pose: NDArray[np.floating]
    size: int = 128


@dataclass(frozen=True)
class Batch:
    """The frames of one step, on the device: snippets [N, 17, 10, 2] (or features [N, D]), valid [N], what to learn.

    ``neutral`` [N] are the frames marked as without expression, None for none.
    """

    name: str
    snippets: Tensor
    valid: Tensor
    point_frames: Tensor
    point_classes: Tensor
    targets: Any = None
    neutral: Tensor | None = None


class PointLabels(Protocol):
    """What the log of a training tells of pseudo-labels: for each point its class, pseudo-apex and half-width, [I]."""

    @property
    def point_classes(self) -> Tensor:
        """0 macro, 1 micro."""

    @property
    def apex_frames(self) -> Tensor:
        """Frame of the pseudo-apex."""

    @property
    def half_widths(self) -> Tensor:
        """Frames on each side that are labelled."""


class Method(ABC):
    """A method of spotting.

    Attributes
    ----------
    name : in ``training.method`` and in files.
    labels : what it may open to train: ``points``, ``intervals`` (onsets and offsets as well) or ``none``.
    training_sections, spot_sections : dataclasses of its own settings in the sections ``training`` and ``spot``; their class
        attribute ``section`` is their name there.
    reads_spot : whether the settings of ``spot`` outside of sections are read.
    """

    name: ClassVar[str]
    labels: ClassVar[Labels]
    training_sections: ClassVar[tuple[Any, ...]] = ()
    spot_sections: ClassVar[tuple[Any, ...]] = ()
    reads_spot: ClassVar[bool] = True

    @abstractmethod
    def propose(self, curves: Curves, params: SpotParameters, fps: float) -> pd.DataFrame:
        """Turn the curves of a video of ``fps`` sampled frames per second into proposals, columns FRAME_COLUMNS."""


class TrainingFreeMethod(Method):
    """A method that learns nothing: the same for every fold and seed."""

    labels = "none"

    def reads(self, params: SpotParameters) -> Measured:
        """Return the stage that it reads, beside faces."""
        return "snippets"

    @abstractmethod
    def curves(self, signals: Signals, params: SpotParameters) -> Curves:
        """Return the curves of a video, without ``valid``."""


class LearnedMethod(Method):
    """A head on SpotFormer, trained per fold.

    Attributes
    ----------
    decoupled_decay : weight decay as in AdamW instead of an L2 penalty in Adam.
    pseudo_labels : whether it makes pseudo-labels around points, which figures show.
    builds_on : methods of which ``training.cached`` must name an experiment, as this one goes on from its head; none of a
        method that needs no other.
    """

    decoupled_decay: ClassVar[bool] = False
    pseudo_labels: ClassVar[bool] = False
    builds_on: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def head(self, width: int, dropout: float) -> Head:
        """Return the head for features of ``width`` channels; ``dropout`` is ``model.head_dropout``."""

    @abstractmethod
    def terms(
        self,
        head: Any,
        features: Tensor,
        batch: Batch,
        epoch: int,
        params: TrainingParameters,
        generator: torch.Generator,
    ) -> tuple[dict[str, Tensor], PointLabels | None]:
        """Return the weighted loss terms of one step with their sum ``total``, and the pseudo-labels behind them.

        Parameters
        ----------
        head : in training mode; features : [N, D] with gradient; epoch : from 0; generator : of all that is drawn.
        """

    def targets(self, expressions: pd.DataFrame, video_id: str, n_frames: int) -> Any:
        """Return what is learned from the intervals of a video; only asked of a method with ``labels`` intervals."""
        raise NotImplementedError

    def batches(
        self,
        videos: Sequence[TrainingVideo],
        loaded: Sequence[Batch],
        params: TrainingParameters,
        generator: torch.Generator,
    ) -> Iterator[Batch]:
        """Yield the steps of one epoch: whole videos in a new order.

        ``loaded`` are the ``videos`` as batches on the device.
        """
        import torch

        for index in torch.randperm(len(loaded), generator=generator).tolist():
            yield loaded[index]

    def head_rates(self, params: TrainingParameters) -> tuple[float, float] | None:
        """Return learning rate, the same in every epoch, and weight decay of the head; None for those of SpotFormer."""
        return None

    def videos_per_step(self, params: TrainingParameters) -> int:
        """Return how many of the ``batches`` pass, one by one, before the optimiser takes a step on their mean loss."""
        return 1

    def take_over(self, head: Any, source: Any) -> None:
        """Put into ``head`` what it goes on from, of the head of the model in ``training.cached``; see ``builds_on``."""

    def set_up(
        self, head: Any, clean: Callable[[Batch], Tensor], loaded: Sequence[Batch], params: TrainingParameters
    ) -> Sequence[Batch]:
        """Return the videos as they are trained on: before the first epoch, and before an interrupted training goes on.

        ``clean`` gives the features [T, D] of a video, without dropout and gradient; ``targets`` are free to be filled.
        """
        return loaded

    def before_epoch(
        self,
        head: Any,
        clean: Callable[[Batch], Tensor],
        loaded: Sequence[Batch],
        epoch: int,
        params: TrainingParameters,
        memory: dict[str, Any],
    ) -> Sequence[Batch]:
        """Return the videos of an epoch, given those of ``set_up``: where the network is asked about all of them first.

        ``memory`` (tensors and plain types) is kept from epoch to epoch, and with the state of an interrupted training.
        """
        return loaded

    def threshold(self, epoch: int, params: TrainingParameters) -> float:
        """Return the intensity above which a frame counts for its instance in ``epoch``, for the log; NaN for none."""
        return float("nan")

    def window(self, params: TrainingParameters) -> tuple[int, int]:
        """Return the frames around a point of macro and micro that count as its expression in a validation score."""
        return (32, 16)

    def outputs(self, head: Any, features: Tensor) -> Tensor | None:
        """Return outputs [T, n] in [0, 1] beyond intensity and class scores that ``propose`` reads; None for none."""
        return None

    def candidates(self, head: Any, features: Tensor, valid: NDArray[np.bool_]) -> NDArray[np.float64] | None:
        """Return intervals [N, n] with what the network says of each, which ``propose`` reads; None for none."""
        return None

    def labels_of(
        self, head: Any, features: Tensor, video: TrainingVideo, params: TrainingParameters, seed: int
    ) -> Any:
        """Return the pseudo-labels that the last epoch gives a video of features [T, D]; see ``pseudo_labels``."""
        raise NotImplementedError
