"""The report shows what the files of a run hold, escapes it, and asks the network for nothing."""

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from pfes import report, store
from pfes.evaluation import NO_SEED, evaluate_run
from pfes.records import EXPRESSION_COLUMNS, PROPOSAL_COLUMNS, VIDEO_COLUMNS, file_name
from pfes.report import RunFiles

FPS = 30.0
ORIGIN = {
    "stage": "test", "command": "pfes test", "pfes": "0", "python": "3.11", "libraries": {"numpy": "1"},
    "parameters": {"width": 64, "inner": {"rate": 0.1}}, "sources": {},
}  # fmt: skip
TABLES = ("videos", "expressions", "repairs", "refusals", "metrics", "matches")
HOSTILE = "<script>alert(1)</script>"


def make_run(
    folder: Path, subjects: tuple[str, ...], seeds: tuple[int, ...] = (0,), *, per_subject: int = 2, n_frames: int = 300
) -> RunFiles:
    """Write the files of a run with one macro and one micro per video and a last video that has no face.

    ::

        frame      0........60======110.......180==192...........230 no face 239....
        learned             60======110  (micro at another place in every second video: one miss, one false alarm)
        baseline   20===45  (never right)
    """
    generator = np.random.default_rng(0)
    videos, expressions, learned, baseline, faces, truth = [], [], [], [], {}, {}
    scores: dict[str, np.ndarray] = {}
    for subject in subjects:
        for index in range(per_subject):
            video = f"v{index + 1}"
            video_id = file_name(f"{subject}_{video}")
            videos.append(("fake", subject, video, video_id, "x.mp4", FPS, n_frames, n_frames, FPS, ""))
            for label, span in (("macro", (60, 80, 110)), ("micro", (180, 185, 192))):
                expressions.append(
                    ("fake", subject, video, video_id, len(expressions), label, *span, *span, len(expressions) + 2)
                )
            right = ("micro", 181, 185, 193) if index % 2 else ("micro", 20, 25, 33)
            learned += [_proposal(subject, video_id, "macro", 62, 81, 108), _proposal(subject, video_id, *right)]
            baseline.append(_proposal(subject, video_id, "macro", 20, 30, 45))
            faces[video_id] = _write_faces(folder / f"faces/{video_id}.h5", n_frames)
            curve = _bell(n_frames, 80, 13) + 0.7 * _bell(n_frames, 185, 4)
            truth[video_id] = folder / f"truth/{video_id}.h5"
            store.write(truth[video_id], "truth", {"intensity": curve}, ORIGIN)
            scores[f"intensity/{video_id}"] = np.clip(0.9 * curve + generator.normal(0.05, 0.03, n_frames), 0, 1)
            scores[f"class_scores/{video_id}"] = np.zeros((n_frames, 2))
    videos.append(("fake", subjects[0], "dark", "dark", "x.mp4", FPS, n_frames, n_frames, FPS, ""))
    faces["dark"] = folder / "faces/dark.h5"
    store.refuse(faces["dark"], "faces", "no_face.mp4: no face in any of 98 frames", ORIGIN)
    _table(folder / "videos.parquet", "videos", videos, VIDEO_COLUMNS)
    _table(folder / "expressions.parquet", "expressions", expressions, EXPRESSION_COLUMNS)
    repair = [(7, videos[0][3], "offset", "0", "130", "official")]
    _table(folder / "repairs.parquet", "repairs", repair, ("row", "video_id", "column", "found", "value", "rule"))
    _table(folder / "refusals.parquet", "refusals", [], ("row", "video_id", "reason"))
    _table(folder / "baseline.parquet", "proposals", baseline, PROPOSAL_COLUMNS)
    store.write(folder / "scores.h5", "scores", scores, ORIGIN)
    proposals = {("baseline", NO_SEED): [folder / "baseline.parquet"]}
    for seed in seeds:
        _table(folder / f"learned{seed}.parquet", "proposals", learned[: len(learned) - seed], PROPOSAL_COLUMNS)
        proposals["learned", seed] = [folder / f"learned{seed}.parquet"]
    _evaluate(folder, proposals)
    (folder / "flow.tsv").write_text("s\th:m:s\tmax_rss\n12.5\t0:00:12\t310.0\n")
    return RunFiles(
        **{name: folder / f"{name}.parquet" for name in TABLES},
        proposals=proposals,
        faces=faces,
        truth=truth,
        scores={("learned", seed): [folder / "scores.h5"] for seed in seeds},
        benchmarks={"flow": [folder / "flow.tsv", folder / "flow.tsv"], "train": []},
    )


