"""The section ``dataset`` of a configuration: which adapter, and what it is told."""

from dataclasses import dataclass
from typing import Literal

from pfes.base.config import setting
from pfes.datasets.demo import DemoParameters


@dataclass(frozen=True)
class DatasetParameters:
    """Where recordings and labels come from."""

    name: Literal["demo", "generic", "casme2", "samm_lv", "casme3", "published"] = setting(
        "generic",
        "adapter: generic (two sheets, or a folder of videos), casme2, samm_lv, casme3 (official releases), published (features that pfes import-features wrote) or demo (rendered here)",
    )
    videos: str = setting(
        "config/videos.csv",
        "generic: sheet of recordings (subject, video, path; optional dataset, fps), or a folder of videos",
    )
    expressions: str | None = setting(
        "config/expressions.csv",
        "generic: sheet of labels (subject, video, class, and onset and offset, or one frame: point); null is none",
    )
    first_frame: int | str = setting(
        0,
        "generic: number that the sheets give to the first frame, 0 or 1; named: they count as the names of the images do",
        enum=(0, 1, "named"),
    )
    distinct_names: bool = setting(
        False,
        "generic: subjects whose names look alike (Anna and anna, 1 and 01) are different people; false stops the run",
    )
    root: str | None = setting(
        None, "official releases: folder of your copy; published: folder of the imported features"
    )
    of: str | None = setting(
        None,
        "published: dataset that the features come from; its published figures are then shown beside the results",
        enum=("casme2", "samm_lv", "casme3", None),
    )
    labels: str | None = setting(None, "official releases: label file; null is the one in or beside root")
    repair: Literal["official", "apex-symmetric"] = setting(
        "official", "casme2: an offset of 0 becomes onset + 20 (official) or 2 apex - onset (apex-symmetric)"
    )
    max_me_s: float | None = setting(
        None, "casme3: longer micro-expressions are left out, s; null is no limit", exclusiveMinimum=0
    )
    max_mae_s: float | None = setting(
        None, "casme3: longer macro-expressions are left out, s; null is no limit", exclusiveMinimum=0
    )
    demo: DemoParameters = setting(DemoParameters(), "size and difficulty of the rendered demo dataset")
