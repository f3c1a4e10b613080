"""What each choice is worth; published rows beside real datasets only."""

import numpy as np
import pandas as pd
import pytest

from pfes.base.errors import InputError
from pfes.evaluation.counts import judge
from pfes.evaluation.protocol_table import COLUMNS, DATASETS, limit_oracle, oracles, protocol_table, published
from pfes.evaluation.protocols import PROTOCOLS
from tests.timelines import table, videos

KNOWN = videos("a1", "b1")
TRUTH = table([("a1", "macro", 0, 9), ("b1", "macro", 0, 9)])
HIT_A, HIT_B = (table([(name, "macro", 0, 9)]) for name in ("a1", "b1"))
NOTHING = table([])


def test_every_experiment_protocol_and_epoch_choice_has_a_row() -> None:
    both = pd.concat([HIT_A, HIT_B])
    epochs = {"fixed": {"gim": {0: HIT_A}, "flow": {-1: NOTHING}}}
    rows = protocol_table(KNOWN, TRUTH, epochs, {"gim": {0: {9: both}}})
    assert list(rows.columns) == list(COLUMNS)
    gim = rows[rows["source"] == "gim"].set_index(["protocol", "epochs"])["macro"]
    assert gim.to_dict() == {
        (protocol, choice): f1
        for protocol in PROTOCOLS
        for choice, f1 in (("fixed", 2 / 3), ("oracle", 1.0), ("oracle-class", 1.0))
    }
    assert set(rows.loc[rows["source"] == "flow", "epochs"]) == {"fixed"}


def test_seeds_are_pooled() -> None:
    rows = protocol_table(KNOWN, TRUTH, {"fixed": {"gim": {0: pd.concat([HIT_A, HIT_B]), 1: NOTHING}}})
    assert rows["macro"].tolist() == [2 / 3] * len(PROTOCOLS)


@pytest.mark.parametrize("dataset", DATASETS)
def test_published_rows_stand_beside_the_real_datasets(dataset: str) -> None:
    rows = protocol_table(KNOWN, TRUTH, {"fixed": {"gim": {0: HIT_A}}}, dataset=dataset)
    theirs = rows[rows["published"]]
    assert len(theirs) == 15
    assert not rows.loc[rows["source"] == "gim", "published"].any()
    assert set(theirs["protocol"]) == {""}  # nobody knows under which protocol each was made


@pytest.mark.parametrize("dataset", ["demo", "generic", "casme3", ""])
def test_no_published_row_stands_beside_anything_else(dataset: str) -> None:
    assert not protocol_table(KNOWN, TRUTH, {"fixed": {"gim": {0: HIT_A}}}, dataset=dataset)["published"].any()


def test_published_figures_are_those_of_the_papers() -> None:
    rows = {dataset: published(dataset).set_index("source") for dataset in DATASETS}
    assert rows["samm_lv"].loc["GIM", ["macro", "micro", "overall"]].tolist() == [0.4189, 0.2033, 0.3587]
    assert rows["casme2"].loc["GIM", ["macro", "micro", "overall"]].tolist() == [0.4395, 0.0588, 0.4000]
    assert rows["casme2"].loc["GIM", "supervision"] == "point"
    assert rows["casme2"].loc["MDMD", ["macro", "micro", "overall"]].tolist() == [0.1196, 0.0082, 0.0376]
    assert rows["samm_lv"].loc["SpoT-GCN", "supervision"] == "full"


def test_an_unknown_epoch_choice_is_named() -> None:
    with pytest.raises(InputError, match="epoch choice 'best' is unknown"):
        protocol_table(KNOWN, TRUTH, {"best": {"gim": {0: HIT_A}}})


def f1(by_epoch, protocol="strict", truth=TRUTH):
    return dict(oracles(KNOWN, truth, [by_epoch], protocol))


def test_the_oracle_takes_the_best_epoch_of_each_subject_from_the_fifth_on() -> None:
    assert f1({10: HIT_A, 20: HIT_B, 30: NOTHING})["oracle"]["overall"] == 1.0
    assert f1({4: pd.concat([HIT_A, HIT_B]), 5: HIT_A})["oracle"]["overall"] == pytest.approx(2 / 3)
    assert f1({1: HIT_A, 2: NOTHING})["oracle"]["overall"] == 0.0  # a short training has its last epoch


