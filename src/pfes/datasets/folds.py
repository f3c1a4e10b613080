"""Folds: which subjects a model is tested on, which it is trained on, which are kept for choices between.

Conventions
-----------
Every subject is held out by exactly one fold, so that every video is tested once, by a model that never saw its subject.
Subjects are in sorted order.

Schemes
-------
leave-one-subject-out  one fold per subject, called as the subject.
groups                 k folds ``group1`` .. of whole subjects, as even as possible in their numbers of labelled instances.
lists                  the subjects held out by each fold, as named in the config.

Inner validation subjects are drawn per fold from the subjects that it does not hold out, and are not trained on: a
choice (such as the epoch) made on them has seen nothing of the subjects held out.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from pfes.base.config import setting
from pfes.base.errors import InputError
from pfes.base.records import file_name

SCHEMES = ("leave-one-subject-out", "groups", "lists")


@dataclass(frozen=True)
class FoldParameters:
    """How subjects are dealt to folds.

    scheme
        ``leave-one-subject-out``, ``groups`` or ``lists``.
    groups
        number k of folds of the scheme ``groups``.
    lists
        fold -> subjects it holds out, of the scheme ``lists``.
    validation_subjects
        subjects of each fold kept from training for inner validation: a number, or below 1 a share; 0 is none.
    seed
        of groups and validation subjects.
    """

    scheme: str = setting(
        "leave-one-subject-out",
        "how subjects are dealt to folds: leave-one-subject-out, groups (k even groups of subjects) or lists (named here)",
        enum=("leave-one-subject-out", "groups", "lists"),
    )
    groups: int = setting(5, "number of folds of the scheme groups", minimum=2, maximum=1000)
    lists: Mapping[str, tuple[str, ...]] = setting(
        {},
        "subjects held out by each fold of the scheme lists, e.g. {first: [anna, ben], second: [carl, dora]}",
        additionalProperties={"minItems": 1},
    )
    validation_subjects: float = setting(
        0,
        "subjects of each fold set aside for inner validation, not trained on; a number below 1 is a share of them, 0 is none",
        minimum=0,
    )
    seed: int = setting(0, "seed of groups and of validation subjects", minimum=0)


@dataclass(frozen=True)
class Fold:
    """One fold: train on ``train``, choose on ``validation``, test on ``held_out``; no subject is in two of them."""

    name: str
    held_out: tuple[str, ...]
    train: tuple[str, ...]
    validation: tuple[str, ...] = ()


def make_folds(instances: Mapping[str, int], params: FoldParameters) -> list[Fold]:
    """Return the folds of a dataset.

    Parameters
    ----------
    instances
        subject -> number of its labelled instances, 0 for a subject without; every subject that has a video.

    Raises
    ------
    InputError
        Fewer than two subjects, a scheme that the subjects do not allow (named), or no subject left for training.
    """
    subjects = sorted(instances)
    if len(subjects) < 2:
        raise InputError(
            "one recording of one subject only; testing on what was never seen needs at least two recordings"
        )
    if params.scheme not in SCHEMES:
        raise InputError(f"folds.scheme: {params.scheme!r} is not known; expected one of {', '.join(SCHEMES)}")
    if params.scheme == "groups":
        held_out = _groups(instances, params.groups, params.seed)
    elif params.scheme == "lists":
        held_out = _lists(subjects, params.lists)
    else:
        held_out = {subject: (subject,) for subject in subjects}
    _check_names(held_out)
    return [_fold(name, names, subjects, params) for name, names in held_out.items()]


def count_instances(subjects: Iterable[str], labelled: Iterable[str]) -> dict[str, int]:
    """Return subject -> number of its instances, for all ``subjects``; ``labelled`` has the subject of each instance.

    Labels of a subject without a video count for nothing.

    >>> count_instances(["anna", "ben", "ben"], ["anna", "anna"])
    {'anna': 2, 'ben': 0}
    """
    counts = dict.fromkeys(sorted(set(subjects)), 0)
    for subject in labelled:
        if subject in counts:
            counts[subject] += 1
    return counts


def _groups(instances: Mapping[str, int], k: int, seed: int) -> dict[str, tuple[str, ...]]:
    """Deal subjects, most instances first, each to the group with the fewest instances (then subjects) so far."""
    if not 2 <= k <= len(instances):
        raise InputError(f"folds.groups: {k}, expected 2 to {len(instances)}, the number of subjects")
    shuffled = _generator(seed, "groups").permutation(sorted(instances)).tolist()  # who goes first among equals
    groups: list[list[str]] = [[] for _ in range(k)]
    for subject in sorted(shuffled, key=lambda name: -instances[name]):
        min(groups, key=lambda group: (sum(instances[name] for name in group), len(group))).append(subject)
    return {f"group{number}": tuple(sorted(group)) for number, group in enumerate(groups, start=1)}


def _lists(subjects: list[str], lists: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    named = [str(subject) for group in lists.values() for subject in group]
    unknown = sorted(set(named) - set(subjects))
    doubled = sorted({subject for subject in named if named.count(subject) > 1})
    missing = sorted(set(subjects) - set(named))
    for problem, names in (("no video", unknown), ("several lists", doubled), ("no list", missing)):
        if names:
            raise InputError(
                f"folds.lists: {', '.join(names)} in {problem}; expected every subject in exactly one list"
            )
    empty = [name for name, group in lists.items() if not group]
    if empty or len(lists) < 2:
        what = f"{empty[0]} is empty" if empty else "only one list"
        raise InputError(f"folds.lists: {what}; expected at least two lists of subjects")
    return {str(name): tuple(sorted(map(str, group))) for name, group in lists.items()}


def _check_names(held_out: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse two folds whose files would have one name."""
    owner: dict[str, str] = {}
    for name in held_out:
        other = owner.setdefault(file_name(name), name)
        if other != name:
            raise InputError(f"folds {other!r} and {name!r} are the same file name {file_name(name)!r}; rename one")


def _fold(name: str, held_out: tuple[str, ...], subjects: list[str], params: FoldParameters) -> Fold:
    others = [subject for subject in subjects if subject not in held_out]
    count = _validation_count(params.validation_subjects, len(others))
    if count >= len(others):
        raise InputError(
            f"folds.validation_subjects: {params.validation_subjects:g} of the {len(others)} subjects that fold {name} "
            "does not hold out leaves none for training; expected fewer"
        )
    chosen = set(_generator(params.seed, name).permutation(others)[:count].tolist())
    train = tuple(subject for subject in others if subject not in chosen)
    return Fold(name, held_out, train, tuple(sorted(chosen)))


def _validation_count(wanted: float, n_subjects: int) -> int:
    """Return a number of subjects from a number, or from a share (below 1; at least one subject)."""
    if wanted >= 1 and wanted != int(wanted):
        raise InputError(f"folds.validation_subjects: {wanted:g}, expected a whole number, or a share below 1")
    return int(wanted) if wanted >= 1 or wanted == 0 else max(1, round(wanted * n_subjects))


def _generator(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
