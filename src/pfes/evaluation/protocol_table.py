"""What each choice is worth: the same experiments under every protocol and every way to choose the epoch.

Conventions
-----------
Epoch choices: ``fixed`` (in advance) and ``inner`` (on inner validation subjects); and, of trainings that kept their
epochs, two that look at the test subject, which no honest figure may do but published code does: ``oracle``, for each
subject the epoch of 5 .. last with the protocol's own best overall F1, and ``oracle-class``, for each subject and class that
of the class. Of equal epochs the later one is taken, as the release of GIM does. A training of fewer epochs has its last one.
Published rows stand in ``published.csv`` (METHOD 13) for the datasets casme2 and samm_lv. They are shown only beside
results on that dataset in full: beside the demo, or a lab's own recordings, they would compare nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources

import numpy as np
import pandas as pd

from pfes.base.errors import InputError
from pfes.base.records import RESULT_CLASSES
from pfes.evaluation.counts import COUNTS, judge, ratios_by_class
from pfes.evaluation.protocols import PROTOCOLS

EPOCHS = ("fixed", "inner")
ORACLES = {"oracle": ["subject"], "oracle-class": ["subject", "class"]}
N_LIMITS = 16
FIRST_EPOCH = 5  # that an oracle may choose
COLUMNS = ("source", "supervision", "protocol", "epochs", "published", *RESULT_CLASSES)
DATASETS = ("casme2", "samm_lv")

Runs = Mapping[str, Mapping[int, pd.DataFrame]]  # experiment -> seed -> proposals
Kept = Mapping[str, Mapping[int, Mapping[int, pd.DataFrame]]]  # experiment -> seed -> epoch -> proposals


def protocol_table(
    videos: pd.DataFrame,
    expressions: pd.DataFrame,
    epochs: Mapping[str, Runs],
    kept: Kept | None = None,
    *,
    unlimited: Runs | None = None,
    dataset: str = "",
    iou: float = 0.5,
) -> pd.DataFrame:
    """Return F1 of every experiment, protocol and epoch choice, then the published rows of the dataset.

    Parameters
    ----------
    videos, expressions
        As of ``pfes.evaluation.counts.judge``.
    epochs
        Epoch choice (of EPOCHS) -> experiment -> seed -> proposals; counts are pooled over the seeds.
    kept
        Experiment -> seed -> epoch -> proposals, for the choices of ORACLES.
    unlimited
        Experiment -> seed -> proposals whatever their score, for the choice ``oracle-limit``.
    dataset
        Name of the adapter; published rows are added for those of DATASETS.

    Returns
    -------
    DataFrame
        COLUMNS: source (experiment or method), supervision ("" for ours), protocol and epochs ("" for published rows),
        published (bool), and F1 of macro, micro and overall.
    """
    unknown = sorted(set(epochs) - set(EPOCHS))
    if unknown:
        raise InputError(f"epoch choice {unknown[0]!r} is unknown; expected one of {', '.join(EPOCHS)}")
    rows = []
    for name in dict.fromkeys(name for runs in epochs.values() for name in runs):
        for protocol in PROTOCOLS:
            for choice in (choice for choice in EPOCHS if name in epochs.get(choice, {})):
                tables = epochs[choice][name].values()
                counts = [judge(videos, expressions, table, protocol, iou).counts for table in tables]
                f1 = {kind: row["f1"] for kind, row in ratios_by_class(pd.concat(counts)).items()}
                rows.append({"source": name, "supervision": "", "protocol": protocol, "epochs": choice, **f1})
            rows += [
                {"source": name, "supervision": "", "protocol": protocol, "epochs": choice, **f1}
                for choice, f1 in oracles(videos, expressions, list((kept or {}).get(name, {}).values()), protocol, iou)
            ]
        rows += [
            {"source": name, "supervision": "", "protocol": "strict", "epochs": choice, **f1}
            for choice, f1 in limit_oracle(videos, expressions, list((unlimited or {}).get(name, {}).values()), iou)
        ]
    ours = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "published"]).assign(published=False)
    theirs = published(dataset)
    return pd.concat([ours, theirs], ignore_index=True)[list(COLUMNS)] if len(theirs) else ours[list(COLUMNS)]


def published(dataset: str) -> pd.DataFrame:
    """Return the published rows of a dataset, COLUMNS; none for any but DATASETS."""
    with resources.files("pfes.evaluation").joinpath("published.csv").open() as file:
        table = pd.read_csv(file)
    table = table[table["dataset"] == dataset].rename(columns={"method": "source"})
    return table.assign(protocol="", epochs="", published=True)[list(COLUMNS)].reset_index(drop=True)


def oracles(
    videos: pd.DataFrame,
    expressions: pd.DataFrame,
    seeds: Sequence[Mapping[int, pd.DataFrame]],
    protocol: str = "strict",
    iou: float = 0.5,
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield each choice of ORACLES with its F1 by class: figures that look at the answers.

    ``seeds`` are the proposals of all videos by epoch, of each seed; none yields nothing.
    """
    counted = []
    for by_epoch in seeds:
        epochs = [epoch for epoch in by_epoch if epoch >= FIRST_EPOCH] or [max(by_epoch)]
        counts = [judge(videos, expressions, by_epoch[epoch], protocol, iou).counts for epoch in sorted(epochs)]
        counted.append(pd.concat([own.assign(epoch=epoch) for epoch, own in zip(sorted(epochs), counts, strict=True)]))
    for choice, groups in ORACLES.items() if counted else ():
        best = pd.concat([_best_epochs(counts, groups) for counts in counted])
        yield choice, {kind: row["f1"] for kind, row in ratios_by_class(best).items()}


def limit_oracle(
    videos: pd.DataFrame, expressions: pd.DataFrame, seeds: Sequence[pd.DataFrame], iou: float
) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield ``oracle-limit`` with its F1 by class, from the proposals of each seed; without a seed nothing."""
    best = []
    for table in seeds:
        scores = np.unique(table["score"].to_numpy(np.float64))
        limits = np.unique(np.quantile(scores, np.linspace(0, 1, N_LIMITS))) if len(scores) else np.zeros(1)
        counts = [
            judge(videos, expressions, table[table["score"] >= limit], "strict", iou).counts.assign(epoch=number)
            for number, limit in enumerate(limits)
        ]
        best.append(_best_epochs(pd.concat(counts), ["subject", "class"]))
    if best:
        yield "oracle-limit", {kind: row["f1"] for kind, row in ratios_by_class(pd.concat(best)).items()}


def _best_epochs(counts: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    """Return the rows of ``counts`` of the best epoch of each group: of equals the last, whose F1 is not below any."""
    sums = counts.groupby([*groups, "epoch"])[COUNTS].sum().reset_index()
    hits = 2 * sums["tp"]
    sums["f1"] = hits / (hits + sums["fp"] + sums["fn"]).where(lambda total: total > 0, 1)
    best = sums.sort_values(["f1", "epoch"]).groupby(groups, as_index=False).tail(1)
    return counts.merge(best[[*groups, "epoch"]], on=[*groups, "epoch"])
