"""The report shows what the files of a run hold, escapes it, and asks the network for nothing."""

import base64
import hashlib
import io
import json
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from pfes.base import store
from pfes.base.errors import InputError
from pfes.base.records import EXPRESSION_COLUMNS, PROPOSAL_COLUMNS
from pfes.bench import browser
from pfes.bench.browser import Browser
from pfes.bench.report import load_times, synthetic_run
from pfes.evaluation.metrics import NO_SEED, Outputs, judge_run, nested, write_evaluation
from pfes.evaluation.parameters import BootstrapParameters, EvaluateParameters
from pfes.report import page as report
from pfes.report import tables as report_tables
from pfes.report import views as report_views
from pfes.report.page import RunFiles
from pfes.report.parameters import ReportParameters
from tests.report_runs import BLINK, FPS, HOSTILE, NOD, ORIGIN, evaluate, face_points, make_run, write_table


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    return make_run(tmp_path_factory.mktemp("run"), ("s01", HOSTILE))


@pytest.fixture(scope="module")
def bare(files: RunFiles) -> RunFiles:
    """The run without the further tables of its evaluation: its page has few charts and is made quickly."""
    return replace(files, statistics={})


@pytest.fixture(scope="module")
def page(files: RunFiles, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(files, tmp_path_factory.mktemp("page"), demo=True, settings={"train": {"epochs": 3}})


def written(files: RunFiles, folder: Path, demo: bool = False, **changes: object) -> str:
    report.write_report(files, folder / "report.html", run="fake", demo=demo, **changes)  # type: ignore[arg-type]
    return (folder / "report.html").read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Collects tags with their attributes, the text, the cells of every table row, and the scripts by id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.scripts: dict[str | None, str] = {}
        self.text = ""
        self.in_cell = self.in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.in_script = tag == "script"
        if tag == "script":
            self.scripts[dict(attrs).get("id")] = ""
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag not in ("td", "th")
        self.in_script = self.in_script and tag != "script"

    def handle_data(self, data: str) -> None:
        if self.in_script:
            self.scripts[list(self.scripts)[-1]] += data
            return
        self.text += data
        if self.in_cell:
            self.rows[-1][-1] = (self.rows[-1][-1] + data).strip()

    def view(self, number: int) -> dict:
        return json.loads(zlib.decompress(base64.b64decode(self.scripts[f"view-{number}"])))


def test_page_needs_no_network(page: str) -> None:
    for tag, attributes in Reader(page).tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    style = page[: page.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style


def test_policy_of_the_page_allows_its_own_script_and_nothing_else(page: str) -> None:
    reader = Reader(page)
    policy = next(attributes["content"] for tag, attributes in reader.tags if attributes.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(reader.scripts[None].encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert not [attributes for _, attributes in reader.tags if any(name.startswith("on") for name in attributes)]


def test_hostile_subject_is_escaped(page: str) -> None:
    reader = Reader(page)
    assert HOSTILE not in page
    assert HOSTILE in reader.text
    assert HOSTILE in {video["subject"] for video in json.loads(reader.scripts["index"])["videos"]}
    assert "/subject/%3Cscript%3Ealert%281%29%3C%2Fscript%3E" in page


def test_same_run_gives_the_same_bytes(files: RunFiles, page: str, tmp_path: Path) -> None:
    assert written(files, tmp_path, demo=True, settings={"train": {"epochs": 3}}) == page


def test_page_shows_the_given_metrics(page: str) -> None:
    """Per video the macro is found; the micro is found in every second video, else missed with a false alarm."""
    rows = Reader(page).rows
    assert rows[rows.index(["learned"]) + 1][:7] == ["macro", "4", "0", "0", "1.000", "1.000", "1.000"]
    assert ["micro", "2", "2", "2", "0.500", "0.500", "0.500"] in [row[:7] for row in rows]
    assert ["overall", "6", "2", "2", "0.750", "0.750", "0.750"] in [row[:7] for row in rows]
    assert rows[rows.index(["baseline"]) + 1][:7] == ["macro", "0", "4", "4", "0.000", "0.000", "0.000"]


def test_intervals_and_comparison_are_those_of_the_evaluation(files: RunFiles, page: str) -> None:
    rows = Reader(page).rows
    table = store.read_table(files.statistics["intervals"], "intervals").set_index(["experiment", "class"])
    low, high = table.loc[("learned", "micro"), ["low", "high"]]
    assert [row[7] for row in rows if row[0] == "micro"][0] == f"{low:.3f} to {high:.3f}"
    difference = store.read_table(files.statistics["differences"], "differences").set_index("class").loc["overall"]
    found = next(row for row in rows if row[:2] == ["baseline minus learned", "overall"])
    assert found[2] == f"{difference['difference']:+.3f}" == "-0.750"
    assert float(found[4]) == pytest.approx(difference["p"], abs=5e-4)


def test_other_protocols_stand_beside_strict_and_no_published_row_beside_the_demo(page: str) -> None:
    rows = [row[:2] for row in Reader(page).rows]
    named = ("strict", "gim-release", "megc2020", "megc-strs", "he-2021")
    protocols = [row[1] for row in rows if row[0] == "learned" and row[-1] in named]
    assert protocols == list(named)
    assert "as published" not in page


def test_published_rows_say_that_they_are(files: RunFiles, tmp_path: Path) -> None:
    table = store.read_table(files.statistics["protocol_table"], "protocol_table")
    theirs = table.iloc[:1].assign(source="Someone", supervision="full", protocol="", published=True)
    store.write_table(tmp_path / "p.parquet", "protocol_table", theirs, ORIGIN)
    changed = replace(files, statistics={"protocol_table": tmp_path / "p.parquet"})
    assert ["Someone", "as published, full"] in [row[:2] for row in Reader(written(changed, tmp_path)).rows]


def test_another_protocol_than_strict_is_said_and_so_is_the_level_of_the_intervals(
    files: RunFiles, tmp_path: Path
) -> None:
    assert "Protocol strict: a proposal finds" in Reader(written(replace(files, statistics={}), tmp_path)).text
    outputs = [tmp_path / name for name in ("metrics.parquet", "counts.parquet", "matches.parquet", "summary.json")]
    level = BootstrapParameters(samples=100, level=0.9)
    params = EvaluateParameters("megc2020", bootstrap=level)
    run = judge_run(files.videos, files.expressions, nested(files.proposals), params)
    write_evaluation(run, Outputs(*outputs), "fake")
    changed = replace(
        files, metrics=outputs[0], matches=outputs[2], statistics={"intervals": files.statistics["intervals"]}
    )
    text = Reader(written(changed, tmp_path)).text
    assert "Protocol megc2020, IoU 0.5: not strict" in text
    assert "Intervals are 90 % bootstrap intervals over subjects." in text


def test_page_says_what_the_demo_proves_and_only_for_the_demo(bare: RunFiles, page: str, tmp_path: Path) -> None:
    sentence = "It proves that the machine works; it says nothing about accuracy on people."
    assert sentence in page
    assert sentence not in written(bare, tmp_path)


def test_refused_video_is_listed_with_its_reason(page: str) -> None:
    reader = Reader(page)
    assert "1 of 5 videos could not be used" in reader.text
    row = next(row for row in reader.rows if row[:2] == ["s01", "dark"])
    assert row[-1] == "no_face.mp4: no face in any of 98 frames"
    assert "view-4" not in reader.scripts


def test_refusal_of_a_later_stage_is_listed_too(bare: RunFiles, tmp_path: Path) -> None:
    store.refuse(tmp_path / "short.h5", "snippets", "5 frames, a window needs 17", ORIGIN)
    changed = replace(bare, snippets={"s01_v1": tmp_path / "short.h5"})
    assert "5 frames, a window needs 17" in Reader(written(changed, tmp_path)).text


def test_gap_without_a_face_is_counted(page: str) -> None:
    row = next(row for row in Reader(page).rows if row[:2] == ["s01", "v1"] and len(row) > 9)
    assert row[2:] == ["2", "1", "1", "0", "1", "300", "30.00", "96.67 %", "1", "10", "64", "1", "9", "no"]


def test_subjects_have_their_own_counts(page: str) -> None:
    assert ["s01", "3", "4", "3", "1", "1", "0.750", "0", "4", "2", "0.000"] in Reader(page).rows


def test_repairs_are_shown_and_no_refusal_is_said_as_none(page: str) -> None:
    reader = Reader(page)
    assert ["7", "s01_v1", "offset", "0", "130", "official"] in reader.rows
    assert "Refused labels: none." in reader.text


def test_provenance_cost_and_settings_are_shown(page: str) -> None:
    rows = Reader(page).rows
    assert ["flow", "2", "25.0", "12.5", "310"] in rows
    assert ["train.epochs", "3"] in rows
    assert ["inner.rate", "0.1"] in rows


def test_ids_are_unique_and_every_reference_has_its_target(page: str) -> None:
    defined = [attributes["id"] for _, attributes in Reader(page).tags if attributes.get("id")]
    assert len(defined) == len(set(defined))
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    used = set(re.findall(r"url\(#([^)]+)\)", markup)) | set(re.findall(r'href="#([^"/]+)"', markup))
    assert used <= set(defined)


def test_every_table_has_a_caption_and_every_control_a_label(page: str) -> None:
    tags = Reader(page).tags
    names = [tag for tag, _ in tags]
    assert names.count("table") == names.count("caption")
    assert all(
        "aria-label" in attributes for tag, attributes in tags if tag == "svg" and attributes.get("role") == "img"
    )
    for name in ("main", "nav", "header", "footer"):
        assert name in names


def test_errors_are_those_of_the_analysis(files: RunFiles, page: str) -> None:
    reader = Reader(page)
    packed = json.loads(zlib.decompress(base64.b64decode(reader.scripts["errors-data"])))
    table = store.read_table(files.statistics["errors"], "errors")
    assert len(packed) == len(table) == 16
    assert packed[0][:2] == [0, table["kind"].iloc[0]]
    assert sum(int(count.split()[0]) for row in reader.rows if row[0] in set(table["kind"]) for count in row[1:3]) == 16


def test_without_an_analysis_misses_and_false_alarms_are_listed(bare: RunFiles, tmp_path: Path) -> None:
    reader = Reader(written(bare, tmp_path))
    assert ["missed", "2", "8"] in reader.rows
    assert ["false alarm", "2", "4"] in reader.rows
    assert "95 % interval" not in reader.text


def test_view_holds_what_the_files_say(files: RunFiles, page: str) -> None:
    view = Reader(page).view(0)
    assert view["truth"] == [["macro", 60, 80, 110, 0], ["micro", 180, 185, 192, 1]]
    assert view["gaps"] == [[230, 239]]
    learned, baseline = view["experiments"]
    assert [row[:4] + row[5:6] for row in learned["proposals"]] == [
        ["macro", 62, 81, 108, 0],
        ["micro", 20, 25, 33, -1],
    ]
    assert [row[0] for row in learned["missed"]] == [1]
    assert baseline["curve"] is None
    scores = store.read(files.scores["learned", 0][0], "scores")["intensity/s01_v1"]
    drawn = np.array([np.nan if value is None else value / 254 for value in learned["curve"]["values"]])
    assert np.flatnonzero(np.isnan(drawn)).tolist() == list(range(230, 240))
    np.testing.assert_allclose(drawn[:230], scores[:230], atol=0.5 / 254)


def test_flow_is_shown_up_to_its_limit_and_the_page_says_so(bare: RunFiles, page: str, tmp_path: Path) -> None:
    flow = Reader(page).view(1)["flow"]
    assert flow["rois"][0] == "left brow inner" and flow["high"] == 5.0
    assert [line[-1] for line in flow["values"]] == np.rint(np.linspace(0.1, 1, 10) * 254).astype(int).tolist()
    assert "ROI flow is kept" not in Reader(page).text
    limited = Reader(written(bare, tmp_path, params=ReportParameters(max_flow_videos=1)))
    assert [limited.view(index)["flow"] is not None for index in range(4)] == [True, False, False, False]
    assert "ROI flow is kept for the 1 videos with the most mistakes" in limited.text


def test_faces_are_shown_of_the_demo_alone_unless_the_configuration_says_so(
    bare: RunFiles, page: str, tmp_path: Path
) -> None:
    def shown(text: str) -> int:
        reader = Reader(text)
        return sum(len(reader.view(index)["pictures"]) for index in range(4))

    assert shown(page) == 10  # 8 labelled apexes and 2 false alarms
    assert shown(written(bare, tmp_path)) == 0
    assert shown(written(bare, tmp_path, demo=True, params=ReportParameters(faces=False))) == 0
    given = written(bare, tmp_path, params=ReportParameters(faces=True, max_thumbnails=4))
    assert shown(given) == 4
    assert "Faces are shown at 4 frames" in given
    assert "This page shows faces" in given and "This page shows faces" not in page


def test_picture_shows_the_frame_it_names(page: str) -> None:
    picture = Reader(page).view(0)["pictures"][1]
    assert (picture["frame"], picture["kind"], picture["note"]) == (80, "macro", "labelled")
    image = cv2.imdecode(np.frombuffer(base64.b64decode(picture["src"].split(",")[1]), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image.shape == (72, 72)
    assert np.abs(image.astype(int) - 80).max() <= 2


def test_curve_keeps_the_extreme_of_the_frames_that_one_value_stands_for() -> None:
    values = np.array([0.0, 1.0, 0.2, 0.1, np.nan, np.nan, 0.5, np.nan])
    assert report_views.curve(values, 4)["values"] == [254, 0, None, 95]  # 1, .2, none, .5 between .2 and 1
    assert report_views.curve(values, 4, low=0.0, lowest=True)["values"] == [0, 51, None, 254]
    assert report_views.curve(values, 4)["step"] == 2


@pytest.mark.parametrize("values", [np.empty(0), np.full(5, np.nan), np.zeros(5), np.full(5, 3.0)])
def test_curve_of_nothing_or_of_one_value_is_defined(values: np.ndarray) -> None:
    found = report_views.curve(values, 100)
    assert len(found["values"]) == len(values)
    json.dumps(found, allow_nan=False)


def test_face_signals_show_a_blink_and_a_motion_where_they_are() -> None:
    found = np.ones(300, bool)
    faces = {
        "landmarks": face_points(300),
        "found": found,
        "interocular": np.full(300, 64.0),
        "pose": np.zeros((300, 3)),
    }
    signals = {row["name"]: row for row in report_views.face_signals(faces, FPS, 300)}
    assert np.argmin(signals["eye opening"]["values"]) == BLINK
    assert signals["eye opening"]["high"] == pytest.approx(0.3)
    assert np.flatnonzero(np.array(signals["head motion"]["values"][1:])).tolist() == [NOD - 1]
    assert signals["head motion"]["high"] == pytest.approx(3.0)  # a tenth of an eye distance in 1/30 s
    assert set(signals["mouth opening"]["values"]) == {0}


def test_several_seeds_show_mean_counts_and_spread(tmp_path: Path) -> None:
    files = make_run(tmp_path, ("s01",), seeds=(0, 1))  # seed 1 lacks the last proposal, a found micro
    rows = Reader(written(files, tmp_path)).rows
    micro = next(row for row in rows if row[0] == "micro" and len(row) == 9)
    assert micro[:7] + micro[8:] == ["micro", "0.5", "1.0", "1.5", "0.333", "0.250", "0.286", "0.000 to 0.500"]
    assert ["learned", "1", "micro", "0", "1", "2", "0.000", "0.000", "0.000"] in rows
    assert ["baseline", "none", "macro", "0", "2", "2", "0.000", "0.000", "0.000"] in rows


def test_timelines_are_written_for_every_usable_video(files: RunFiles, tmp_path: Path) -> None:
    paths = report.draw_timelines(files, tmp_path)
    assert [path.name for path in paths] == [f"{video_id}.svg" for video_id in files.faces if video_id != "dark"]
    again = report.draw_timelines(files, tmp_path / "again", limit=1)
    assert again[0].read_bytes() == paths[0].read_bytes()


def test_timelines_are_limited_to_the_videos_with_the_most_mistakes(files: RunFiles, tmp_path: Path) -> None:
    assert [path.stem for path in report.draw_timelines(files, tmp_path, limit=1)] == ["s01_v1"]
    assert report.draw_timelines(files, tmp_path / "none", limit=0) == []


def test_a_proposal_counts_as_found_only_where_the_evaluation_paired_it(files: RunFiles) -> None:
    tables = [
        store.read_table(path, kind).query("video_id == 's01_v1'")
        for path, kind in (
            (files.matches, "matches"), (files.proposals["learned", 0][0], "proposals"), (files.expressions, "expressions"),
        )
    ]  # fmt: skip
    tables[0] = tables[0][tables[0]["experiment"] == "learned"]
    found, missed = report.split_outcomes(*tables)
    assert found[["class", "matched"]].to_numpy().tolist() == [["macro", True], ["micro", False]]
    assert missed["class"].tolist() == ["micro"]


def test_run_without_proposals_or_expressions_gives_a_page(files: RunFiles, tmp_path: Path) -> None:
    write_table(tmp_path / "expressions.parquet", "expressions", [], EXPRESSION_COLUMNS)
    write_table(tmp_path / "none.parquet", "proposals", [], PROPOSAL_COLUMNS)
    (tmp_path / "videos.parquet").write_bytes(files.videos.read_bytes())
    proposals = {("baseline", NO_SEED): [tmp_path / "none.parquet"]}
    evaluate(tmp_path, proposals)
    tables = {name: tmp_path / f"{name}.parquet" for name in ("expressions", "metrics", "matches")}
    empty = replace(files, **tables, proposals=proposals, scores={}, truth={}, statistics={})
    rows = Reader(written(empty, tmp_path)).rows
    assert ["macro", "0", "0", "0", "0.000", "\N{EN DASH}", "\N{EN DASH}"] in [row[:7] for row in rows]
    assert report.draw_timelines(empty, tmp_path / "timelines")


def test_page_stays_small(tmp_path: Path) -> None:
    """A video of 2,600 frames with two curves takes less than 40 kB; 1,000 videos, of which 100 have flow, under 25 MB."""
    size = len(written(synthetic_run(tmp_path, 6), tmp_path))
    assert size < 6 * 40_000 + 150_000


def test_without_a_browser_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(browser, "chromium", browser.chromium.__wrapped__)  # not the one that runs already
    with pytest.raises(InputError, match="no browser found; expected one of chromium, .*; install it: apt-get install"):
        Browser()
    assert np.isnan(load_times(tmp_path / "report.html")["load_s"])


def test_terminal_table_shows_counts_and_ratios(files: RunFiles) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(report_tables.results_table(store.read_table(files.metrics, "metrics")))
    assert re.search(r"learned +macro +4 +0 +0 +1\.000 +1\.000 +1\.000", console.export_text())


def test_frames_that_could_not_be_used_are_counted(files: RunFiles, page: str) -> None:
    video = store.read_table(files.videos, "videos").iloc[0]
    row = report_tables.video_quality(video, files)
    assert (row["gap"], row["cuts"], row["unusable"]) == (10, 1, 2 + 3 + 4)
    assert '<td class="n">1</td><td class="n">9</td>' in page
