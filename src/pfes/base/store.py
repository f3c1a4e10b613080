"""The files that stages exchange: HDF5 for arrays, Parquet for tables.

Formats (HDF5; ``{video}`` is a video_id, T the number of sampled frames)
-------------------------------------------------------------------------
See FORMATS: for every kind of file its datasets, their dimension names and units. The attributes of a file are
``pfes_kind``, ``pfes_format`` (version), ``provenance`` (JSON) and the kind's own; each dataset has ``dims`` and ``units``. Behind
what HDF5 reads, the file ends in a seal: ``pfes-crc32:`` and the CRC-32 of all before it, four bytes, the highest first. Tables
(Parquet) have the same metadata, its checksum ``pfes_crc32``, and checksums of their pages.

Promises
--------
A file is written under a temporary name, flushed to disk and renamed: a killed job leaves nothing or a whole file.
A reader checks the checksum first, then kind and version, and names the rule to rerun.
A video that cannot be used is a *refusal*: a file of the right name that holds only the reason. Reading it raises
InputError with that reason, so that every later stage passes it on and no other video is lost.
"""

import json
import logging
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pfes.base.errors import InputError

VERSION = 3
CHECKSUM = "pfes_crc32"  # of a table
BLOCK_BYTES = 1 << 20
SEAL = b"pfes-crc32:"  # and four bytes: the end of an HDF5 file, after what HDF5 reads
UNREADABLE = (OSError, RuntimeError, KeyError, TypeError, ValueError)  # what pyarrow raises on damaged files
log = logging.getLogger(__name__)

# kind -> dataset -> (dimension names, units)
FORMATS: dict[str, dict[str, tuple[tuple[str, ...], str]]] = {
    "truth": {
        "intensity": (("frame",), "1"),
        "landmarks": (("frame", "landmark", "xy"), "px of the recording"),
        "expression": (("frame", "landmark", "xy"), "px of the recording"),
    },
    "faces": {
        "landmarks": (("frame", "landmark", "xy"), "px of the recording"),
        "native_frame": (("frame",), "frame"),
        "found": (("frame",), "1"),
        "state": (("frame",), "index of landmarks.STATES"),
        "cut": (("frame",), "1"),
        "faces": (("frame",), "1"),
        "confidence": (("frame",), "1"),
        "interocular": (("frame",), "px of the recording"),
        "pose": (("frame", "yaw_pitch_roll"), "degree"),
        "blur": (("frame",), "grey^2"),
        "exposure": (("frame",), "index of exposure.EXPOSURES"),
    },
    "flow": {
        "flow": (("frame", "window", "roi", "xy"), "px of the aligned crop"),
        "valid": (("frame",), "1"),
    },
    "snippets": {
        "snippets": (("frame", "window", "roi", "xy"), "px of the aligned crop"),
        "valid": (("frame",), "1"),
    },
    "displacement": {"displacement": (("frame", "roi", "xy"), "g, half the distance of the inner eye corners")},
    "clips": {
        "clips": (("clip", "step", "row", "column"), "grey level"),
        "frames": (("clip", "step"), "frame"),
        "instance": (("clip",), "1"),
        "valid": (("clip",), "1"),
    },
    "stream": {"intensity/{video}": (("frame",), "1")},
    "features": {"features/{video}": (("frame", "channel"), "1")},
    "scores": {
        "intensity/{video}": (("frame",), "1"),
        "class_scores/{video}": (("frame", "class"), "1"),
        "valid/{video}": (("frame",), "1"),
        "outputs/{video}": (("frame", "output"), "1"),  # where the method has some
        "candidates/{video}": (("interval", "value"), "onset and offset in frames, then the method's own"),  # likewise
        "moved/{video}": (("frame", "roi", "xy"), "px of the aligned crop"),
    },
}

