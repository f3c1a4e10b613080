"""The report in a real browser: it loads without a complaint or a request, and what it offers works.

Needs Debian's chromium (``apt-get install chromium``) or Chrome; skipped where there is none.
"""

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pfes.bench import browser
from pfes.bench.browser import Browser
from pfes.bench.screenshots import take_screenshots, visit
from pfes.report import page as report
from tests.axe import violations
from tests.report_runs import HOSTILE, make_run

pytestmark = pytest.mark.skipif(
    browser.find_browser() is None, reason=f"no browser: none of {', '.join(browser.NAMES)} is installed"
)
VIDEO = "#/video/s01_v1"
VIEWS = ("", VIDEO, "#/subject/s01", "#/timelines", "#/video/dark")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    report.write_report(make_run(folder / "run", ("s01", HOSTILE)), folder / "report.html", run="fake", demo=True)
    return folder / "report.html"


@pytest.fixture(scope="module")
def shared() -> Iterator[Browser]:
    with Browser() as chromium:
        yield chromium


@pytest.fixture
def chromium(shared: Browser) -> Browser:
    shared.resize(1280, 900)
    shared.emulate()
    shared.requests.clear()
    shared.complaints.clear()
    return shared


def column(chromium: Browser, table: str, number: int) -> list[str]:
    rows = f"[...document.querySelectorAll('{table} tbody tr')].filter(row => !row.hidden)"
    return list(chromium.evaluate(f"{rows}.map(row => row.cells[{number}].textContent.trim())"))


def until(chromium: Browser, condition: str, seconds: float = 20.0) -> None:
    """Wait until a JavaScript condition holds."""
    deadline = time.monotonic() + seconds
    while not chromium.evaluate(condition):
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)


def shown_range(chromium: Browser) -> tuple[float, float]:
    """First and last second that the timeline shows."""
    chromium.settle()
    words = chromium.evaluate("document.querySelector('.range').textContent").split()
    return float(words[0]), float(words[2])


@pytest.mark.parametrize("address", VIEWS)
def test_loads_without_a_complaint_or_a_request(chromium: Browser, page: Path, address: str) -> None:
    visit(chromium, page, address)
    assert chromium.complaints == []
    outside = [url for url in chromium.requests if not url.startswith(("file://", "data:", "about:"))]
    assert outside == []
    assert {url.partition("#")[0] for url in chromium.requests if url.startswith("file:")} == {page.as_uri()}


def test_back_returns_to_where_the_reader_was(chromium: Browser, page: Path) -> None:
    visit(chromium, page)
    chromium.evaluate("window.scrollTo({ top: 1234, behavior: 'instant' })")
    before = chromium.evaluate("window.scrollY")
    assert before > 1000
    chromium.evaluate(f"document.querySelector('a[href=\"{VIDEO}\"]').click()")
    until(chromium, "!document.querySelector('#view').hidden && window.scrollY === 0")
    chromium.evaluate("history.back()")
    until(chromium, f"document.querySelector('#view').hidden && Math.abs(window.scrollY - {before}) < 3")
    chromium.evaluate(f"document.querySelector('a[href=\"{VIDEO}\"]').click()")
    until(chromium, "!document.querySelector('#view').hidden")
    chromium.evaluate("document.querySelector('.crumbs a').click()")  # a link to a section leads to that section
    until(chromium, "Math.abs(document.querySelector('#videos').getBoundingClientRect().top) < 120")


def test_a_view_has_a_low_header_and_keeps_the_disclaimer(chromium: Browser, page: Path) -> None:
    visit(chromium, page, VIDEO)
    assert chromium.evaluate("document.querySelector('header').getBoundingClientRect().height") < 100
    assert chromium.evaluate("document.querySelector('header .stays').checkVisibility()")
    assert "nothing about accuracy on people" in chromium.evaluate(
        "document.querySelector('header .stays').textContent"
    )


