"""Settings of the method ``training_free``: lengths in g, half the distance of the inner eye corners, and in seconds."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from pfes.base.config import setting
from pfes.base.errors import InputError

Motion = Literal["long", "snippets"]


@dataclass(frozen=True)
class TrainingFreeParameters:
    """Excursions of the face from its rest, the method training_free."""

    section: ClassVar[str] = "training_free"

    motion: Motion = setting(
        "long",
        "where displacement comes from: long (stage displacement) or snippets (summed up from them; cheap, drifts)",
    )
    threshold: float = setting(
        0.7, "c, the height an excursion must have, in units of the quiet level; pfes spot --neutral sets it", minimum=0
    )
    flow_floor_g: float = setting(0.02, "least quiet level of displacement by flow, g", exclusiveMinimum=0)
    landmark_floor_g: float = setting(0.1, "least quiet level of displacement of landmarks, g", exclusiveMinimum=0)
    head_g_per_deg: float = setting(
        0.02, "how much the quiet level rises for each degree that the head has turned from its rest, g", minimum=0
    )
    rest_window_s: float = setting(6.7, "stretch of the recording that has one rest, s", minimum=1, maximum=60)
    base_share: float = setting(
        0.33, "share of its height by which an excursion must stand out (r2), and at which its flanks are measured (r1)",
        minimum=0, maximum=0.5,
    )  # fmt: skip
    min_s: float = setting(0.25, "least duration of an excursion, s", minimum=0)
    max_s: float = setting(4.3, "greatest duration of an excursion, s", minimum=0)
    micro_s: float = setting(0.5, "an excursion shorter than this is micro, s", minimum=0)
    edge_s: float = setting(
        0.2,
        "an excursion is left out if it reaches its height less than this before the end of the recording, or leaves it less than this after the start, s",
        minimum=0,
    )

    def __post_init__(self) -> None:
        if self.motion not in get_args(Motion):
            raise InputError(
                f"spot.training_free: motion {self.motion!r} is not known; expected {' or '.join(get_args(Motion))}"
            )