def test_the_oracle_takes_the_later_of_equal_epochs() -> None:
    """Both epochs have F1 2/3 on a1 alone, but 0 on micro in the later one: one false proposal there."""
    other = table([("a1", "macro", 0, 9), ("a1", "micro", 40, 49)])
    same = table([("a1", "macro", 0, 9), ("a1", "macro", 40, 49)])
    macro = [f1({7: first, 8: second})["oracle"]["macro"] for first, second in ((same, other), (other, same))]
    assert macro == pytest.approx([2 / 3, 1 / 2])  # b1 is missed in both


def test_the_oracle_chooses_by_the_protocol_itself() -> None:
    """Without + 1 the second epoch's proposal, IoU .5 inclusive and 4/9 half-open, is no hit of gim-release."""
    exact, half = HIT_A, HIT_A.assign(offset=4)  # 10 of 10; 5 of 10 inclusive, 4 of 9 half-open
    strict, release = (f1({7: exact, 8: half}, name)["oracle"]["macro"] for name in ("strict", "gim-release"))
    assert strict == release == pytest.approx(2 / 3)
    chosen = table([("a1", "macro", 0, 9), ("a1", "micro", 0, 9)])  # a false micro, which gim-release does not count
    rows = [f1({7: half, 8: chosen}, name)["oracle"]["macro"] for name in ("strict", "gim-release")]
    assert rows == pytest.approx([2 / 3, 2 / 3])
    assert f1({7: half, 8: chosen})["oracle"]["micro"] == 0.0


def test_the_best_epoch_of_each_class_stands_beside_it() -> None:
    truth = table([("a1", "macro", 0, 9), ("a1", "micro", 40, 49)])
    macro, micro = table([("a1", "macro", 0, 9)]), table([("a1", "micro", 40, 49)])
    found = f1({7: macro, 8: micro}, truth=truth)
    assert (found["oracle"]["macro"], found["oracle"]["micro"]) == (0.0, 1.0)
    assert (found["oracle-class"]["macro"], found["oracle-class"]["micro"]) == (1.0, 1.0)


def test_the_oracle_agrees_with_a_loop_over_subjects_and_epochs() -> None:
    rng = np.random.default_rng(3)
    known = videos(*(f"{subject}{number}" for subject in "abcd" for number in (1, 2)))
    for _ in range(40):

        def rows(count):
            spans = [sorted(rng.integers(0, 30, 2).tolist()) for _ in range(count)]
            return table(
                [(str(rng.choice(known["video_id"])), str(rng.choice(["macro", "micro"])), *span) for span in spans]
            )

        truth, by_epoch = rows(12), {epoch: rows(10) for epoch in range(3, 9)}
        for protocol in ("strict", "gim-release"):
            tp = wrong = 0
            for subject in "abcd":
                best = (-1.0, 0, 0)
                for epoch in range(5, 9):
                    counts = judge(known, truth, by_epoch[epoch], protocol).counts
                    own = counts[counts["subject"] == subject]
                    hits, misses = int(own["tp"].sum()), int(own["fp"].sum() + own["fn"].sum())
                    value = 2 * hits / (2 * hits + misses) if hits + misses else 0.0
                    if value >= best[0]:
                        best = value, hits, misses
                tp, wrong = tp + best[1], wrong + best[2]
            found = dict(oracles(known, truth, [by_epoch], protocol))["oracle"]["overall"]
            assert found == pytest.approx(2 * tp / (2 * tp + wrong))


def test_the_limit_that_looks_at_the_answers_is_one_for_each_subject_and_class() -> None:
    """a1: the hit scores .9 and a false alarm .5; b1: the hit scores .2, below a1's false alarm."""
    rows = [("a1", "macro", 0, 9), ("a1", "macro", 50, 59), ("b1", "macro", 0, 9)]
    found = table(rows).assign(score=[0.9, 0.5, 0.2])
    every = protocol_table(KNOWN, TRUTH, {"fixed": {"lac": {0: found}}}, unlimited={"lac": {0: found}})
    own = every[every["protocol"] == "strict"].set_index("epochs")["macro"]
    assert own.to_dict() == {"fixed": pytest.approx(0.8), "oracle-limit": 1.0}
    assert list(limit_oracle(KNOWN, TRUTH, [], 0.5)) == []
    ((_, none),) = limit_oracle(KNOWN, TRUTH, [NOTHING.assign(score=0.0)], 0.5)
    assert none["macro"] == 0