# The rule that writes a kind, where it has another name.
RULES = {
    "truth": "demo_video",
    **dict.fromkeys(("videos", "expressions", "clicks", "neutral", "repairs", "refusals", "blinks"), "dataset"),
    **dict.fromkeys(("log", "apexes"), "train"),
    "proposals": "spot",
    **dict.fromkeys(("metrics", "counts", "matches", "intervals", "differences", "protocol_table"), "evaluate"),
    **dict.fromkeys(
        ("by_iou", "recall_by", "precision_recall", "apex_errors", "errors", "clicks_found", "review", "click_matches"),
        "evaluate",
    ),
    "comparison": "compare",
    "stream": "intensity_stream",
    "intensity_curves": "intensity_predict",
    **dict.fromkeys(("intensity_clips", "intensity_metrics"), "intensity_compare"),
    "intensity_recording_metrics": "intensity_recordings",
}


def rerun(kind: str) -> str:
    """Return the advice to make a file of ``kind`` anew.

    >>> rerun("counts")
    'rerun rule evaluate'
    """
    return f"rerun rule {RULES.get(kind, kind)}"


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; on success the file is flushed to disk and renamed, else removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_csv(path: Path | str, table: pd.DataFrame) -> None:
    """Write a table for people and other programs: CSV in UTF-8, six digits, no index."""
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")


class Writer:
    """Appends blocks of frames to the datasets of one HDF5 file; see ``create``."""

    def __init__(self, file: h5py.File, kind: str) -> None:
        self._file, self._kind = file, kind

    def append(self, name: str, block: NDArray[Any]) -> None:
        """Append ``block`` along the first dimension (frames) of dataset ``name``."""
        block = np.ascontiguousarray(block)
        if name not in self._file:
            self._create(name, block)
        dataset = self._file[name]
        dataset.resize(len(dataset) + len(block), axis=0)
        dataset[len(dataset) - len(block) :] = block

    def set_attributes(self, **attributes: Any) -> None:
        """Store attributes of the file."""
        self._file.attrs.update(attributes)

    def _create(self, name: str, block: NDArray[Any]) -> None:
        dims, units = _format(self._kind, name)
        if len(dims) != block.ndim:
            raise ValueError(f"{self._kind}/{name}: expected dimensions {dims}, got an array of shape {block.shape}")
        dataset = self._file.create_dataset(
            name, shape=(0, *block.shape[1:]), maxshape=(None, *block.shape[1:]), dtype=block.dtype,
            chunks=(max(1, min(64, len(block))), *block.shape[1:]), compression="gzip", compression_opts=1, shuffle=True,
        )  # fmt: skip
        dataset.attrs["dims"], dataset.attrs["units"] = json.dumps(dims), units


@contextmanager
def create(path: Path | str, kind: str, provenance: Mapping[str, Any], **attributes: Any) -> Iterator[Writer]:
    """Open an HDF5 file of ``kind`` for streaming; it appears under its name only when the block ends without error."""
    with atomic(path) as temporary:
        with h5py.File(temporary, "w") as file:
            file.attrs.update(pfes_kind=kind, pfes_format=VERSION, provenance=json.dumps(provenance, default=str))
            writer = Writer(file, kind)
            writer.set_attributes(**attributes)
            yield writer
        with temporary.open("r+b") as whole:
            checksum = _checksum(whole)
            whole.write(SEAL + checksum.to_bytes(4))


def write(
    path: Path | str, kind: str, arrays: Mapping[str, NDArray[Any]], provenance: Mapping[str, Any], **attributes: Any
) -> None:
    """Write whole ``arrays`` to an HDF5 file of ``kind``."""
    with create(path, kind, provenance, **attributes) as writer:
        for name, array in arrays.items():
            writer.append(name, array)


def read(path: Path | str, kind: str) -> dict[str, NDArray[Any]]:
    """Read and verify all datasets of an HDF5 file of ``kind``.

    Raises
    ------
    InputError
        The file is missing, of another kind or version, damaged, or a refusal (with the reason of the refusal).
    """
    with _open(path, kind) as file:
        return _arrays(file)


class Whole(NamedTuple):
    """All of a file, read at once: its arrays and attributes; ``refused`` is why it has none, or None."""

    arrays: dict[str, NDArray[Any]]
    attributes: dict[str, Any]
    refused: str | None


