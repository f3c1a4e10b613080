"""Pictures in which nothing can be seen are told from those in which little light or much is natural."""

import numpy as np
import pytest

from pfes.media.exposure import EXPOSURES, exposure, shares, told

RAMP = np.repeat(np.linspace(0, 255, 96)[None, :, None], 64, axis=0).repeat(3, axis=2)


@pytest.mark.parametrize(
    ("picture", "name"),
    [
        (RAMP, "fine"),
        (RAMP / 16, "dark"),
        (120 + RAMP / 60, "flat"),
        (np.minimum(RAMP * 3, 255), "saturated"),
        (60 + RAMP / 4, "fine"),
        (np.empty((0, 0, 3)), "fine"),
    ],
)
def test_what_a_picture_is(picture, name):
    assert EXPOSURES[exposure(np.asarray(picture, np.uint8))] == name


def test_shares_are_of_all_pictures_and_told_from_a_tenth_on():
    share = shares([0, 0, 0, 0, 0, 0, 0, 1, 1, 3])
    assert share == {"dark": 0.2, "flat": 0.0, "saturated": 0.1}
    assert told(share) == ["dark in 20% of the frames", "saturated in 10% of the frames"]
    assert shares([]) == {"dark": 0.0, "flat": 0.0, "saturated": 0.0}
