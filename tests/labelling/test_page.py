"""The label page as its user has it: the real command, a real browser, real key presses."""

import csv
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest

from tests.axe import violations
from tests.conftest import write_video
from tests.labelling.conftest import serving

PROPOSALS = (
    "video_id,class,native_onset,native_apex,native_offset,score\n"
    "a,macro,10,14,20,0.5\na,micro,40,42,45,0.9\na,macro,60,65,70,0.7\n"
)
# The grey level in the middle of the picture that is shown, see ``level``.
LEVEL = """() => { const image = document.querySelector("#frame"), canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d"); context.drawImage(image, 0, 0); return context.getImageData(32, 32, 1, 1).data[0]; }"""


def level(index):
    """Frames next to each other are far apart in grey."""
    return 20 + 67 * index % 210


def painted(index):
    return np.full((64, 64, 3), level(index), np.uint8)


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    """The page of one recording of 80 frames with three candidates, and its folder."""
    folder = tmp_path_factory.mktemp("label")
    write_video(folder / "a.mp4", np.arange(80) / 20, painted)
    (folder / "p.csv").write_text(PROPOSALS)
    with serving("a.mp4", "--proposals", "p.csv", "--order", "score", folder=folder) as address:
        opened = chromium.new_page()
        opened.goto(address)
        opened.wait_for_selector("#candidates li")
        yield opened, folder, address
        opened.close()


@pytest.fixture
def fresh(page):
    """The page at frame 0 of an empty sheet."""
    opened, folder, address = page
    yield opened, folder
    while opened.locator("#rows li").count():
        press(opened, "u", "saved")
    opened.goto(address)
    opened.wait_for_selector("#candidates li")


def press(opened, keys, said=None):
    """Press keys one after the other; wait until the page says ``said``."""
    opened.evaluate("document.querySelector('#said').textContent = ''")
    for key in keys.split():
        opened.keyboard.press({"space": " "}.get(key, key))
    if said is not None:
        says(opened, said)


def says(opened, text):
    opened.locator("#said", has_text=text).wait_for(timeout=10_000)


def rows(folder):
    with (folder / "expressions.csv").open() as file:
        names = ("subject", "video", "class", "onset", "apex", "offset", "point")
        return [[row[name] for name in names] for row in csv.DictReader(file)]


def at(opened):
    return int(opened.get_attribute("#frame", "data-frame"))


def test_keys_move_frame_by_frame_and_the_pictures_are_those_frames(fresh):
    opened, _ = fresh
    for keys, expected in ((". . .", 3), (",", 2), ("ArrowRight", 12), ("ArrowRight", 22), ("ArrowLeft", 12)):
        press(opened, keys)
        assert at(opened) == expected
        opened.evaluate("document.querySelector('#frame').decode()")
        assert abs(opened.evaluate(LEVEL) - level(expected)) <= 4
    press(opened, "ArrowLeft ArrowLeft ArrowLeft ,")
    assert at(opened) == 0


def test_clicks_and_a_stretch_go_to_the_sheet_at_once_and_undo_takes_them_back(fresh):
    opened, folder = fresh
    press(opened, ". . M", "macro-expression at frame 2")
    assert rows(folder) == [["a", "a", "macro", "", "", "", "2"]]
    press(opened, "ArrowRight m", "micro-expression at frame 12")
    press(opened, "ArrowRight n", "neutral from frame 22")
    press(opened, ". . . n", "neutral from 22 to 25")
    assert rows(folder)[2] == ["a", "a", "neutral", "22", "", "25", ""]
    press(opened, "M", "not saved: frames 22 to 25 are marked as neutral")
    press(opened, "x", "deleted")
    assert [row[2] for row in rows(folder)] == ["macro", "micro"]
    press(opened, "u", "undone")
    assert [row[2] for row in rows(folder)] == ["macro", "micro", "neutral"]


