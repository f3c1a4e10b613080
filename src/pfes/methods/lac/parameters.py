"""The settings of LAC."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from pfes.base.config import setting
from pfes.base.errors import InputError

Search = Literal["exact", "greedy"]


@dataclass(frozen=True)
class LacParameters:
    """Search of the optimal sequence and the weights of the losses of the method lac (METHOD 10.1)."""

    section: ClassVar[str] = "lac"

    search: Search = setting(
        "exact", "search of the sequence: exact (dynamic programming, ours) or greedy, as published"
    )
    budget: int = setting(500, "greedy: hypotheses that go on to the next frame; 25 as published", minimum=1)
    drop_below: float = setting(
        0.1, "greedy: a hypothesis of lower value is dropped, unless it is the best one", minimum=-1, maximum=1
    )
    video: float = setting(1.0, "weight of the video term", minimum=0)
    frame: float = setting(0.5, "weight of the points' term", minimum=0)
    background: float = setting(1.0, "weight of the background term", minimum=0)
    score: float = setting(1.0, "weight of the score contrast of the sequence", minimum=0)
    feature: float = setting(1.0, "weight of the feature contrast of the sequence", minimum=0)

    def __post_init__(self) -> None:
        if self.search not in get_args(Search):
            raise InputError(f"lac: search {self.search!r} is not known; expected one of {', '.join(get_args(Search))}")
