"""The section ``model`` of a configuration: the size of the network. Nothing here needs torch."""

from dataclasses import dataclass

from pfes.base.config import setting
from pfes.base.errors import InputError

Padding = tuple[int, int, int, int]
JOINT_PADDING: Padding = (1, 1, 1, 0)  # as inside the P-FES release: 17 -> 9 -> 5 -> 3 -> 1 steps
STANDALONE_PADDING: Padding = (0, 0, 1, 1)  # as in the stand-alone release: 17 -> 8 -> 3 -> 2 -> 1 steps


@dataclass(frozen=True)
class ModelParameters:
    """Size of the network; the defaults are the paper's."""

    width: int = setting(256, "channels of SpotFormer and heads", minimum=4, maximum=4096)
    heads: int = setting(4, "attention heads; must divide the width", minimum=1, maximum=64)
    dropout: float = setting(0.1, "dropout of the embedding", minimum=0, maximum=0.99)
    block_dropout: float = setting(
        0.0,
        "dropout in SpotFormer's attention and feed-forward: 0 in P-FES, .1 fully supervised",
        minimum=0,
        maximum=0.99,
    )
    head_dropout: float = setting(0.7, "dropout in the P-FES head", minimum=0, maximum=0.99)
    padding: Padding = setting(
        JOINT_PADDING,
        "padding of the four convolutions over time; [0, 0, 1, 1] is the stand-alone release",
        items={"minimum": 0, "maximum": 8},
    )

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise InputError(f"model: width {self.width} is not a multiple of {self.heads} heads; change one of them")
