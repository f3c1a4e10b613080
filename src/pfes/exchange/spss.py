"""Tables of events as SPSS files (.sav), which PSPP, R (haven) and jamovi read too.

Conventions
-----------
Variables are called as in the CSV; a character that no SPSS name may have (the blank of ``condition 2``) becomes ``_``. Each has
a label with its unit and a level of measurement: text is nominal, numbers are scale. What is not known is system-missing.
"""

import re
from pathlib import Path

import pandas as pd

from pfes.base import store
from pfes.base.errors import InputError

LABELS = {
    "subject": "subject",
    "video": "recording",
    "class": "macro- or micro-expression",
    "onset": "first frame (native, from 0)",
    "apex": "apex frame (native, from 0)",
    "offset": "last frame (native, from 0)",
    "onset_s": "onset, s from the first frame",
    "apex_s": "apex, s from the first frame",
    "offset_s": "offset, s from the first frame",
    "duration_s": "duration, s",
    "score": "score of the proposal",
    "displacement_pct": "largest displacement, % of the eye distance",
    "side": "side that moved most, in the picture",
    "region": "region that moved most",
    "usable_share": "share of its frames with a usable face",
    "yaw_deg": "turn of the head, median, degrees",
    "stimulus_s": "beginning of the stimulus, s",
    "events": "number of events",
    "minutes": "usable minutes",
    "rate_per_min": "events per usable minute",
    "latency_s": "first event after the stimulus, s",
}
TEXT = {"subject", "video", "class", "side", "region"}  # and whatever has no label of ours: conditions
COUNTS = {"onset", "apex", "offset", "events"}
LONGEST = 64  # bytes of a name


def write_sav(path: Path, table: pd.DataFrame) -> None:
    """Write a table of ``pfes events`` to ``path``; columns without a label of ours keep their name as label.

    Raises
    ------
    InputError
        pyreadstat is not installed, or two columns would have one name.
    """
    try:
        import pyreadstat
    except ModuleNotFoundError as error:
        raise InputError('pyreadstat is not installed; install it with: pip install "pfes[spss]"') from error
    names = [variable_name(str(name)) for name in table]
    if len({name.casefold() for name in names}) < len(names):
        raise InputError(
            f"{path}: two of the columns {', '.join(map(str, table))} have one name in SPSS, where a name is letters, digits and _, "
            f"{LONGEST} bytes at most, and A is a; rename one"
        )
    numbers = [name for name in names if name in LABELS and name not in TEXT]
    named = table.set_axis(names, axis=1).astype(dict.fromkeys(numbers, float))
    with store.atomic(path) as temporary:
        pyreadstat.write_sav(
            named,
            temporary,
            file_label="pfes events",
            column_labels=[LABELS.get(str(name), str(name)) for name in table],
            variable_measure={name: "scale" if name in numbers else "nominal" for name in names},
            variable_format={name: "F8.0" if name in COUNTS else "F8.3" for name in numbers},
        )


def variable_name(name: str) -> str:
    """Return the SPSS name of a column.

    >>> variable_name("condition 2")
    'condition_2'
    """
    return re.sub(r"\W", "_", name).encode()[:LONGEST].decode(errors="ignore")
