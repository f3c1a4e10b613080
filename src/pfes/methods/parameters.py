"""What training is told, whatever the method: the section ``training`` of a configuration."""

from dataclasses import dataclass
from typing import Literal, get_args

from pfes.base.config import Sections, setting
from pfes.base.errors import InputError

Precision = Literal["auto", "fp32", "bf16"]
EpochChoice = Literal["last", "validation"]
Start = Literal["random", "box"]
StartLayers = Literal["all", "heads"]


@dataclass(frozen=True)
class TrainingParameters(Sections):
    """How a fold is trained; the defaults are the paper's."""

    method: str = setting(
        "journal",
        "method of spotting: conference, journal and as_released are GIM, supervised reads onsets and offsets, lac, hrpro, tsp and sfnet are point-supervised action localisation, baseline learns nothing",
    )
    cached: str | None = setting(
        None,
        "experiment whose SpotFormer (same fold and seed) is used, frozen, so that only the head is trained (hrpro and tsp need one to go on from); null trains both",
    )
    start: Start = setting(
        "random",
        "weights that training begins from: random, or box, the model of made motion that comes with pfes (width 32, 2 heads)",
    )
    start_layers: StartLayers = setting(
        "all", "what is trained from there: all, or heads, which keeps the SpotFormer of the box as it is"
    )
    epochs: int = setting(
        100, "passes over the training videos; 0 keeps the weights of start", minimum=0, maximum=100000
    )
    learning_rate: float = setting(2e-5, "learning rate of Adam at the start", minimum=0, maximum=1)
    weight_decay: float = setting(0.1, "L2 penalty of Adam", minimum=0, maximum=10)
    decay_every: int = setting(
        30, "epochs after which the learning rate is multiplied by decay", minimum=1, maximum=100000
    )
    decay: float = setting(0.5, "factor of the learning rate", minimum=0, maximum=1)
    clip: float | None = setting(None, "largest norm of the gradient of a step; null is no limit", exclusiveMinimum=0)
    mirror: float = setting(
        0.0,
        "probability that a step sees its video mirrored left to right; 0 in the paper, .5 helps small datasets",
        minimum=0,
        maximum=1,
    )
    epoch_choice: EpochChoice = setting(
        "last", "weights that are kept: of the last epoch, or of the best one on the validation subjects (validation)"
    )
    early_stop: int | None = setting(
        None, "epochs without a better validation score after which training ends; null is never", minimum=1
    )
    keep_every: int = setting(0, "the model of every n-th epoch is kept beside the last one; 0 is none", minimum=0)
    device: str = setting(
        "auto", "cpu, cuda, or auto for CUDA where there is one", changes_results=False, enum=("auto", "cpu", "cuda")
    )
    precision: Precision = setting(
        "fp32", "of SpotFormer's products: fp32, bf16, or auto for bf16 on CUDA and fp32 on the CPU"
    )
    compile: bool = setting(
        False,
        "compile SpotFormer; on the CPU this needs a C++ compiler and pays only for long trainings",
        changes_results=False,
    )
    chunk_frames: int | None = setting(
        None,
        "frames that pass SpotFormer at a time, which bounds memory and costs time; null is a whole video, in chunks where that would take more than 16 GB (2,857 frames at width 256) or 60 % of a GPU",
        minimum=1,
        changes_results=False,
    )
    chunk_memory_mb: float = setting(
        2000.0, "activations that a step in chunks keeps, MB; more are computed again", minimum=0, changes_results=False
    )
    deterministic: bool = setting(True, "one thread and deterministic kernels", changes_results=False)
    tensorboard: bool = setting(
        False, "write the log for TensorBoard too; needs the package tensorboard", changes_results=False
    )

    def __post_init__(self) -> None:
        choices = (
            ("precision", Precision),
            ("epoch_choice", EpochChoice),
            ("start", Start),
            ("start_layers", StartLayers),
        )
        for name, allowed in choices:
            value, known = getattr(self, name), get_args(allowed)
            if value not in known:
                raise InputError(f"training: {name} {value!r} is not known; expected one of {', '.join(known)}")
        if self.compile and self.chunk_frames is not None:
            raise InputError("training: compile and chunk_frames exclude each other; set one of them back")
        if self.start != "random" and self.cached is not None:
            raise InputError(
                "training: a cached training has its SpotFormer from there; set start to random, or cached to null"
            )
        if self.start == "random" and (self.epochs == 0 or self.start_layers == "heads"):
            raise InputError("training: epochs 0 and start_layers heads keep weights that are random; set start to box")
        if self.epochs == 0 and self.validates:
            raise InputError(
                "training: with epochs 0 there is none to choose; set epoch_choice: last and early_stop: null"
            )
        if self.cached is not None and self.mirror > 0:
            raise InputError("training: cached features are of videos as they are; set mirror to 0, or cached to null")

    @property
    def frozen(self) -> bool:
        """Return whether SpotFormer stays as it is."""
        return self.cached is not None or self.start_layers == "heads"

    @property
    def validates(self) -> bool:
        """Return whether the validation subjects are looked at."""
        return self.epoch_choice == "validation" or self.early_stop is not None
