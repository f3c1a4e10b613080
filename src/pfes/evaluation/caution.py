"""What a person should know before reading figures: too few data, or a class that is not there."""

from collections import Counter
from collections.abc import Iterable

from pfes.base.records import CLASSES
from pfes.base.text import counted

FEW_SUBJECTS, FEW_LABELS = (
    5,
    20,
)  # ours: one expression of 20 is a twentieth of recall, one subject of 5 a fifth of the data


def cautions(subjects: int, classes: Iterable[str]) -> list[str]:
    """Return a sentence for each thing that limits what a run's figures say.

    Parameters
    ----------
    subjects : people with a labelled expression; classes : class of every labelled expression.

    Examples
    --------
    >>> cautions(12, ["macro"] * 40)
    ['No micro-expression is labelled: none is learned, and nothing can be said of how well they are found.']
    """
    labels = Counter(classes)
    said, total = [], labels.total()
    if not total:
        return [
            "No expression is labelled: nothing can be said of how well they are found. Proposals can still be counted and reviewed."
        ]
    if subjects < FEW_SUBJECTS or total < FEW_LABELS:
        said.append(
            f"Few data: {counted(total, 'labelled expression')} of {counted(subjects, 'subject')}. With fewer than {FEW_LABELS}"
            f" expressions or {FEW_SUBJECTS} subjects, one more of either can change F1 a lot: read it only with its interval."
        )
    missing = [kind for kind in CLASSES if not labels[kind]]
    said += [
        f"No {kind}-expression is labelled: none is learned, and nothing can be said of how well they are found."
        for kind in missing
    ]
    return said


def own_subjects(videos: Iterable[tuple[str, str]]) -> list[str]:
    """Return a sentence if each of several videos, given as (subject, video), has its own name as its subject, as pfes lists them.

    Examples
    --------
    >>> own_subjects([("anna", "first"), ("anna", "second")])
    []
    """
    pairs = list(videos)
    if len(pairs) < 2 or any(subject != video for subject, video in pairs):
        return []
    return [
        "Each recording has its own name as its subject. If a person was recorded more than once, give these recordings the same "
        "subject in the sheet of videos; else a model is tested on people whom it has seen."
    ]