def _evaluate(folder: Path, proposals: dict[report.Key, list[Path]]) -> None:
    nested: dict[str, dict[int, list[Path]]] = {}
    for (name, seed), paths in proposals.items():
        nested.setdefault(name, {})[seed] = paths
    outputs = [folder / name for name in ("metrics.parquet", "counts.parquet", "matches.parquet", "summary.json")]
    evaluate_run(folder / "videos.parquet", folder / "expressions.parquet", nested, *outputs, run="fake")


def _proposal(subject: str, video_id: str, label: str, onset: int, apex: int, offset: int) -> tuple[object, ...]:
    seconds = (onset / FPS, apex / FPS, offset / FPS)
    return subject, video_id, label, onset, apex, offset, onset, apex, offset, *seconds, 0.6, 0.5, 0.8


def _table(path: Path, kind: str, rows: list[tuple[object, ...]], columns: tuple[str, ...]) -> None:
    store.write_table(path, kind, pd.DataFrame(rows, columns=list(columns)), ORIGIN)


def _write_faces(path: Path, n_frames: int) -> Path:
    found = np.ones(n_frames, np.uint8)
    found[230:240] = 0
    arrays = {
        "landmarks": np.zeros((n_frames, 68, 2), np.float32), "native_frame": np.arange(n_frames), "found": found,
        "interocular": np.where(found, 64.0, np.nan), "faces": found, "pose": np.zeros((n_frames, 3)),
        "blur": np.ones(n_frames),
    }  # fmt: skip
    store.write(path, "faces", arrays, ORIGIN, fps=FPS)
    return path


def _bell(n_frames: int, apex: int, width: float) -> np.ndarray:
    return np.exp(-(((np.arange(n_frames) - apex) / width) ** 2) / 2)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> RunFiles:
    return make_run(tmp_path_factory.mktemp("run"), ("s01", HOSTILE))


@pytest.fixture(scope="module")
def page(files: RunFiles, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("page") / "report.html"
    report.write_report(files, out, run="fake", demo=True, settings={"train": {"epochs": 3}})
    return out.read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Collects tags with their attributes, the text, and the cells of every table row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.in_cell:
            self.rows[-1][-1] = (self.rows[-1][-1] + data).strip()


def test_page_needs_no_network(page: str) -> None:
    for tag, attributes in Reader(page).tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "xlink:href", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))


def test_hostile_subject_is_escaped(page: str) -> None:
    assert HOSTILE not in page
    assert HOSTILE in Reader(page).text


def test_page_shows_the_given_metrics(files: RunFiles, page: str) -> None:
    """Per video the macro is found; the micro is found in every second video, else missed with a false alarm."""
    rows = Reader(page).rows
    assert rows[rows.index(["learned"]) + 1] == ["macro", "4", "0", "0", "1.000", "1.000", "1.000"]
    assert ["micro", "2", "2", "2", "0.500", "0.500", "0.500"] in rows
    assert ["overall", "6", "2", "2", "0.750", "0.750", "0.750"] in rows
    assert rows[rows.index(["baseline"]) + 1] == ["macro", "0", "4", "4", "0.000", "0.000", "0.000"]


def test_page_says_what_the_demo_proves_and_only_for_the_demo(files: RunFiles, page: str, tmp_path: Path) -> None:
    sentence = "It proves that the machine works; it says nothing about accuracy on people."
    assert sentence in page
    report.write_report(files, tmp_path / "real.html", run="fake", demo=False)
    assert sentence not in (tmp_path / "real.html").read_text()


def test_refused_video_is_listed_with_its_reason(page: str) -> None:
    text = Reader(page).text
    assert "1 of 5 videos could not be used" in text
    assert text.count("no_face.mp4: no face in any of 98 frames") == 2  # among the timelines and in the quality table


