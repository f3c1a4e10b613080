"""The section ``report`` of a configuration."""

from dataclasses import dataclass

from pfes.base.config import setting


@dataclass(frozen=True)
class ReportParameters:
    """What the report shows.

    faces
        show small pictures of faces at labelled apexes and false positives; None: only for the rendered demo.
    max_thumbnails
        greatest number of these pictures.
    thumbnail_px
        side of such a picture, px.
    max_flow_videos
        greatest number of videos whose ROI flow is kept in the page.
    max_timelines
        greatest number of timelines written as files (and shown in Snakemake's report).
    curve_points
        greatest number of values of a curve; longer ones keep the extreme of neighbouring frames.
    """

    faces: bool | None = setting(
        None,
        "show small pictures of faces at labelled apexes and false positives; null: only for the rendered demo, never for recordings of people",
    )
    max_thumbnails: int = setting(300, "greatest number of these pictures", minimum=0)
    thumbnail_px: int = setting(72, "side of such a picture, px", minimum=16, maximum=512)
    max_flow_videos: int = setting(100, "greatest number of videos whose ROI flow is kept in the page", minimum=0)
    max_timelines: int = setting(100, "greatest number of timelines written as files", minimum=0)
    curve_points: int = setting(
        3000, "greatest number of values of a curve; longer ones keep the extreme of neighbouring frames", minimum=100
    )
