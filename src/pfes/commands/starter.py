"""The first configuration for a dataset, and for one's own recordings the sheets to fill in.

For an official release it is the shipped config/<dataset>.yaml with the folder of the user's copy. For one's own
recordings (``generic``) it points to ``videos.csv`` and ``expressions.csv`` in that folder or, where there are none,
to new ones: every video and every folder of images is listed, and labels are to come.
"""

import json
import re
from pathlib import Path

import pandas as pd
import yaml

from pfes.base import store
from pfes.base.config import merged
from pfes.base.errors import InputError
from pfes.base.place import ROOT
from pfes.datasets import RELEASED
from pfes.datasets.folders import VIDEOS
from pfes.media.decode import IMAGES
from pfes.workflow.plan import read_config
from pfes.workflow.sizes import sized

GENERIC = """\
# One's own recordings: two sheets, one row per recording and one per expression. config/README.md describes them, and
# config/config.yaml has every key with its default; name here only what differs.
run: {run}

dataset:
  name: generic
  videos: {videos}  # subject, video, path; optional fps: needed for folders of images
  expressions: {expressions}  # subject, video, class, and onset and offset, or point
  first_frame: 0  # number that the sheets give to the first frame, 0 or 1; or named: as the images are

# Expressions of which you know one frame need no onset and offset: docs/clicks.md
# points:
#   mode: given  # train from your annotators' own clicks, the column point

# folds:
#   scheme: groups  # test groups of subjects instead of one at a time
#   groups: 5
"""


def write_starter(folder: Path | str, dataset: str, root: Path | str, size: str = "paper") -> list[Path]:
    """Write a configuration for ``dataset`` at ``root`` to ``folder`` and return the files written, it first.

    ``size``: of network and training (pfes.workflow.sizes).

    Raises
    ------
    InputError
        An unknown dataset, no such folder ``root``, nothing in it, or a file that is there already.
    """
    folder, root = Path(folder), Path(root).expanduser()
    if dataset not in (*RELEASED, "generic"):
        raise InputError(f"dataset {dataset!r} is not known; expected one of {', '.join((*RELEASED, 'generic'))}")
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; expected the one that holds your recordings")
    path = folder / f"{dataset}.yaml"
    sheets: dict[Path, pd.DataFrame] = {}
    if dataset == "generic":
        text, sheets = _generic(folder, root)
    else:
        text = _released(dataset, root)
    text = _with_size(text, size)
    for target in (path, *sheets):
        if target.exists():
            raise InputError(f"{target} is there already; remove it, or choose another folder")
    for target, table in sheets.items():
        with store.atomic(target) as temporary:
            table.to_csv(temporary, index=False)
    with store.atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    read_config(path)
    return [path, *sheets]


def _with_size(text: str, size: str) -> str:
    """Return a configuration with the settings of a size after its own, or laid over them."""
    own = sized(size)
    if not own:
        return text
    kept = {name: part for name, part in (yaml.safe_load(text) or {}).items() if name in own}
    for name in kept:  # a section that the file has already: one section, its own settings over those of the size
        text = re.sub(rf"(?ms)^{name}:.*?(?=^\S|\Z)", "", text)
    made = yaml.safe_dump(merged(own, kept), sort_keys=False)
    return f"{text.rstrip()}\n\n# Size {size}: for few data, or no GPU; the paper's sizes are the defaults.\n{made}"


def _released(dataset: str, root: Path) -> str:
    text = (ROOT / "config" / f"{dataset}.yaml").read_text(encoding="utf-8")
    return re.sub(r"(?m)^  root: .*?(?=  #|$)", lambda _: f"  root: {_quoted(root)}", text, count=1)


def _generic(folder: Path, root: Path) -> tuple[str, dict[Path, pd.DataFrame]]:
    """Return the configuration and the sheets to write, none where ``root`` has its own."""
    videos, expressions = root / "videos.csv", root / "expressions.csv"
    sheets: dict[Path, pd.DataFrame] = {}
    if not videos.is_file():
        videos = folder / "videos.csv"
        sheets[videos] = _listing(root)
    if not expressions.is_file():
        expressions = folder / "expressions.csv"
        sheets[expressions] = pd.DataFrame(columns=["subject", "video", "onset", "apex", "offset", "class"])
    run = re.sub(r"[^\w.-]", "_", folder.resolve().name).lstrip(".") or "my_run"
    return GENERIC.format(
        run=json.dumps(run, ensure_ascii=False), videos=_quoted(videos), expressions=_quoted(expressions)
    ), sheets


def _listing(root: Path) -> pd.DataFrame:
    """Return a videos sheet of every video, and every folder of images, at or below ``root``.

    Where all lie in several folders, the first folder is the subject; else each recording is one, with its own name.
    """
    found = [item for item in sorted(root.rglob("*")) if not item.name.startswith(".")]
    images = {item.parent for item in found if item.suffix.lower() in IMAGES}
    recordings = [item for item in found if item in images or item.suffix.lower() in VIDEOS]
    if not recordings:
        raise InputError(f"{root}: no video and no folder of images in it; expected your recordings")
    names = [item.relative_to(root).with_suffix("" if item not in images else item.suffix) for item in recordings]
    by_folder = min(len(name.parts) for name in names) > 1 and len({name.parts[0] for name in names}) > 1
    videos = ["_".join(name.parts[by_folder:]) for name in names]
    subjects = [name.parts[0] for name in names] if by_folder else videos
    return pd.DataFrame(
        {"subject": subjects, "video": videos, "path": [str(item.resolve()) for item in recordings], "fps": ""}
    )


def _quoted(path: Path) -> str:
    return json.dumps(str(path.resolve()), ensure_ascii=False)
