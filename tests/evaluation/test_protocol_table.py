"""What each choice is worth; published rows beside real datasets only."""

import pandas as pd
import pytest

from pfes.base.errors import InputError
from pfes.evaluation.protocol_table import COLUMNS, DATASETS, oracle_proposals, protocol_table, published
from pfes.evaluation.protocols import PROTOCOLS
from tests.timelines import table, videos

KNOWN = videos("a1", "b1")
TRUTH = table([("a1", "macro", 0, 9), ("b1", "macro", 0, 9)])
HIT_A, HIT_B = (table([(name, "macro", 0, 9)]) for name in ("a1", "b1"))
NOTHING = table([])


def test_every_experiment_protocol_and_epoch_choice_has_a_row() -> None:
    both = pd.concat([HIT_A, HIT_B])
    epochs = {"fixed": {"gim": {0: HIT_A}, "flow": {-1: NOTHING}}, "oracle": {"gim": {0: both}}}
    rows = protocol_table(KNOWN, TRUTH, epochs)
    assert list(rows.columns) == list(COLUMNS)
    gim = rows[rows["source"] == "gim"].set_index(["protocol", "epochs"])["macro"]
    assert gim.to_dict() == {
        (protocol, choice): f1 for protocol in PROTOCOLS for choice, f1 in (("fixed", 2 / 3), ("oracle", 1.0))
    }
    assert set(rows.loc[rows["source"] == "flow", "epochs"]) == {"fixed"}


def test_seeds_are_pooled() -> None:
    rows = protocol_table(KNOWN, TRUTH, {"fixed": {"gim": {0: pd.concat([HIT_A, HIT_B]), 1: NOTHING}}})
    assert rows["macro"].tolist() == [2 / 3] * 4


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


def test_the_oracle_takes_the_best_epoch_of_each_subject() -> None:
    chosen = oracle_proposals(KNOWN, TRUTH, {10: HIT_A, 20: HIT_B, 30: NOTHING})
    assert chosen[["video_id", "onset"]].to_numpy().tolist() == [["a1", 0], ["b1", 0]]


def test_the_oracle_takes_the_earlier_of_equal_epochs() -> None:
    later = HIT_A.assign(offset=8)
    assert oracle_proposals(KNOWN, TRUTH, {10: HIT_A, 20: later})["offset"].tolist() == [9]
