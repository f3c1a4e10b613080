"""What each choice is worth: the same experiments under every protocol and every way to choose the epoch.

Conventions
-----------
Epoch choices: ``fixed`` (in advance), ``inner`` (on inner validation subjects) and ``oracle`` (on the test subject, which
no honest figure may do; published code does). Where only the last epoch of a training is known, there is ``fixed`` alone.
Published rows stand in ``published.csv`` (METHOD 13) for the datasets casme2 and samm_lv. They are shown only beside
results on that dataset in full: beside the demo, or a lab's own recordings, they would compare nothing.
"""

from collections.abc import Mapping
from importlib import resources

import pandas as pd

from pfes.base.errors import InputError
from pfes.evaluation.counts import RESULT_CLASSES, judge, summarise
from pfes.evaluation.protocols import PROTOCOLS

EPOCHS = ("fixed", "inner", "oracle")
COLUMNS = ("source", "supervision", "protocol", "epochs", "published", *RESULT_CLASSES)
DATASETS = ("casme2", "samm_lv")

Runs = Mapping[str, Mapping[int, pd.DataFrame]]  # experiment -> seed -> proposals


def protocol_table(
    videos: pd.DataFrame,
    expressions: pd.DataFrame,
    epochs: Mapping[str, Runs],
    *,
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
                f1 = {kind: row["f1"] for kind, row in summarise(pd.concat(counts)).items()}
                rows.append({"source": name, "supervision": "", "protocol": protocol, "epochs": choice, **f1})
    ours = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "published"]).assign(published=False)
    theirs = published(dataset)
    return pd.concat([ours, theirs], ignore_index=True)[list(COLUMNS)] if len(theirs) else ours[list(COLUMNS)]


def published(dataset: str) -> pd.DataFrame:
    """Return the published rows of a dataset, COLUMNS; none for any but DATASETS."""
    with resources.files("pfes.evaluation").joinpath("published.csv").open() as file:
        table = pd.read_csv(file)
    table = table[table["dataset"] == dataset].rename(columns={"method": "source"})
    return table.assign(protocol="", epochs="", published=True)[list(COLUMNS)].reset_index(drop=True)


def oracle_proposals(
    videos: pd.DataFrame,
    expressions: pd.DataFrame,
    by_epoch: Mapping[int, pd.DataFrame],
    *,
    protocol: str = "strict",
    iou: float = 0.5,
) -> pd.DataFrame:
    """Return for each subject the proposals of its best epoch: the choice that no honest figure may make.

    ``by_epoch`` maps epochs to proposals of all videos; the best epoch of a subject has its highest overall F1, the first
    of equals.
    """
    subject = videos.set_index("video_id")["subject"]
    best: dict[str, tuple[float, int]] = {}
    for epoch, proposals in by_epoch.items():
        for name, own in judge(videos, expressions, proposals, protocol, iou).counts.groupby("subject"):
            f1 = summarise(own)["overall"]["f1"]
            if str(name) not in best or f1 > best[str(name)][0]:
                best[str(name)] = f1, epoch
    chosen = [
        table[table["video_id"].map(subject).map(lambda name: best[str(name)][1]) == epoch]
        for epoch, table in by_epoch.items()
    ]
    return pd.concat([table for table in chosen if len(table)] or chosen[:1], ignore_index=True)
