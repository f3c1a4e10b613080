"""The tables of the paper: rows and columns as printed, and what may stand beside them."""

import json

import pytest

from pfes.base.config import expanded
from pfes.evaluation.paper_tables import TABLES, in_run, paper_table, write_paper_tables
from tests.conftest import ROOT


def figures(*names):
    return {
        name: {kind: {"f1": (number + 1) / 100 + own / 1000} for own, kind in enumerate(("macro", "micro", "overall"))}
        for number, name in enumerate(names)
    }


def rows(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


@pytest.mark.parametrize("name", TABLES)
def test_the_group_of_a_table_holds_exactly_its_rows(name):
    group = expanded({"experiments": name}, ROOT / "config/experiments")["experiments"]
    assert set(group) == {row.experiment for row in TABLES[name].rows}
    assert name in in_run(group)
    assert name not in in_run(group[1:])


def test_table_4_on_a_dataset_of_the_paper_and_on_the_demo(tmp_path):
    found = figures("conference_overlap_higher", "conference_overlap_lower", "conference")
    (tmp_path / "summary.json").write_text(json.dumps({"experiments": found}))
    write_paper_tables(tmp_path / "summary.json", [tmp_path / "table4.md"], "samm_lv")
    assert rows((tmp_path / "table4.md").read_text()) == [
        ["label kept", "MaE", "ME", "overall", "published overall"],
        ["---", "---:", "---:", "---:", "---"],
        ["higher", "0.0100", "0.0110", "0.0120", "0.3473"],
        ["lower", "0.0200", "0.0210", "0.0220", "0.3570"],
        ["random", "0.0300", "0.0310", "0.0320", "0.3587"],
    ]
    own = rows(paper_table("table4", found, "demo"))
    assert own[0] == ["label kept", "MaE", "ME", "overall"]
    assert all(len(line) == 4 for line in own)


def test_table_3_has_every_combination_once():
    cells = [row.cells for row in TABLES["table3"].rows]
    assert len(set(cells)) == 8


def test_table_1_lists_the_published_methods_above_ours():
    ours = figures("supervised", "conference", *(row.experiment for row in TABLES["table1"].rows[1:-1]))
    found = rows(paper_table("table1", ours, "casme2"))
    assert ["GIM", "point", "0.4395", "0.0588", "0.4000", "published"] in found
    assert found[-1] == ["GIM (here)", "point", "0.0200", "0.0210", "0.0220", ""]
    assert len(found) == 2 + 15 + len(ours)
    assert len(rows(paper_table("table1", ours, "demo"))) == 2 + len(ours)
