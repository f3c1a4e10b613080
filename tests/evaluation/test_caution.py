"""Few data and absent classes are said; enough data are not."""

import pytest

from pfes.evaluation.caution import FEW_LABELS, FEW_SUBJECTS, cautions

ENOUGH = ["macro", "micro"] * FEW_LABELS


@pytest.mark.parametrize(
    ("subjects", "classes", "heads"),
    [
        (FEW_SUBJECTS, ENOUGH, []),
        (FEW_SUBJECTS - 1, ENOUGH, ["Few data"]),
        (FEW_SUBJECTS, ["macro"] * FEW_LABELS, ["No micro"]),
        (3, ["micro"] * 5, ["Few data", "No macro"]),
        (0, [], ["No expression is labelled"]),
    ],
)
def test_what_limits_the_figures_is_said(subjects, classes, heads):
    said = cautions(subjects, classes)
    assert len(said) == len(heads)
    assert all(text.startswith(head) for text, head in zip(said, heads, strict=True))


def test_causes_are_named_of_false_alarms_and_a_missing_face_of_all():
    """An expression moves mouth and eyelids itself: talking is no cause of a miss."""
    import numpy as np
    import pandas as pd

    from pfes.evaluation.error_analysis import CAUSES, _with_causes

    present = np.zeros((100, len(CAUSES)), bool)
    present[:50, CAUSES.index("talking")] = present[50:, CAUSES.index("no face")] = True
    rows = [
        ("missed", 10, 20),
        ("false alarm", 10, 20),
        ("missed", 60, 70),
        ("false alarm", 60, 70),
        ("boundary", 10, 20),
    ]
    errors = pd.DataFrame(rows, columns=["kind", "onset", "offset"]).assign(video_id="a")
    assert _with_causes(errors, {"a": present}, 0.3)["cause"].tolist() == ["", "talking", "no face", "no face", ""]