def test_menu_and_charts_fit_a_telephone(chromium: Browser, page: Path) -> None:
    chromium.resize(390, 844)
    visit(chromium, page)
    wide = "[...document.querySelectorAll('.bar-nav a, .chart svg')].filter(e => e.getBoundingClientRect().right > innerWidth).length"
    assert chromium.evaluate(wide) == 0
    assert chromium.evaluate("document.querySelectorAll('.bar-nav a').length") >= 6


def test_overlapping_proposals_are_bars_of_their_own(chromium: Browser, page: Path) -> None:
    visit(chromium, page)
    bars = "[[0, 10], [8, 20], [21, 30], [40, 50]].map(([onset, offset]) => ({ kind: 'macro', onset, offset }))"
    found = chromium.evaluate(f"levels({bars}).map(bar => [bar.level, bar.crowded])")
    assert found == [[0, 1], [1, 1], [0, 1], [0, 0]]


def test_words_are_explained_on_demand(chromium: Browser, page: Path) -> None:
    visit(chromium, page)
    terms = chromium.evaluate("[...document.querySelectorAll('.words dt')].map(term => term.textContent)")
    assert {"learned", "baseline", "score", "boundary", "split", "IoU"} <= set(terms)


def test_a_request_or_a_foreign_script_is_forbidden(chromium: Browser, page: Path) -> None:
    visit(chromium, page)
    blocked = "fetch('https://example.org/').then(() => 'answered', () => 'refused')"
    assert chromium.evaluate(blocked) == "refused"
    chromium.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
    )
    assert chromium.evaluate("window.ran") is None
    assert any("Content Security Policy" in text for text in chromium.complaints)


