"""Figures are drawn for every input that a run can give, and twice the same."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pfes.drawing import figures

FPS = 30.0
VALID = np.arange(100) // 10 != 6  # no face in frames 60 to 69
CURVES = {"learned": np.linspace(0, 1, 100), "other": np.linspace(0, 3, 100)}
TRUTH = pd.DataFrame({"class": ["macro", "micro"], "onset": [10, 80], "apex": [20, 84], "offset": [40, 91]})
PROPOSALS = pd.DataFrame(
    {
        "class": ["macro", "micro"],
        "onset": [12, 50],
        "apex": [22, 54],
        "offset": [38, 57],
        "score": [0.8, 0.4],
        "matched": [True, False],
    }
)


def draw(**changes: object) -> Figure:
    arguments: dict[str, object] = {
        "title": "s01 / v1", "fps": FPS, "intensity": CURVES, "truth": TRUTH,
        "proposals": {"learned": PROPOSALS, "other": PROPOSALS.iloc[:0]}, "valid": VALID,
    }  # fmt: skip
    return figures.timeline(**{**arguments, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"truth": TRUTH.iloc[:0]},
        {"proposals": {}},
        {"intensity": {}},
        {"intensity": {}, "proposals": {}, "truth": TRUTH.iloc[:0]},
        {"valid": np.zeros(100, bool)},
        {"intensity": {"learned": np.full(100, np.nan)}},
        {"true_intensity": np.zeros(100), "missed": {"learned": TRUTH.iloc[1:]}},
        {"title": "$ ^_{", "proposals": {"$ ^_{": PROPOSALS, "_x": PROPOSALS}, "intensity": {"_x": CURVES["learned"]}},
        {"intensity": {"a": np.ones(1)}, "valid": np.ones(1, bool), "proposals": {}, "truth": TRUTH.iloc[:0]},
    ],
    ids=[
        "full",
        "no truth",
        "no proposals",
        "no curve",
        "nothing",
        "no face",
        "nan",
        "truth",
        "odd names",
        "one frame",
    ],
)
@pytest.mark.filterwarnings("error")
def test_timeline_is_drawn(changes: dict[str, object]) -> None:
    text = figures.svg(draw(**changes))
    assert text.startswith("<svg ") and text.rstrip().endswith("</svg>")


def bars(figure: Figure) -> list[Rectangle]:
    """The bars of the lanes, from the truth downwards."""
    return [patch for patch in figure.axes[1].patches if isinstance(patch, Rectangle) and patch.get_height() < 0.5]


def test_bar_covers_its_inclusive_interval() -> None:
    """Frames 10 to 40 at 30 fps reach from 9.5 / 30 s to 40.5 / 30 s."""
    bar = bars(draw())[0]
    assert bar.get_x() == pytest.approx(9.5 / 30)
    assert bar.get_x() + bar.get_width() == pytest.approx(40.5 / 30)


def test_outcome_and_class_are_told_without_colour() -> None:
    macro, micro, found, false = bars(draw())
    assert (
        micro.get_y() >= macro.get_y() + macro.get_height()
    )  # macro above, micro below, also where they overlap in time
    assert found.get_fill() and not found.get_hatch()
    assert false.get_hatch() and to_hex(false.get_facecolor(), keep_alpha=True).endswith("00")


def test_bars_that_overlap_in_time_share_the_height_and_cover_each_other_nowhere() -> None:
    """Macro 0 to 30, 20 to 50 and 40 to 60 in two parts, the third again above; 70 to 80 has the height alone; micro too."""
    spans = [("macro", 20, 50), ("macro", 0, 30), ("micro", 25, 29), ("macro", 40, 60), ("macro", 70, 80)]
    made = [
        {"class": kind, "onset": onset, "apex": onset, "offset": offset, "score": 1.0, "matched": True}
        for kind, onset, offset in spans
    ]
    drawn = bars(draw(truth=TRUTH.iloc[:0], proposals={"learned": pd.DataFrame(made)}))
    second, first, micro, third, alone = drawn
    assert first.get_height() == second.get_height() == third.get_height() == pytest.approx(alone.get_height() / 2)
    assert first.get_y() == third.get_y() == alone.get_y() < second.get_y()
    assert micro.get_height() == alone.get_height()
    for one in drawn:
        others = [other for other in drawn if other is not one]
        assert not any(
            one.get_bbox().shrunk(0.99, 0.99).overlaps(other.get_bbox().shrunk(0.99, 0.99)) for other in others
        )


def test_missed_instance_is_a_cross_at_its_apex() -> None:
    lines = draw(missed={"learned": TRUTH.iloc[1:]}).axes[1].lines
    (cross,) = [line for line in lines if line.get_marker() == "x"]
    assert cross.get_xdata()[0] == pytest.approx(84 / 30)


def test_curve_breaks_where_no_face_was_found() -> None:
    curve = draw(intensity={"learned": CURVES["learned"]}).axes[0].lines[0].get_ydata()
    np.testing.assert_array_equal(np.isnan(curve), ~VALID)


def test_curve_beyond_one_is_scaled_and_axis_and_legend_say_so() -> None:
    figure = draw()
    assert np.nanmax(figure.axes[0].lines[1].get_ydata()) == pytest.approx(1)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("other (scaled)" in name for name in names)
    assert not any("learned (scaled)" in name for name in names)
    assert figure.axes[0].get_ylabel() == "intensity (scaled)"
    assert draw(intensity={"learned": CURVES["learned"]}).axes[0].get_ylabel() == "intensity"


def test_same_input_gives_the_same_file_and_leaves_the_input_alone() -> None:
    before = PROPOSALS.copy()
    assert figures.svg(draw()) == figures.svg(draw())
    assert figures.png(draw(), 50) == figures.png(draw(), 50)
    pd.testing.assert_frame_equal(PROPOSALS, before)


def test_svg_holds_no_date_and_no_address() -> None:
    text = figures.svg(draw())
    assert "date" not in text.lower()
    assert set(re.findall(r'https?://[^"]*', text)) == {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}


def test_svg_for_a_page_follows_its_colours_and_has_ids_of_its_own() -> None:
    text = figures.svg(draw(), label='a "quoted" <label>', prefix="t1-")
    assert figures.INK not in text and "currentColor" in text
    assert "var(--macro, #0072b2)" in text
    assert all(name.startswith("t1-") for name in re.findall(r'\bid="([^"]+)"', text))
    assert all(name.startswith("t1-") for name in re.findall(r'(?:url\(|href=")#([^)"]+)', text))
    assert 'aria-label="a &quot;quoted&quot; &lt;label&gt;"' in text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("proposals", [PROPOSALS, PROPOSALS.iloc[:0]], ids=["two", "none"])
@pytest.mark.parametrize("valid", [None, VALID, np.zeros(100, bool)], ids=["all", "gap", "no face"])
def test_intensity_curve_is_drawn(proposals: pd.DataFrame, valid: np.ndarray | None) -> None:
    figure = figures.intensity_curve(CURVES["learned"], proposals.drop(columns="matched"), FPS, (0.2, 0.5), valid=valid)
    assert figures.png(figure, 50).startswith(b"\x89PNG")
    scores = [text.get_text() for text in figure.axes[1].texts]
    assert scores == ["0.80", "0.40"][: len(proposals)]
