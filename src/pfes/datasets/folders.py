"""Find the recordings of a release on disk by the names of folders and files; nothing is opened."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pfes.base.errors import InputError
from pfes.base.records import Video

VIDEOS = {
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob",
    ".webm", ".wmv",
}  # fmt: skip
LEVELS = 4  # of folders that are searched, dataset.root the first of them

Recordings = dict[tuple[str, str], Path | None]  # (subject, video) -> path


def root_of(settings: Mapping[str, Any]) -> Path | None:
    """Return the folder ``root`` of the settings, None where there is none; raises InputError if it does not exist."""
    if not settings.get("root"):
        return None
    root = Path(settings["root"]).expanduser()
    if not root.is_dir():
        raise InputError(f"dataset.root: {root} is no folder; point it to your copy of the release")
    return root


def label_file(settings: Mapping[str, Any], pattern: str, example: str) -> Path:
    """Return the file ``labels`` of the settings, or the one nearest to ``root``, in or beside it, whose name matches.

    ``example`` is how the release calls it, for the messages; InputError if there is none or more than one.
    """
    if settings.get("labels"):
        return Path(settings["labels"]).expanduser()
    root = root_of(settings)
    if root is None:
        raise InputError(f"dataset.labels is missing; expected the path of the release's label file, such as {example}")
    files: set[Path] = set()
    for above in (root, root.resolve().parent):
        for places in ([above], _folders(above, limit=40)):  # the nearest level that has one
            entries = [item for place in places for item, _ in _entries(place)]
            files = files or {item.resolve() for item in entries if re.fullmatch(pattern, item.name, re.I)}
    if len(files) == 1:
        return files.pop()
    found = f"several label files: {', '.join(sorted(map(str, files)))}" if files else "no label file"
    raise InputError(f"{root}: {found}; expected one such as {example}; name it in dataset.labels")


def find_level(root: Path, pattern: str, example: str, prefer: tuple[str, ...] = ()) -> Path:
    """Return the folder at or below ``root`` that holds folders or videos named like ``pattern``.

    Levels are searched from the top, on each the names in ``prefer`` first, in their order.
    """
    level = [root]
    for deeper in range(LEVELS):
        if deeper:
            inner = [item for folder in level for item in _folders(folder)]
            level = sorted(inner, key=lambda item: ([item.name != name for name in prefer], item.name))
        for folder in level:
            if any(recordings(folder, pattern)):
                return folder
    seen = ", ".join(item.name for item in _folders(root)[:5]) or "no folder"
    raise InputError(
        f"dataset.root: {root} holds no recordings such as {example}; found {seen}; point it to the release"
    )


def recordings(folder: Path, pattern: str, files_only: bool = False) -> Iterator[tuple[re.Match[str], Path]]:
    """Yield (match, path) of the folders and videos in ``folder`` whose whole name matches, folders first, in order."""
    for item, is_folder in sorted(_entries(folder), key=lambda entry: (not entry[1], entry[0].name)):
        match = re.fullmatch(pattern, item.name if is_folder else item.stem, re.I)
        if match and (item.suffix.lower() in VIDEOS if not is_folder else not files_only):
            yield match, item


def add(found: Recordings, key: tuple[str, str], path: Path) -> None:
    """Add a recording; a video beside a folder of the same name is its source and not taken, two folders are an error."""
    if key in found and path.is_dir():
        raise InputError(f"{found[key]} and {path} are both video {'_'.join(key)}; keep one of them under dataset.root")
    found.setdefault(key, path)


def videos_of(dataset: str, found: Recordings, fps: float) -> tuple[Video, ...]:
    """Return the records of recordings in the order of their names; one without a path was not looked for.

    The images of a release follow each other: its labels count them, or are ranked among them.
    """
    return tuple(
        Video(dataset, subject, video, "" if path is None else str(path), fps, ranked=True)
        for (subject, video), path in sorted(found.items(), key=lambda item: _natural("/".join(item[0])))
    )


def _natural(name: str) -> list[Any]:
    return [(int(part), part) if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _folders(folder: Path, limit: int | None = None) -> list[Path]:
    """Return the folders in ``folder``; none where there are more than ``limit``, which are recordings then."""
    inner = sorted(item for item, is_folder in _entries(folder) if is_folder)
    return [] if limit is not None and len(inner) > limit else inner


def _entries(folder: Path) -> list[tuple[Path, bool]]:
    """Return what is in a folder, and whether each is one, without hidden and lock files; nothing if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [
                (Path(item), item.is_dir()) for item in entries if not item.name.startswith((".", "~$", "__MACOSX"))
            ]
    except OSError:
        return []