def test_hostile_names_are_text(chromium: Browser, page: Path) -> None:
    visit(chromium, page, "#/subject/" + "%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert chromium.evaluate("document.querySelector('#view h2').textContent") == f"Subject {HOSTILE}"
    assert chromium.evaluate("document.querySelectorAll('#view script, h2 script, td script').length") == 0


def test_a_header_sorts_its_table_up_and_down(chromium: Browser, page: Path) -> None:
    visit(chromium, page)
    header = "document.querySelector('#subject-table th:nth-child(2)')"
    chromium.evaluate(f"{header}.querySelector('button').click()")
    assert column(chromium, "#subject-table", 1) == ["2", "3"]
    assert chromium.evaluate(f"{header}.getAttribute('aria-sort')") == "ascending"
    chromium.evaluate(f"{header}.querySelector('button').focus()")
    chromium.press("Enter")
    assert column(chromium, "#subject-table", 1) == ["3", "2"]
    assert chromium.evaluate(f"{header}.getAttribute('aria-sort')") == "descending"


def test_numbers_sort_as_numbers_and_dashes_come_last(chromium: Browser, page: Path) -> None:
    visit(chromium, page)
    cells = "['10', '9', '–', '-1.5', '100']"
    rows = f"{cells}.map(text => ({{ cells: [{{ dataset: {{}}, textContent: text }}] }}))"
    ordered = f"{rows}.map(row => value(row, 0)).sort(compare)"
    assert chromium.evaluate(ordered) == [-1.5, 9, 10, 100, "–"]


def test_search_leaves_the_videos_that_hold_every_word(chromium: Browser, page: Path) -> None:
    visit(chromium, page)
    chromium.evaluate(
        "const box = document.querySelector('#find-video'); box.value = 's01 V2'; box.dispatchEvent(new Event('input'))"
    )
    assert column(chromium, "#video-table", 1) == ["v2"]
    assert chromium.evaluate("document.querySelector('#find-video-count').textContent") == "1 of 5"


def test_errors_are_filtered_by_kind_class_and_experiment(chromium: Browser, page: Path) -> None:
    visit(chromium, page)
    count = "document.querySelector('#error-count').textContent"
    assert chromium.evaluate(count) == "16 of 16 errors"
    change = "document.querySelector('#error-filter').dispatchEvent(new Event('change'))"
    chromium.evaluate(
        f"document.querySelectorAll('#error-filter [name=kind]').forEach(box => box.checked = box.value === 'missed'); {change}"
    )
    assert set(column(chromium, "#error-list", 1)) == {"missed"}
    chromium.evaluate(f"document.querySelector('#error-filter [name=experiment]').value = '2'; {change}")
    assert set(column(chromium, "#error-list", 0)) == {"baseline"}
    chromium.evaluate(f"document.querySelector('#error-filter [name=class]').value = 'micro'; {change}")
    assert column(chromium, "#error-list", 3) == ["micro"] * 4
    assert chromium.evaluate(count) == "4 of 16 errors"


def test_an_error_leads_to_its_place_in_the_timeline(chromium: Browser, page: Path) -> None:
    visit(chromium, page, VIDEO + "/180-192")
    low, high = shown_range(chromium)
    assert low == pytest.approx(5.0, abs=0.05) and high == pytest.approx(7.4, abs=0.05)


def test_timeline_zooms_and_moves_by_key_button_and_wheel(chromium: Browser, page: Path) -> None:
    visit(chromium, page, VIDEO)
    whole = shown_range(chromium)
    assert whole[0] == 0.0 and whole[1] == pytest.approx(10.0, abs=0.05)
    chromium.evaluate("document.querySelector('.timeline').focus()")
    chromium.press("+")
    closer = shown_range(chromium)
    assert closer[1] - closer[0] == pytest.approx(6.0, abs=0.1)
    chromium.press("ArrowRight")
    assert shown_range(chromium)[0] == pytest.approx(closer[0] + 1.2, abs=0.05)
    chromium.press("0")
    assert shown_range(chromium) == whole
    chromium.evaluate("document.querySelector('[aria-label=\"Zoom in\"]').click()")
    assert shown_range(chromium) == closer
    chromium.evaluate("document.querySelector('.timeline').focus()")
    x, y = chromium.evaluate(
        "(r => [r.x + r.width / 2, r.y + 60])(document.querySelector('.timeline').getBoundingClientRect())"
    )
    before = chromium.evaluate("document.querySelector('.range').textContent")
    chromium.wheel(x, y, -200)
    until(chromium, f"document.querySelector('.range').textContent !== '{before}'")
    nearer = shown_range(chromium)
    assert nearer[1] - nearer[0] == pytest.approx((closer[1] - closer[0]) * math.exp(-0.5), abs=0.1)


def test_timeline_draws_what_the_view_holds(chromium: Browser, page: Path) -> None:
    """One macro and one micro label, two proposals of learned, one of baseline; one and two misses."""
    visit(chromium, page, VIDEO)
    titles = chromium.evaluate("[...document.querySelectorAll('.timeline title')].map(title => title.textContent)")
    assert len([text for text in titles if "labelled" in text]) == 2
    assert len([text for text in titles if "score" in text]) == 3
    assert len([text for text in titles if "missed" in text]) == 3
    label = chromium.evaluate("document.querySelector('.timeline svg').getAttribute('aria-label')")
    assert "learned found 1, missed 1, false positives 1" in label
    bar = chromium.evaluate(
        "(r => [+r.getAttribute('x'), +r.getAttribute('width')])(document.querySelector('.timeline rect title').parentElement)"
    )
    left, right = chromium.evaluate(
        "[+document.querySelector('.timeline clipPath rect').getAttribute('x'), +document.querySelector('.timeline clipPath rect').getAttribute('width')]"
    )
    assert bar[0] == pytest.approx(left + right * 60 / 300, abs=0.1)  # frame 60, from half a frame before it
    assert bar[1] == pytest.approx(right * 51 / 300, abs=0.1)


def test_signals_and_flow_come_on_demand_and_an_experiment_can_be_hidden(chromium: Browser, page: Path) -> None:
    visit(chromium, page, VIDEO)
    texts = "[...document.querySelectorAll('.timeline text')].map(text => text.textContent)"
    assert "mouth left corner" not in chromium.evaluate(texts)
    for pressed in (0, 1):
        chromium.evaluate(f"document.querySelectorAll('.tools [aria-pressed]')[{pressed}].click()")
    chromium.settle()
    found = chromium.evaluate(texts)
    assert "mouth left corner" in found and any(text.startswith("eye opening") for text in found)
    chromium.evaluate("document.querySelectorAll('.legend input')[1].click()")
    chromium.settle()
    assert "baseline" not in chromium.evaluate(texts)


def test_pictures_of_faces_are_shown(chromium: Browser, page: Path) -> None:
    visit(chromium, page, VIDEO)
    until(chromium, "[...document.querySelectorAll('.pictures img')].every(image => image.complete)")
    sizes = chromium.evaluate("[...document.querySelectorAll('.pictures img')].map(image => image.naturalWidth)")
    assert sizes == [72, 72, 72]


def test_colours_follow_the_system_until_they_are_chosen(chromium: Browser, page: Path) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    chromium.emulate(dark=True)
    visit(chromium, page)
    dark = chromium.evaluate(background)
    chromium.emulate(dark=False)
    light = chromium.evaluate(background)
    assert light == "rgb(255, 255, 255)" and dark != light
    chromium.evaluate("document.querySelector('#theme').click(); document.querySelector('#theme').click()")
    assert chromium.evaluate(background) == dark
    chromium.evaluate("document.querySelector('#theme').click()")


@pytest.mark.parametrize("address", VIEWS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280], ids=["narrow", "wide"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    chromium: Browser, page: Path, address: str, dark: bool, width: int
) -> None:
    chromium.resize(width, 844)
    chromium.emulate(dark=dark)
    visit(chromium, page, address)
    assert violations(chromium.page) == []
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width


def test_the_first_tab_leads_past_the_navigation(chromium: Browser, page: Path) -> None:
    visit(chromium, page)
    chromium.press("Tab")
    assert chromium.evaluate("document.activeElement.textContent") == "Skip to the content"


def test_skipping_to_the_content_keeps_the_view(chromium: Browser, page: Path) -> None:
    visit(chromium, page, VIDEO)
    chromium.evaluate("document.querySelector('.skip').click()")
    assert chromium.evaluate("[document.activeElement.id, document.querySelector('#overview').hidden]") == [
        "main",
        True,
    ]


def test_a_view_takes_the_focus_and_back_leads_to_the_overview(chromium: Browser, page: Path) -> None:
    visit(chromium, page)
    chromium.evaluate("document.querySelector('#video-table tbody a').click()")
    until(chromium, "document.querySelector('#overview').hidden && document.activeElement.tagName === 'H2'")
    chromium.evaluate("history.back()")
    until(chromium, "!document.querySelector('#overview').hidden && document.querySelector('#view').hidden")


def test_print_shows_all_sections_on_white_without_controls(chromium: Browser, page: Path, tmp_path: Path) -> None:
    chromium.emulate(dark=True, printed=True)
    visit(chromium, page)
    assert chromium.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert chromium.evaluate("document.querySelector('.bar-nav').checkVisibility()") is False
    assert chromium.evaluate(
        "[...document.querySelectorAll('#overview > section')].every(section => section.checkVisibility())"
    )
    assert chromium.pdf(tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_all_timelines_can_be_drawn_for_printing(chromium: Browser, page: Path) -> None:
    visit(chromium, page, "#/timelines")
    chromium.evaluate("document.querySelector('#view button').click()")
    until(chromium, "document.querySelector('#view [role=status]').textContent.startsWith('All timelines are drawn')")
    assert chromium.evaluate("document.querySelectorAll('.timeline svg').length") == 4


def test_screenshots_show_something_and_dark_is_dark(page: Path, tmp_path: Path) -> None:
    paths = take_screenshots(page, tmp_path)
    assert len(paths) == 12
    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert image.std() > 5
        assert (np.median(image) < 60) == ("dark" in path.name)
        assert image.shape[1] == (390 if "narrow" in path.name else 1280)


def test_index_of_the_page_is_valid_json(chromium: Browser, page: Path) -> None:
    visit(chromium, page)
    index = json.loads(chromium.evaluate("document.getElementById('index').textContent"))
    assert index["experiments"] == ["learned", "baseline"]