def read_whole(path: Path | str, kind: str) -> Whole:
    """Read and verify an HDF5 file of ``kind`` with its attributes; a refusal is read too. Raises InputError as ``read``."""
    with _open(path, kind, refusals=True) as file:
        described = _described(file)
        return Whole(_arrays(file), described, described.get("refused"))


def read_videos(paths: Iterable[Path | str], kind: str, group: str) -> dict[str, NDArray[Any]]:
    """Return video_id -> array of the datasets ``group/{video}`` in several files of ``kind``."""
    return {
        name.removeprefix(f"{group}/"): array
        for path in paths
        for name, array in read(path, kind).items()
        if name.startswith(f"{group}/")
    }


def attributes(path: Path | str, kind: str) -> dict[str, Any]:
    """Read the attributes of an HDF5 file of ``kind``, ``provenance`` parsed."""
    with _open(path, kind) as file:
        return _described(file)


def describe(path: Path | str) -> dict[str, Any]:
    """Return kind, format, provenance, shapes and refusal of any HDF5 or Parquet file of pfes."""
    path = Path(path)
    if path.suffix == ".parquet":
        metadata = pq.read_schema(path).metadata or {}
        if b"pfes_kind" not in metadata:
            raise InputError(f"{path}: a Parquet file without pfes metadata; expected one written by pfes")
        return {
            "kind": metadata[b"pfes_kind"].decode(),
            "format": int(metadata[b"pfes_format"]),
            "rows": pq.read_metadata(path).num_rows,
            "provenance": json.loads(metadata[b"provenance"]),
        }
    with _open(path) as file:
        return {
            **_described(file),
            "datasets": {
                name: f"{dataset.dtype} {dict(zip(json.loads(dataset.attrs['dims']), dataset.shape, strict=True))}"
                for name, dataset in _datasets(file)
            },
        }


def refuse(path: Path | str, kind: str, reason: str, provenance: Mapping[str, Any]) -> None:
    """Write a refusal in place of a file of ``kind``: the video cannot be used, ``reason`` says why."""
    write(path, kind, {}, provenance, refused=reason)


@contextmanager
def refusing(path: Path | str, kind: str, provenance: Mapping[str, Any]) -> Iterator[None]:
    """Turn an InputError inside the block into a refusal at ``path``, so that other videos go on."""
    try:
        yield
    except InputError as error:
        log.warning("refused: %s", error)
        refuse(path, kind, str(error), provenance)


def refusal(path: Path | str, kind: str) -> str | None:
    """Return why a video was refused, or None for a usable file."""
    with _open(path) as file:
        if file.attrs["pfes_kind"] != kind:
            raise InputError(f"{path}: a file of kind {file.attrs['pfes_kind']!r}, expected {kind!r}")
        return file.attrs.get("refused")


