"""The records that all stages share: videos and expressions.

Conventions
-----------
Classes are ``macro`` (0.5 to 4 s) and ``micro`` (< 0.5 s), in this order wherever a class is an index.
Frames are 0-based and intervals inclusive. A *native* frame counts in the recording, a *sampled* frame after
resampling to about 30 fps; plain ``onset``, ``apex``, ``offset`` are sampled frames.

Tables (pandas, one row per record; column order is the file's order)
----------------------------------------------------------------------
videos       VIDEO_COLUMNS, one row per recording, with or without expressions
expressions  EXPRESSION_COLUMNS, one row per labelled instance
clicks       CLICK_COLUMNS, one row per expression of which one frame is known, and no onset or no offset
neutral      NEUTRAL_COLUMNS, stretches that an annotator marked as without expression
points       POINT_COLUMNS, one labelled frame per instance: all that training may see of expressions
proposals    PROPOSAL_COLUMNS, one row per predicted interval
"""

import re
from dataclasses import dataclass

CLASSES = ("macro", "micro")
NEUTRAL = "neutral"  # what sheets call a stretch without expression
RESULT_CLASSES = (*CLASSES, "overall")  # of a table of results
WINDOW = 17  # frames of an SW-MRO window, the shortest recording that can be used (METHOD 5)
HALF = WINDOW // 2  # frames before and after a frame in its window; the entry of a window that is the frame itself

VIDEO_COLUMNS = (
    "dataset",
    "subject",
    "video",
    "video_id",
    "path",
    "fps",
    "n_native",
    "n_frames",
    "sampled_fps",
    "refused",
)
EXPRESSION_COLUMNS = (
    "dataset", "subject", "video", "video_id", "instance", "class", "onset", "apex", "offset",
    "native_onset", "native_apex", "native_offset", "row",
)  # fmt: skip
CLICK_COLUMNS = ("dataset", "subject", "video", "video_id", "instance", "class", "frame", "native_frame", "row")
NEUTRAL_COLUMNS = (
    "dataset", "subject", "video", "video_id", "onset", "offset", "native_onset", "native_offset", "row",
)  # fmt: skip
POINT_COLUMNS = ("subject", "video_id", "instance", "class", "frame")
FRAME_COLUMNS = (
    "class",
    "onset",
    "apex",
    "offset",
    "score",
    "mean_intensity",
    "peak_intensity",
)  # proposals of one video
PROPOSAL_COLUMNS = (
    "subject", "video_id", "class", "onset", "apex", "offset", "native_onset", "native_apex", "native_offset",
    "onset_s", "apex_s", "offset_s", "score", "mean_intensity", "peak_intensity",
)  # fmt: skip


@dataclass(frozen=True)
class Video:
    """One recording.

    ``path`` is a video file or a folder of numbered images, ``fps`` its native rate (0: from the file); ``ranked`` images
    follow each other whatever their numbers, by a rule of the dataset.
    """

    dataset: str
    subject: str
    video: str
    path: str
    fps: float = 0.0
    ranked: bool = False

    @property
    def video_id(self) -> str:
        """Name of the recording within a run, safe as a file name.

        The same where the subject is ``anna/film``: one recording of a person who is the only one (see datasets.load).
        """
        return file_name(f"{self.subject.removesuffix(f'/{self.video}')}_{self.video}")


def file_name(text: str) -> str:
    """Replace whatever could leave a folder or trouble a shell in ``text``; letters of any script stay."""
    return re.sub(r"[^\w.-]", "_", text).lstrip(".") or "_"