def test_candidates_come_by_score_and_become_rows_or_neutral_stretches(fresh):
    opened, folder = fresh
    assert [text.split()[0] for text in opened.locator("#candidates li").all_inner_texts()] == [
        "micro",
        "macro",
        "macro",
    ]
    press(opened, "j")
    assert at(opened) == 42 or opened.evaluate("playing !== null")  # its loop plays
    press(opened, "a", "micro 40 to 45 accepted")
    press(opened, "c", "candidate is now micro")  # the next one, macro 60 to 70
    press(opened, "a", "micro 60 to 70 accepted")
    press(opened, "r", "10 to 20 rejected")
    assert rows(folder) == [
        ["a", "a", "neutral", "10", "", "20", ""],
        ["a", "a", "micro", "40", "42", "45", "42"],
        ["a", "a", "micro", "60", "65", "70", "65"],
    ]
    assert opened.inner_text("#left") == "0 of 3 open"


def test_an_end_can_be_dragged_and_set_by_key(fresh):
    opened, folder = fresh
    press(opened, "j")
    handle = opened.locator("rect.handle[data-end=offset]").bounding_box()
    timeline = opened.locator("#timeline").bounding_box()
    y = handle["y"] + handle["height"] / 2
    opened.mouse.move(handle["x"] + handle["width"] / 2, y)
    opened.mouse.down()
    opened.mouse.move(timeline["x"] + 50 / 80 * timeline["width"], y, steps=4)
    opened.mouse.up()
    says(opened, "offset of the candidate: frame 50")
    press(opened, "space ArrowLeft ArrowLeft ArrowLeft ArrowLeft ArrowLeft ArrowLeft ArrowLeft ArrowLeft")  # to frame 0
    press(opened, "ArrowRight ArrowRight ArrowRight . . .")
    assert at(opened) == 33
    press(opened, "[", "onset of the candidate: frame 33")
    press(opened, "a", "accepted")
    assert rows(folder) == [["a", "a", "micro", "33", "42", "50", "42"]]


def test_every_command_has_a_button_of_a_finger_s_size_and_nothing_else_is_asked_for(page):
    opened, _, address = page
    for button in opened.locator("#tools button").all():
        assert button.bounding_box()["height"] >= 44
    opened.set_viewport_size({"width": 390, "height": 844})
    assert opened.evaluate("document.documentElement.scrollWidth <= 390")
    opened.set_viewport_size({"width": 1280, "height": 900})
    asked = opened.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert asked and all(name.startswith(address) for name in asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(page, scheme, width):
    opened, *_ = page
    opened.emulate_media(color_scheme=scheme)
    opened.set_viewport_size({"width": width, "height": 844})
    assert violations(opened) == []
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    opened.set_viewport_size({"width": 1280, "height": 720})


def test_without_the_token_or_under_another_name_there_is_nothing(page):
    _, _, address = page
    host = address.split("/")[2]
    for url, headers, status in (
        (f"http://{host}/", {}, 404),
        (f"http://{host}/{'x' * 32}/videos", {}, 404),
        (f"{address}videos", {"Host": "evil.example"}, 400),
        (f"{address}frame/0/80.jpg", {}, 404),
        (f"{address}frame/1/0.jpg", {}, 404),
    ):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10)
        assert error.value.code == status


def test_a_second_page_on_the_sheet_says_so(page):
    _, folder, _ = page
    command = [sys.executable, "-c", "from pfes.commands.cli import main; main()", "label", "a.mp4"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "expressions.csv is open in another label page; close that one" in done.stderr


def test_the_name_of_a_recording_is_text_never_markup(chromium, tmp_path):
    name = "<img src=x onerror=document.title='owned'>"
    write_video(tmp_path / f"{name}.mp4", np.arange(30) / 20, painted)
    with serving(f"{name}.mp4", folder=tmp_path) as address:
        opened = chromium.new_page()
        opened.goto(address)
        opened.wait_for_function("name => document.body.innerText.includes(name)", arg=name)
        assert opened.locator("img[src='x']").count() == 0 and opened.title() != "owned"
        opened.close()