def test_refusal_of_a_later_stage_is_listed_too(files: RunFiles, tmp_path: Path) -> None:
    store.refuse(tmp_path / "short.h5", "snippets", "5 frames, a window needs 17", ORIGIN)
    report.write_report(
        replace(files, snippets={"s01_v1": tmp_path / "short.h5"}), tmp_path / "r.html", run="fake", demo=False
    )
    assert "5 frames, a window needs 17" in (tmp_path / "r.html").read_text()


def test_gap_without_a_face_is_counted(page: str) -> None:
    assert ["s01", "v1", "300", "30.00", "96.67 %", "1", "10", "64", "no"] in Reader(page).rows


def test_repairs_are_shown_and_no_refusal_is_said_as_none(page: str) -> None:
    reader = Reader(page)
    assert ["7", "s01_v1", "offset", "0", "130", "official"] in reader.rows
    assert "Refused labels: none." in reader.text


def test_provenance_cost_and_settings_are_shown(page: str) -> None:
    rows = Reader(page).rows
    assert ["flow", "2", "25.0", "12.5", "310"] in rows
    assert ["train.epochs", "3"] in rows
    assert ["inner.rate", "0.1"] in rows


def test_ids_are_unique_so_that_no_figure_borrows_from_a_closed_one(page: str) -> None:
    defined = [attributes["id"] for _, attributes in Reader(page).tags if attributes.get("id")]
    assert len(defined) == len(set(defined))
    used = set(re.findall(r"url\(#([^)]+)\)", page)) | set(re.findall(r'href="#([^"]+)"', page))
    assert used <= set(defined)


def test_several_seeds_show_mean_counts_and_spread(tmp_path: Path) -> None:
    files = make_run(tmp_path, ("s01",), seeds=(0, 1))  # seed 1 lacks the last proposal, a found micro
    report.write_report(files, tmp_path / "r.html", run="fake", demo=False)
    rows = Reader((tmp_path / "r.html").read_text()).rows
    assert ["micro", "0.5", "1.0", "1.5", "0.333", "0.250", "0.286", "0.000 to 0.500"] in rows
    assert ["learned", "1", "micro", "0", "1", "2", "0.000", "0.000", "0.000"] in rows
    assert ["baseline", "none", "macro", "0", "2", "2", "0.000", "0.000", "0.000"] in rows


def test_timelines_are_written_for_every_usable_video(files: RunFiles, tmp_path: Path) -> None:
    paths = report.draw_timelines(files, tmp_path)
    assert [path.name for path in paths] == [f"{video_id}.svg" for video_id in files.faces if video_id != "dark"]
    again = report.draw_timelines(files, tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]


def test_a_proposal_counts_as_found_only_where_the_evaluation_paired_it(files: RunFiles) -> None:
    matches, truth = store.read_table(files.matches, "matches"), store.read_table(files.expressions, "expressions")
    proposals = store.read_table(files.proposals["learned", 0][0], "proposals")
    found, missed = report._judged(matches, ("learned", 0), "s01_v1", proposals, truth[truth["video_id"] == "s01_v1"])
    assert found[["class", "matched"]].to_numpy().tolist() == [["macro", True], ["micro", False]]
    assert missed["class"].tolist() == ["micro"]


def test_run_without_proposals_or_expressions_gives_a_page(files: RunFiles, tmp_path: Path) -> None:
    _table(tmp_path / "expressions.parquet", "expressions", [], EXPRESSION_COLUMNS)
    _table(tmp_path / "none.parquet", "proposals", [], PROPOSAL_COLUMNS)
    (tmp_path / "videos.parquet").write_bytes(files.videos.read_bytes())
    _evaluate(tmp_path, {("baseline", NO_SEED): [tmp_path / "none.parquet"]})
    tables = {name: tmp_path / f"{name}.parquet" for name in ("expressions", "metrics", "matches")}
    proposals = {("baseline", NO_SEED): [tmp_path / "none.parquet"]}
    empty = replace(files, **tables, proposals=proposals, scores={}, truth={})
    report.write_report(empty, tmp_path / "r.html", run="empty", demo=False)
    assert ["macro", "0", "0", "0", "0.000", "0.000", "0.000"] in Reader((tmp_path / "r.html").read_text()).rows


def test_terminal_table_shows_counts_and_ratios(files: RunFiles) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(report.results_table(store.read_table(files.metrics, "metrics")))
    assert re.search(r"learned +macro +4 +0 +0 +1\.000 +1\.000 +1\.000", console.export_text())