def write_table(path: Path | str, kind: str, frame: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    """Write a table as Parquet with provenance."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    own = {"pfes_kind": kind, "pfes_format": str(VERSION), "provenance": json.dumps(provenance, default=str)}
    metadata = {**(table.schema.metadata or {}), **{key.encode(): value.encode() for key, value in own.items()}}
    table = table.replace_schema_metadata(metadata)
    table = table.replace_schema_metadata({**metadata, CHECKSUM: str(_said_of_table(table))})
    with atomic(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)


def files_of_subjects(videos: Path | str, subjects: Iterable[str], folder: Path | str) -> dict[str, Path]:
    """Return {video_id: ``folder``/video_id.h5}, a stage's files of the videos of ``subjects`` in the table ``videos``."""
    table, wanted = read_table(videos, "videos"), set(subjects)
    own = table.loc[table["subject"].astype(str).isin(wanted), "video_id"]
    return {str(video_id): Path(folder) / f"{video_id}.h5" for video_id in own}


def read_table(path: Path | str, kind: str) -> pd.DataFrame:
    """Read a table of ``kind``; raises InputError for another kind or version, or a damaged file."""
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        metadata = table.schema.metadata or {}
        found, version = (
            metadata.get(b"pfes_kind", b"nothing known").decode(),
            metadata.get(b"pfes_format", b"").decode(),
        )
        said = str(_said_of_table(table)).encode()
        if metadata.get(CHECKSUM.encode(), said) != said:
            raise ValueError("its checksum does not match")
        frame = table.to_pandas()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; {rerun(kind)}") from error
    except UNREADABLE as error:
        raise InputError(
            f"{path}: cannot be read as Parquet ({_reason(error)}); delete it and {rerun(kind)}"
        ) from error
    if found != kind:
        raise InputError(f"{path}: holds {found}, expected {kind}")
    if version != str(VERSION):
        raise InputError(f"{path}: {found!r} of format {version}, expected format {VERSION}; {rerun(kind)}")
    return frame


def _said_of_table(table: pa.Table) -> int:
    """Return the checksum of what a table says beside its cells: columns, types, rows, metadata."""
    types = {field.name: "" if pa.types.is_dictionary(field.type) else str(field.type) for field in table.schema}
    metadata = {
        repr(key): repr(value) for key, value in (table.schema.metadata or {}).items() if key.decode() != CHECKSUM
    }
    return zlib.crc32(json.dumps([types, table.num_rows, metadata], sort_keys=True).encode())


@contextmanager
def _open(path: Path | str, kind: str | None = None, *, refusals: bool = False) -> Iterator[h5py.File]:
    """Open a whole file: HDF5 itself is shown nothing that is damaged, for it crashes or never returns on some of that."""
    try:
        _check_seal(path)
        file = h5py.File(path, "r")
    except OSError as error:
        advice = f"; delete it and {rerun(kind)}" if kind else "; expected a file that pfes wrote"
        raise InputError(f"{path}: cannot be read as HDF5 ({error}){advice}") from error
    with file:
        found, version, refused = (file.attrs.get(name) for name in ("pfes_kind", "pfes_format", "refused"))
        if kind is not None and (found != kind or version != VERSION):
            raise InputError(
                f"{path}: {found!r} of format {version}, expected {kind!r} of format {VERSION}; {rerun(kind)}"
            )
        if kind is not None and refused is not None and not refusals:
            raise InputError(str(refused))
        yield file


def _check_seal(path: Path | str) -> None:
    """Raise OSError unless a file is as it was written."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END) - len(SEAL) - 4
        file.seek(max(size, 0))
        seal, said = file.read(len(SEAL)), file.read()
        if size < 0 or seal != SEAL:
            raise OSError("its end is missing: cut short, or not written by this version of pfes")
        if _checksum(file, size).to_bytes(4) != said:
            raise OSError("its checksum does not match: damaged")


def _checksum(file: BinaryIO, size: int | None = None) -> int:
    """Return the CRC-32 of the first ``size`` bytes of a file, of all of it by default."""
    file.seek(0)
    left, found = os.fstat(file.fileno()).st_size if size is None else size, 0
    while left and (block := file.read(min(left, BLOCK_BYTES))):
        found, left = zlib.crc32(block, found), left - len(block)
    return found


def _reason(error: Exception) -> str:
    """Return the first line of what an error says, or its type where it says nothing."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _described(file: h5py.File) -> dict[str, Any]:
    """Return the attributes of a file, ``provenance`` parsed."""
    return {**file.attrs, "provenance": json.loads(file.attrs["provenance"])}


def _arrays(file: h5py.File) -> dict[str, NDArray[Any]]:
    return {name: dataset[()] for name, dataset in _datasets(file)}


def _datasets(file: h5py.File) -> list[tuple[str, h5py.Dataset]]:
    found: list[tuple[str, h5py.Dataset]] = []
    file.visititems(lambda name, item: found.append((name, item)) if isinstance(item, h5py.Dataset) else None)
    return found


def _format(kind: str, name: str) -> tuple[tuple[str, ...], str]:
    datasets = FORMATS[kind]
    return datasets[name] if name in datasets else datasets[f"{name.split('/')[0]}/{{video}}"]
