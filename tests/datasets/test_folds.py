"""Every subject is tested once, by a model that never saw it; groups are even, choices are seeded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfes.base.errors import InputError
from pfes.datasets.folds import Fold, FoldParameters, count_instances, make_folds

SIX = {"a": 10, "b": 1, "c": 5, "d": 0, "e": 7, "f": 3}
LISTS = FoldParameters("lists", lists={"young": ("a", "b"), "old": ("f", "c", "d", "e")})


def test_leave_one_subject_out_is_one_fold_per_subject():
    folds = make_folds({"b": 3, "a": 0, "c": 1}, FoldParameters())
    assert folds == [Fold("a", ("a",), ("b", "c")), Fold("b", ("b",), ("a", "c")), Fold("c", ("c",), ("a", "b"))]


@settings(max_examples=60, deadline=None)
@given(
    instances=st.dictionaries(st.text("abcdefgh", min_size=1, max_size=3), st.integers(0, 50), min_size=4, max_size=12),
    scheme=st.sampled_from(["leave-one-subject-out", "groups"]),
    validation=st.sampled_from([0, 1, 0.3]),
    seed=st.integers(0, 5),
)
def test_every_subject_is_held_out_once_and_never_trained_or_chosen_on(instances, scheme, validation, seed):
    folds = make_folds(instances, FoldParameters(scheme, groups=3, validation_subjects=validation, seed=seed))
    assert sorted(subject for fold in folds for subject in fold.held_out) == sorted(instances)
    for fold in folds:
        assert sorted(fold.held_out + fold.train + fold.validation) == sorted(instances)
        assert fold.train
        assert bool(fold.validation) == bool(validation)


def test_groups_are_even_in_instances():
    """10 + 3, 7 + 5 + 1 (+ 0): as even as 26 instances of six subjects can be."""
    folds = make_folds(SIX, FoldParameters("groups", groups=2))
    assert [fold.name for fold in folds] == ["group1", "group2"]
    assert sorted(sum(SIX[subject] for subject in fold.held_out) for fold in folds) == [13, 13]


def test_the_seed_decides_groups_and_validation():
    equal = dict.fromkeys("abcdefgh", 2)
    params = [FoldParameters("groups", groups=4, validation_subjects=2, seed=seed) for seed in (1, 1, 2)]
    one, same, other = (make_folds(equal, item) for item in params)
    assert one == same
    assert [fold.held_out for fold in one] != [fold.held_out for fold in other]
    assert len({fold.validation for fold in make_folds(equal, FoldParameters(validation_subjects=2))}) > 1


def test_one_more_subject_elsewhere_keeps_a_folds_name_and_held_out():
    more = make_folds({**SIX, "g": 4}, FoldParameters())
    assert [(fold.name, fold.held_out) for fold in more[:6]] == [
        (fold.name, fold.held_out) for fold in make_folds(SIX, FoldParameters())
    ]


def test_a_share_of_validation_subjects_is_rounded_and_at_least_one():
    for share, count in ((0.01, 1), (0.2, 1), (0.5, 2)):
        folds = make_folds(SIX, FoldParameters(validation_subjects=share))
        assert {len(fold.validation) for fold in folds} == {count}


def test_lists_name_their_folds():
    assert make_folds(SIX, LISTS) == [
        Fold("young", ("a", "b"), ("c", "d", "e", "f")),
        Fold("old", ("c", "d", "e", "f"), ("a", "b")),
    ]


@pytest.mark.parametrize(
    ("instances", "params", "message"),
    [
        ({"a": 1}, FoldParameters(), "one subject only"),
        ({}, FoldParameters(), "one subject only"),
        (SIX, FoldParameters("groups", groups=7), "folds.groups: 7, expected 2 to 6"),
        (SIX, FoldParameters("loso"), "'loso' is not known; expected one of leave-one-subject-out, groups, lists"),
        (SIX, FoldParameters("lists", lists={"x": tuple("abcz"), "y": tuple("def")}), "z in no video"),
        (SIX, FoldParameters("lists", lists={"x": tuple("abc"), "y": tuple("cdef")}), "c in several lists"),
        (SIX, FoldParameters("lists", lists={"x": tuple("ab"), "y": tuple("cd")}), "e, f in no list"),
        (SIX, FoldParameters("lists", lists={"x": tuple("abcdef")}), "only one list"),
        (SIX, FoldParameters("lists", lists={"x": tuple("abcdef"), "y": ()}), "y is empty"),
        (SIX, FoldParameters(validation_subjects=5), "of the 5 subjects that fold a .* leaves none for training"),
        (SIX, FoldParameters(validation_subjects=1.5), "1.5, expected a whole number"),
        ({"a b": 1, "a:b": 1}, FoldParameters(), "'a b' and 'a:b' are the same file name 'a_b'"),
    ],
)
def test_what_cannot_be_dealt_is_named(instances, params, message):
    with pytest.raises(InputError, match=message):
        make_folds(instances, params)


def test_subjects_without_labels_are_counted_as_zero():
    assert count_instances(["b", "a", "b"], ["b", "nobody"]) == {"a": 0, "b": 1}
