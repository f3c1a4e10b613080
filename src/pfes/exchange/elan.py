"""ELAN annotation files (.eaf), one per video: the part of EAF 3.0 that holds labelled intervals.

Conventions
-----------
Times are whole milliseconds of the recording. Frame f is on screen from its own time to that of frame f + 1: a label
[onset, offset] becomes the interval from the time of onset to that of offset + 1, and an interval becomes the frames
whose times lie nearest to its ends. That is exact up to 1000 frames per second; beyond, writing is refused.
Where a document has several media, times are shifted by the TIME_ORIGIN of the one that is the recording. An annotation
shorter than two frames is a click, an expression of which one frame is known, with a warning, unless its value holds the word
``interval``; one that ends after the recording is refused.

Tiers
-----
One per class and label set: ``macro``, ``micro`` for expressions, ``macro proposed``, ``micro proposed`` for proposals.
``neutral`` holds stretches without expression; ``macro points`` and ``micro points`` hold clicks, each at the begin of its
annotation. Annotations of one tier cannot overlap in ELAN: overlapping instances of one class go to ``macro 2`` and so on. When
read, a tier counts whose name is such a class (see annotations.CLASS_NAMES) with or without a number and ``@name``
of an annotator; all others may hold anything and are ignored with a warning that names them. Where tiers of several
annotators (``@name``, or the tier's ANNOTATOR) hold a class, one annotator must be chosen.

The value of an annotation is free text. In it ``apex 00:00:01.217`` (ELAN's own notation), ``apex 1.217 s`` or
``apex 1217 ms`` is the apex, and ``point ...`` likewise the annotator's click for points.mode given: an annotator can
type them, and no second tier has to be kept in step.

References
----------
Format: https://www.mpi.nl/tools/elan/EAFv3.0.xsd
"""

import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlparse
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from pfes.base import names, store
from pfes.base.errors import InputError
from pfes.base.records import CLASSES, NEUTRAL
from pfes.media.decode import Clock

SUFFIXES = {"expressions": "", "proposals": " proposed"}
MIME_TYPES = {".mp4": "video/mp4", ".mov": "video/quicktime", ".mpg": "video/mpeg", ".mpeg": "video/mpeg"}
MAX_FPS = 1000.0
TIER_NAME = re.compile(
    r"(?P<kind>[^@]*?)(?P<points>\s+points?)?(?P<proposed>\s+proposed)?(?:\s+\d+)?(?:@.*)?", re.IGNORECASE
)
MARKS = ("apex", "point")  # frames of an instance that its value may name
MARK_TIME = r"\s*[:=]?\s*(?:(?:(\d+):)?(\d+):(\d+(?:[.,]\d+)?)|(\d+(?:[.,]\d+)?)\s*(ms|s)\b)"
ONE_FRAME = "interval"  # in the value of an annotation of less than two frames: it is no click
DATE = "1970-01-01T00:00:00+00:00"  # the format asks for one; a fixed one gives the same file for the same labels

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Document:
    """What an .eaf holds.

    media, origins
        of each medium its file name without the ending, and what is added to times to be ms of it (TIME_ORIGIN).
    tiers
        tier name -> (annotation, begin, end, value) per annotation; times in ms, None for what has no time of its own.
    annotators
        tier name -> its ANNOTATOR, "" for none.
    """

    media: tuple[str, ...]
    origins: tuple[int, ...]
    tiers: dict[str, list[tuple[str, float | None, float | None, str]]]
    annotators: dict[str, str]

    def origin(self, names: Iterable[str]) -> int:
        """Return the TIME_ORIGIN, ms, of the medium that is called one of ``names``, or of the only medium.

        Raises InputError where there are several media, which differ in it, and none is called so.
        """
        media = list(zip(self.media, self.origins, strict=True))
        origins = [origin for stem, origin in media if stem in set(names)] or list(self.origins)
        if len(set(origins)) > 1:
            listed = ", ".join(f"{stem} ({origin} ms)" for stem, origin in media)
            raise InputError(
                f"its media {listed} have different offsets and none is called {' or '.join(dict.fromkeys(names))}; name the"
                " recording as one of them, or keep only its own medium in ELAN"
            )
        return origins[0] if origins else 0


