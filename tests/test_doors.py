"""Every door that files come in by, tried with damaged ones: each is read, or refused in words. No other exception, no crash, no hang.

Cases are seeded changes of a small good file: bits flipped, bytes cut off, doubled, replaced by hostile text. A door is tried in
a process of its own, so that a crash of a decoder is seen as one.
"""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import openpyxl
import pandas as pd
import pytest

from tests.conftest import ROOT
from tests.media.drawn import picture, write

CASES, SLOWEST_S = int(os.environ.get("PFES_TEST_DOORS", "40")), 60.0
HOSTILE = [b"", b"\0", b"\xff\xfe", b"../../x", b"$(touch x)", b'"', b"'", b"\n", b",,,", b"<!ENTITY a SYSTEM 'file:///etc/passwd'>",
           b"1e308", b"-1", b"nan", b"&a;", b"{", b"*x", b"&x [*x]", "\u202e".encode(), b"9" * 400]  # fmt: skip
VIDEOS_SHEET = "subject,video,path,fps\nanna,film,film.mp4,30\nben,film,other.mp4,\n"
EXPRESSIONS_SHEET = "subject,video,onset,apex,offset,class\nanna,film,3,5,9,macro\nben,film,1,,7,micro\n"
BORIS = (
    "Observation id,Subject,Behavior,Behavior type,Start (s),Stop (s),Duration (s),Media file name\n"
    "first,anna,macro,POINT,0.2,0.2,NA,film.mp4\nfirst,anna,micro,STATE,0.3,0.4,0.1,film.mp4\n"
)
ELAN = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"><MEDIA_DESCRIPTOR MEDIA_URL="file:///film.mp4" MIME_TYPE="video/mp4"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="100"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="400"/></TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="default" TIER_ID="macro"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1"
TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>apex 00:00:00.200</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="default" TIME_ALIGNABLE="true"/></ANNOTATION_DOCUMENT>
"""


def excel(path):
    book = openpyxl.Workbook()
    book.active.append(["subject", "onset"])
    book.active.append(["s15", 30])
    book.save(path)


def video(path):
    write(path, np.arange(12) / 30)


def sheet(text):
    return lambda path: path.write_text(text, encoding="utf-8")


# door -> file name, what writes a good one, module and expression that read ``path``
DOORS = {
    "mp4": ("film.mp4", video, "from pfes.media import decode", "[decode.describe(path), *decode.read_frames(path)]"),
    "mkv": ("film.mkv", video, "from pfes.media import decode", "[decode.describe(path), *decode.read_frames(path)]"),
    "avi": ("film.avi", video, "from pfes.media import decode", "[decode.describe(path), *decode.read_frames(path)]"),
    "image": ("1.png", lambda path: cv2.imwrite(str(path), picture(1)), "from pfes.media import decode",
              "[decode.describe(path.parent, 30), *decode.read_frames(path.parent)]"),
    "videos sheet": ("videos.csv", sheet(VIDEOS_SHEET), "from pfes import datasets",
                     "datasets.load('generic', {'videos': str(path), 'expressions': None})"),
    "expressions sheet": ("expressions.csv", sheet(EXPRESSIONS_SHEET), "from pfes import datasets",
                          "datasets.load('generic', {'videos': str(path.parent / 'videos.txt'), 'expressions': str(path)})"),
    "excel": ("labels.xlsx", excel, "from pfes.datasets import sheets", "sheets.read_excel(path)"),
    "config": ("my.yaml", lambda path: path.write_bytes((ROOT / "tests/smoke.yaml").read_bytes()),
               "from pfes.workflow import plan", "plan.plan_file(path)"),
    "elan": ("film.eaf", sheet(ELAN), "from pfes.exchange.annotations import import_labels", "import_labels([path], 'elan', FILM)"),
    "boris": ("film.csv", sheet(BORIS), "from pfes.exchange.annotations import import_labels", "import_labels([path], 'boris', FILM)"),
}  # fmt: skip
FILM = """FILM = pd.DataFrame([["anna", "film", "anna_film", "film.mp4", 30.0]], columns=["subject", "video", "video_id", "path", "fps"])"""
TRY = """
import json, sys, time, traceback, logging
from pathlib import Path
import pandas as pd
from pfes.base.errors import InputError
{imports}
logging.disable(logging.CRITICAL)
{film}
for name in sys.argv[1:]:
    path, started = Path(name), time.monotonic()
    try:
        {read}
        found = "read"
    except InputError as error:
        found = "refused"
    except Exception as error:
        found = "traceback: " + "".join(traceback.format_exception(error)[-3:])
    print(json.dumps([name, found, time.monotonic() - started]), flush=True)
"""


def changed(content, chance):
    """Return a damaged copy of the bytes of a file."""
    made, place = bytearray(content), chance.randrange(len(content))
    kind = chance.choice(("flip", "flip", "cut", "double", "hostile", "hostile"))
    if kind == "flip":
        for _ in range(chance.choice((1, 1, 4, 32))):
            bit = chance.randrange(8 * len(made))
            made[bit // 8] ^= 1 << bit % 8
    elif kind == "cut":
        del made[place:]
    elif kind == "double":
        made[place:place] = made[place : place + chance.randrange(1, 200)]
    else:
        made[place : place + chance.randrange(4)] = chance.choice(HOSTILE)
    return bytes(made)


@pytest.mark.parametrize("door", DOORS)
def test_damaged_files_are_read_or_refused(tmp_path, door):
    name, good, imports, read = DOORS[door]
    good(tmp_path / name)
    (tmp_path / "videos.txt").write_text(VIDEOS_SHEET)
    content, chance = (tmp_path / name).read_bytes(), random.Random(door)
    paths = []
    for case in range(CASES):
        paths.append(tmp_path / f"{case:03d}" / name)
        paths[-1].parent.mkdir()
        paths[-1].write_bytes(changed(content, chance))
        (paths[-1].parent / "videos.txt").write_text(VIDEOS_SHEET)
    started = time.monotonic()
    source = TRY.format(imports=imports, read=read, film=FILM)
    done = subprocess.run(
        [sys.executable, "-c", source, tmp_path / name, *paths],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert found and found[0][1] == "read", done.stdout + done.stderr
    assert done.returncode == 0 and len(found) == 1 + CASES, f"crashed after {found[-1]}: {done.stderr[-2000:]}"
    wrong = [f"{Path(path).parent.name}: {said}" for path, said, _ in found if said.startswith("traceback")]
    counts = pd.Series([said.split(":")[0] for _, said, _ in found[1:]]).value_counts().to_dict()
    print(
        f"door {door}: {CASES} cases, {counts}, slowest {max(seconds for *_, seconds in found):.1f} s, all {time.monotonic() - started:.0f} s"
    )
    assert not wrong, "\n".join(wrong)
    assert max(seconds for *_, seconds in found) < SLOWEST_S
