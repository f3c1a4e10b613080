"""What training is told: its parameters, and what it sees of a video."""

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pfes.base.errors import InputError
from pfes.methods.gim.losses import LossParameters
from pfes.methods.gim.pseudo_labels import GimParameters
from pfes.methods.supervised.losses import SupervisedParameters
from pfes.methods.supervised.targets import Targets
from pfes.training.model import System

Precision = Literal["auto", "fp32", "bf16"]
EpochChoice = Literal["last", "validation"]


@dataclass(frozen=True)
class TrainingParameters:
    """How a fold is trained; the defaults are the paper's.

    Parameters
    ----------
    system : form of P-FES (``conference``, ``journal``, ``as_released``) or ``supervised``, which reads onsets and offsets.
    cached : experiment whose SpotFormer of the same fold and seed is used, frozen, so that only the head is trained; None
        to train both.
    epochs : passes over the training videos.
    learning_rate : of Adam at the start; AdamW for the supervised system.
    weight_decay : L2 penalty of Adam, decoupled in AdamW.
    decay_every, decay : the learning rate is multiplied by ``decay`` every ``decay_every`` epochs.
    clip : largest norm of the gradient of one step; None for no limit.
    mirror : probability that a step sees its video mirrored left to right; 0 in the paper, .5 helps small datasets.
    epoch_choice : weights of the ``last`` epoch, or of the best one on the validation subjects (``validation``).
    early_stop : epochs without a better validation score after which training ends; None for never.
    keep_every : the model of every n-th epoch is kept beside the last one; 0 for none.
    device : ``cpu``, ``cuda``, or ``auto`` for CUDA where there is one.
    precision : of SpotFormer's products; ``auto`` is bf16 on CUDA and fp32 on the CPU.
    compile : compile SpotFormer; on the CPU this needs a C++ compiler and pays only for long trainings.
    chunk_frames : frames that pass SpotFormer at a time, which bounds memory and costs time; None for a whole video.
    chunk_memory_mb : activations that such a step keeps; more are computed again.
    deterministic : one thread and deterministic kernels.
    tensorboard : write the log for TensorBoard too.
    gim : parameters of the pseudo-labels.
    loss : weights of the loss terms.
    supervised : parameters of the supervised system.
    """

    system: System = "journal"
    cached: str | None = None
    epochs: int = 100
    learning_rate: float = 2e-5
    weight_decay: float = 0.1
    decay_every: int = 30
    decay: float = 0.5
    clip: float | None = None
    mirror: float = 0.0
    epoch_choice: EpochChoice = "last"
    early_stop: int | None = None
    keep_every: int = 0
    device: str = "auto"
    precision: Precision = "auto"
    compile: bool = False
    chunk_frames: int | None = None
    chunk_memory_mb: float = 2000.0
    deterministic: bool = True
    tensorboard: bool = False
    gim: GimParameters = field(default_factory=GimParameters)
    loss: LossParameters = field(default_factory=LossParameters)
    supervised: SupervisedParameters = field(default_factory=SupervisedParameters)

    def __post_init__(self) -> None:
        for name, allowed in (("system", System), ("precision", Precision), ("epoch_choice", EpochChoice)):
            value, known = getattr(self, name), get_args(allowed)
            if value not in known:
                raise InputError(f"training: {name} {value!r} is not known; expected one of {', '.join(known)}")
        if self.compile and self.chunk_frames is not None:
            raise InputError("training: compile and chunk_frames exclude each other; set one of them back")
        if self.cached is not None and self.mirror > 0:
            raise InputError("training: cached features are of videos as they are; set mirror to 0, or cached to null")

    @property
    def validates(self) -> bool:
        """Return whether the validation subjects are looked at."""
        return self.epoch_choice == "validation" or self.early_stop is not None


@dataclass(frozen=True)
class TrainingVideo:
    """What training sees of one video: flow and points, no onset, no offset.

    Parameters
    ----------
    snippets : float32 [T, 17, 10, 2], px; in cached trainings the features [T, D] of the frozen SpotFormer.
    valid : bool [T], frames that count in the losses.
    point_frames, point_classes : int64 [I]; classes 0 macro, 1 micro. I may be 0.
    targets : of every frame, for the supervised system only.
    """

    video_id: str
    subject: str
    snippets: NDArray[np.float32]
    valid: NDArray[np.bool_]
    point_frames: NDArray[np.int64]
    point_classes: NDArray[np.int64]
    targets: Targets | None = None