# ------------------------------------------------------------------------------------------------ writing


def write(
    labels: Mapping[str, pd.DataFrame], videos: pd.DataFrame, clocks: Mapping[str, Clock], folder: Path
) -> list[Path]:
    """Write ``{video_id}.eaf`` for every video to ``folder``; see annotations.export_labels.

    ``clocks`` maps the video_id to the times of its frames.
    """
    if folder.is_file():
        raise InputError(f"{folder}: a file; expected a folder for the .eaf files, one per video")
    paths = []
    for video in videos.to_dict("records"):
        video_id, path = str(video["video_id"]), folder / f"{video['video_id']}.eaf"
        clock = clocks[video_id]
        if clock.fps > MAX_FPS:
            raise InputError(f"{video_id}: {clock.fps:g} frames per second; ELAN counts milliseconds, expected <= 1000")
        own = {name: table[table["video_id"] == video_id] for name, table in labels.items()}
        tree = _document(_tiers(own, clock), str(video["path"]), folder)
        with store.atomic(path) as temporary:
            tree.write(temporary, encoding="UTF-8", xml_declaration=True)
        paths.append(path)
    return paths


Annotation = tuple[int, int, str]  # begin and end in ms, value


def _tiers(labels: Mapping[str, pd.DataFrame], clock: Clock) -> dict[str, list[Annotation]]:
    """Return the annotations of each tier, at least one tier per class and label set."""
    tiers: dict[str, list[Annotation]] = {}
    for name, table in labels.items():
        for kind in (*CLASSES, NEUTRAL):
            of_kind = table[table["class"] == kind]
            click = of_kind["native_onset"].isna()
            for suffix, own in (("", of_kind[~click]), (" points", of_kind[click])):
                if own.empty and (suffix or kind == NEUTRAL):
                    continue
                own = own.sort_values(["native_onset", "native_offset", "native_point"], kind="stable")
                layers = _layers([_annotation(row, clock) for row in own.to_dict("records")])
                for number, layer in enumerate(layers, start=1):
                    tiers[f"{kind}{suffix}{SUFFIXES[name]}{f' {number}' if number > 1 else ''}"] = layer
    return tiers


def _annotation(row: Mapping[Any, Any], clock: Clock) -> Annotation:
    if pd.isna(row["native_onset"]):
        begin, end = clock.seconds(np.array([row["native_point"], row["native_point"] + 1]))
        return round(1000 * begin), round(1000 * end), ""
    begin, end = clock.seconds(np.array([row["native_onset"], row["native_offset"] + 1]))
    texts = marks_in_words(row, clock)
    if row["native_onset"] == row["native_offset"]:
        texts.append(ONE_FRAME)
    if not pd.isna(row.get("score")):
        texts.append(f"score {row['score']:.3g}")
    return round(1000 * begin), round(1000 * end), ", ".join(texts)


def _layers(annotations: list[Annotation]) -> list[list[Annotation]]:
    """Deal annotations, sorted by their begin, to as few lists without overlap as possible, at least one."""
    layers: list[list[Annotation]] = [[]]
    for item in annotations:
        free = next((layer for layer in layers if not layer or layer[-1][1] <= item[0]), None)
        if free is None:
            layers.append([item])
        else:
            free.append(item)
    return layers


def marks_in_words(row: Mapping[Any, Any], clock: Clock) -> list[str]:
    """Return apex and point of a label, as far as they are known, each as ``apex 00:00:01.217``."""
    marks = {name: row[f"native_{name}"] for name in MARKS if not pd.isna(row[f"native_{name}"])}
    return [f"{name} {notation(float(clock.seconds(np.array([frame]))[0]))}" for name, frame in marks.items()]


