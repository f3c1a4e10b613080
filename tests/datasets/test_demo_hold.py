"""Holds of the demo's macro-expressions: an option that changes nothing where it is off."""

import numpy as np

from pfes.datasets.demo import DemoParameters, plan, script

HELD = DemoParameters(subjects=3, videos=3, seconds=16, hold_s=2.0)


def instances(params: DemoParameters) -> list:
    return [one for video in plan(params, "")[0] for one in script(params, video.video_id).instances]


def test_macro_expressions_stay_at_their_apex_for_up_to_the_longest_hold() -> None:
    macro = [one for one in instances(HELD) if one.label == "macro"]
    stays = np.array([(one.intensity(HELD.frames) > 0.999).sum() / HELD.fps for one in macro])
    assert stays.max() > 1.2 and stays.min() < 0.5 and stays.max() < 2.5
    lengths = [one.offset - one.onset + 1 for one in macro]
    assert max(lengths) > 75 and all(one.apex + one.plateau < one.offset for one in macro)


def test_micro_expressions_are_not_held_and_expressions_do_not_touch() -> None:
    assert all(one.plateau == 0 for one in instances(HELD) if one.label == "micro")
    for video in plan(HELD, "")[0]:
        own = script(HELD, video.video_id).instances
        assert all(first.offset < second.onset for first, second in zip(own, own[1:], strict=False))


def test_without_holds_the_demo_is_what_it_was() -> None:
    """Numbers of the plan before there were holds."""
    table = plan(DemoParameters(), "")[1]
    assert (len(table), int(table[["onset", "offset"]].to_numpy().sum())) == (55, 16941)