def notation(seconds: float) -> str:
    """Return a time as ELAN writes it, 00:00:01.217."""
    ms = round(1000 * seconds)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


def _document(tiers: Mapping[str, list[Annotation]], recording: str, folder: Path) -> ElementTree.ElementTree:
    root = ElementTree.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "pfes",
            "DATE": DATE,
            "FORMAT": "3.0",
            "VERSION": "3.0",
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:noNamespaceSchemaLocation": "http://www.mpi.nl/tools/elan/EAFv3.0.xsd",
        },
    )
    header = ElementTree.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if not Path(recording).is_dir():
        header.append(_media(Path(recording), folder))
    order = ElementTree.SubElement(root, "TIME_ORDER")
    slots = {time: f"ts{i}" for i, time in enumerate(sorted(_times(tiers)), start=1)}
    for time, slot in slots.items():
        ElementTree.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(time))
    count = 0
    for name, annotations in tiers.items():
        tier = ElementTree.SubElement(root, "TIER", LINGUISTIC_TYPE_REF="expression", TIER_ID=name)
        for begin, end, text in annotations:
            count += 1
            ends = {"ANNOTATION_ID": f"a{count}", "TIME_SLOT_REF1": slots[begin], "TIME_SLOT_REF2": slots[end]}
            inner = ElementTree.SubElement(ElementTree.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", ends)
            ElementTree.SubElement(inner, "ANNOTATION_VALUE").text = text
    kind = {"GRAPHIC_REFERENCES": "false", "LINGUISTIC_TYPE_ID": "expression", "TIME_ALIGNABLE": "true"}
    ElementTree.SubElement(root, "LINGUISTIC_TYPE", kind)
    tree = ElementTree.ElementTree(root)
    ElementTree.indent(tree)
    return tree


def _media(recording: Path, folder: Path) -> ElementTree.Element:
    absolute = recording.resolve()
    relative = Path(os.path.relpath(absolute, folder.resolve())).as_posix()
    return ElementTree.Element(
        "MEDIA_DESCRIPTOR",
        MEDIA_URL=absolute.as_uri(),
        MIME_TYPE=MIME_TYPES.get(absolute.suffix.lower(), "unknown"),
        RELATIVE_MEDIA_URL=quote(f"./{relative}"),
    )


def _times(tiers: Mapping[str, list[Annotation]]) -> set[int]:
    return {time for annotations in tiers.values() for begin, end, _ in annotations for time in (begin, end)}


# ------------------------------------------------------------------------------------------------ reading


class _Builder(ElementTree.TreeBuilder):
    """Refuses document types: ELAN writes none, and entities can be declared nowhere else."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Stop at the declaration, before anything in it is read."""
        raise InputError(f"declares a document type ({name}); ELAN writes none; save the file again with ELAN")


def read(path: Path) -> Document:
    """Read an .eaf.

    Raises
    ------
    InputError
        The file is missing, not XML, not an ELAN file, declares entities, or its times are incomplete.
    """
    root = _parse(path)
    header = root.find("HEADER")
    if root.tag != "ANNOTATION_DOCUMENT" or header is None:
        raise InputError(f"{path}: <{root.tag}> is not an ELAN file; expected .eaf as ELAN saves it")
    units = header.get("TIME_UNITS", "milliseconds")
    if units != "milliseconds":
        raise InputError(f"{path}: times in {units}, expected milliseconds; save the file again with ELAN")
    descriptors = header.findall("MEDIA_DESCRIPTOR")
    slots = {
        slot.get("TIME_SLOT_ID"): _whole(path, slot.get("TIME_VALUE", ""), "TIME_VALUE")
        for slot in root.iterfind("TIME_ORDER/TIME_SLOT")
        if slot.get("TIME_VALUE") is not None
    }
    media = tuple(_media_name(path, item.get("MEDIA_URL", "")) for item in descriptors)
    origins = tuple(_whole(path, item.get("TIME_ORIGIN", "0"), "TIME_ORIGIN") for item in descriptors)
    tiers = {tier.get("TIER_ID", ""): _annotations(tier, slots) for tier in root.iterfind("TIER")}
    annotators = {tier.get("TIER_ID", ""): tier.get("ANNOTATOR", "").strip() for tier in root.iterfind("TIER")}
    return Document(media, origins, tiers, annotators)


def _media_name(path: Path, url: str) -> str:
    """Return the name of a recording, without its ending, from the address that an .eaf gives."""
    try:
        place = urlparse(url).path
    except ValueError as error:
        raise InputError(
            f"{path}: MEDIA_URL {url!r} is no address; expected file:///...; link the media in ELAN"
        ) from error
    return names.clean(Path(unquote(place)).stem)


def labels(
    document: Document, clock: Clock, name: str, class_of: Callable[[str], str | None], problems: list[str], *,
    origin: int = 0, annotator: str | None = None, end_s: float = math.inf,
) -> list[tuple[Any, ...]]:  # fmt: skip
    """Return (class, onset, apex, offset, point) of the label set ``name``, by onset; what cannot be used joins ``problems``.

    Parameters
    ----------
    origin : what is added to the document's times to be ms of the recording
    annotator : whose tiers are read where there are several; None where one has labelled all
    end_s : length of the recording, s
    """
    kinds = {tier: _kind(tier, name, class_of) for tier in document.tiers}
    expected = " and ".join(f"{kind}{SUFFIXES[name]}" for kind in CLASSES)
    if not any(kinds.values()):
        problems.append(f"no tier holds {name}, found {_listed(list(kinds))}; expected tiers called {expected}")
        return []
    chosen = _chosen(document, {tier: kind for tier, kind in kinds.items() if kind}, annotator, problems)
    ignored = [tier for tier in kinds if tier not in chosen and document.tiers[tier]]
    if ignored and chosen:
        log.warning("tiers ignored: %s; only those called %s are read", _listed(ignored), expected)
    rows: list[tuple[Any, ...]] = []
    for tier in chosen:
        for annotation in document.tiers[tier]:
            try:
                rows.append((kinds[tier], *_interval(tier, annotation, clock, origin, end_s)))
            except InputError as error:
                problems.append(str(error))
    return sorted(rows, key=_order)


def _order(row: tuple[Any, ...]) -> tuple[int, int, str]:
    kind, onset, _, offset, point = row
    return (point, point, kind) if onset is pd.NA else (onset, offset, kind)


def _chosen(document: Document, kinds: Mapping[str, str], annotator: str | None, problems: list[str]) -> Iterable[str]:
    """Return the tiers of one annotator; a class that several have labelled, or none of that name, is a problem."""
    whose = {tier: tier.partition("@")[2].strip() or document.annotators.get(tier, "") for tier in kinds}
    if annotator is not None and annotator not in whose.values():
        problems.append(f"no tier of annotator {annotator!r}, found {_listed(list(whose.values()))}")
        return ()
    if annotator is not None:
        return [tier for tier in kinds if whose[tier] == annotator]
    for kind in (*CLASSES, NEUTRAL):
        filled = [tier for tier in kinds if kinds[tier] == kind and document.tiers[tier]]
        if len({whose[tier] for tier in filled}) > 1:
            problems.append(
                f"{_listed(filled)} hold the {kind} labels of several annotators; choose one of them with --annotator, or"
                " delete the others"
            )
            return ()
    return kinds


def _kind(tier: str, name: str, class_of: Callable[[str], str | None]) -> str | None:
    parts = TIER_NAME.fullmatch(tier.strip())
    if parts is None or bool(parts["proposed"]) != (name == "proposals"):
        return None
    return NEUTRAL if parts["kind"].lower() == NEUTRAL else class_of(parts["kind"])


def _listed(tiers: list[str]) -> str:
    return ", ".join(map(repr, sorted(tiers))) or "none"


def _interval(
    tier: str, annotation: tuple[str, float | None, float | None, str], clock: Clock, origin: int, end_s: float
) -> tuple[Any, ...]:
    identity, start, stop, value = annotation
    if start is None or stop is None:
        raise InputError(f"tier {tier!r}, annotation {identity} has no time; give its tier times of its own in ELAN")
    begin, end = start + origin, stop + origin
    place = f"tier {tier!r}, annotation {identity} at {notation(begin / 1000)}"
    if begin < 0 or end < begin:
        raise InputError(f"{place}: ends at {notation(end / 1000)}; expected an interval of the recording")
    if end / 1000 > end_s + max(1 / clock.fps, 0.001):
        raise InputError(
            f"{place}: ends at {notation(end / 1000)}, after the recording, which ends at {notation(end_s)}; is it this one?"
        )
    onset, after = (int(frame) for frame in clock.frames(np.array([begin, end]) / 1000))
    parts = TIER_NAME.fullmatch(tier.strip())
    if parts is not None and parts["points"]:
        return pd.NA, pd.NA, pd.NA, onset
    neutral = parts is not None and parts["kind"].lower() == NEUTRAL
    shortest = 2000 / clock.fps - 1  # ms of two frames, whose ends are rounded to ms
    if end - begin < shortest and not neutral and not re.search(rf"\b{ONE_FRAME}\b", value):
        log.warning("%s: %g ms, less than two frames: a click, without onset and offset", place, end - begin)
        return pd.NA, pd.NA, pd.NA, onset
    offset = max(onset, after - 1)
    apex, point = (mark_of(name, value, place, begin, end) for name in MARKS)
    frames = [time if pd.isna(time) else int(clock.frames(np.array([time]))[0]) for time in (apex, point)]
    apex, point = (frame if pd.isna(frame) else min(max(frame, onset), offset) for frame in frames)
    return onset, apex, offset, point


def mark_of(name: str, value: str, place: str, begin: float, end: float) -> Any:
    """Return the time, s, that ``value`` gives for ``name``, NA if it does not name it; begin and end in ms."""
    if not re.search(rf"\b{name}\b", value, re.IGNORECASE):
        return pd.NA
    match = re.search(rf"\b{name}{MARK_TIME}", value, re.IGNORECASE)
    if match is None:
        forms = f"'{name} 00:00:01.217', '{name} 1.217 s' or '{name} 1217 ms'"
        raise InputError(f"{place}: {value!r}; expected {name} as {forms}")
    hours, minutes, seconds, number, unit = match.groups()
    if number:
        time = float(number.replace(",", ".")) / (1000 if unit.lower() == "ms" else 1)
    else:
        time = 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds.replace(",", "."))
    if not begin - 1 <= 1000 * time <= end + 1:
        raise InputError(f"{place}: {name} at {notation(time)} lies outside of the annotation; correct its value")
    return time


def _parse(path: Path) -> ElementTree.Element:
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected .eaf as ELAN saves it")
    try:
        return ElementTree.parse(path, ElementTree.XMLParser(target=_Builder())).getroot()
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
        raise InputError(f"{path}: cannot be read as XML ({error}); expected .eaf as ELAN saves it") from error


def _annotations(
    tier: ElementTree.Element, slots: Mapping[Any, float]
) -> list[tuple[str, float | None, float | None, str]]:
    """Return the annotations of a tier that are intervals; a dependent tier has none."""
    found = []
    for item in tier.iterfind("ANNOTATION/ALIGNABLE_ANNOTATION"):
        identity, value = item.get("ANNOTATION_ID", ""), item.findtext("ANNOTATION_VALUE") or ""
        begin, end = (slots.get(item.get(f"TIME_SLOT_REF{i}")) for i in (1, 2))
        found.append((identity, begin, end, value))
    return found


def _whole(path: Path, text: str, name: str) -> int:
    if not re.fullmatch(r"-?\d{1,12}", text):
        raise InputError(f"{path}: {name} {text!r}, expected whole milliseconds; save the file again with ELAN")
    return int(text)
