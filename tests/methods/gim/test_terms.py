"""One training step's loss: which pass feeds the labels, which form reads what, and that nothing waits for the device."""

from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from pfes.base.errors import InputError
from pfes.methods.base import Batch
from pfes.methods.gim.losses import conference_loss, journal_loss, release_loss
from pfes.methods.gim.parameters import GimParameters, LossParameters
from pfes.methods.gim.pseudo_labels import pseudo_labels
from pfes.methods.gim.terms import FORMS, gim_terms
from pfes.methods.parameters import TrainingParameters
from pfes.methods.registry import learned
from pfes.network.heads import PfesHead

torch.set_num_threads(1)  # tiny tensors: more threads only wait for each other
POINTS, CLASSES = torch.tensor([20, 26, 50]), torch.tensor([0, 1, 0])
GIM = GimParameters(overlap="later")
LOSSES = {"conference": conference_loss, "journal": journal_loss}


def batch(points=POINTS, classes=CLASSES, valid=None):
    """A video of 70 frames; the losses get its features beside."""
    valid = torch.ones(70, dtype=torch.bool) if valid is None else valid
    return Batch("a", torch.empty(0), valid, points, classes)


def step(form, epoch=9, gim=GIM, seed=0, head=None, valid=None):
    torch.manual_seed(seed)
    features = torch.randn(70, 16)
    head = PfesHead(16, 0.7).train() if head is None else head
    return gim_terms(form, epoch, features, head, batch(valid=valid), gim, LossParameters()), features, head


def noisy_pass(features, head, released):
    """The very training pass that ``step`` has made."""
    torch.manual_seed(0)
    torch.randn(70, 16)
    PfesHead(16, 0.7)
    return head(features, released=released)


@pytest.mark.parametrize("form", ["conference", "journal"])
@pytest.mark.parametrize("label_pass", ["clean", "as_released"])
def test_labels_come_from_the_pass_that_is_asked_for_and_losses_from_the_training_pass(form, label_pass):
    gim = GimParameters(overlap="later", label_pass=label_pass)
    (terms, labels), features, head = step(form, gim=gim)
    released = label_pass == "as_released"
    hidden, intensity, scores = noisy_pass(features, head, released)
    seen = (hidden, intensity) if released else head.clean(features)[:2]
    expected = pseudo_labels(9, seen[0].detach(), seen[1].detach(), POINTS, CLASSES, gim)
    torch.testing.assert_close(labels.soft, expected.soft)
    everything = torch.ones(70, dtype=torch.bool)
    loss = LOSSES[form](features, intensity, scores, expected, LossParameters(), everything)
    assert terms.keys() == loss.keys()
    for name in loss:
        torch.testing.assert_close(terms[name], loss[name])


def test_as_released_is_the_release_loss_of_the_released_pass():
    (terms, labels), features, head = step("as_released")
    hidden, intensity, scores = noisy_pass(features, head, released=True)
    expected = release_loss(9, features, hidden, intensity, scores, POINTS, CLASSES, "casme2")
    assert terms.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(terms[name], expected[name])
    assert labels.apex_frames.shape == (3,)


def test_as_released_reads_norm_and_contrast_of_the_parameters_and_nothing_else():
    torch.manual_seed(0)
    features, head = torch.randn(70, 16), PfesHead(16, 0.0)
    gim = GimParameters(strategy="hard", k_c=(8, 4), theta_end=0.9, hard_epochs=50, label_pass="clean")
    loss = LossParameters(norm=0.3, contrast=2e-6, smooth=9.0, reward=(9.0, 9.0), temperature=9.0, intensity="bce")
    terms, _ = gim_terms("as_released", 9, features, head, batch(), gim, loss)
    expected = release_loss(9, features, *head(features), POINTS, CLASSES, "samm_lv")
    for name in expected:
        torch.testing.assert_close(terms[name], expected[name])


def test_padding_of_as_released_enters_the_mean_intensity_and_nothing_else():
    """Rows after the video: the norm is over them too, every other term is that of the video alone (dropout 0)."""
    torch.manual_seed(0)
    features, head = torch.randn(100, 16), PfesHead(16, 0.0)
    valid = torch.ones(70, dtype=torch.bool)
    padded, labels = gim_terms("as_released", 9, features, head, batch(valid=valid), GIM, LossParameters())
    alone, own = gim_terms("as_released", 9, features[:70], head, batch(valid=valid), GIM, LossParameters())
    torch.testing.assert_close(labels.soft, own.soft)
    for name in set(alone) - {"norm", "total"}:
        torch.testing.assert_close(padded[name], alone[name])
    torch.testing.assert_close(padded["norm"], 2.5 * head(features)[1].mean())
    assert padded["norm"] != alone["norm"]


@pytest.mark.parametrize("form", FORMS)
def test_gradients_reach_the_features_and_every_weight(form):
    head = PfesHead(16, 0.2).train()
    features = torch.randn(70, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
    terms, labels = gim_terms(form, 9, features, head, batch(), GIM, LossParameters())
    terms["total"].backward()
    assert features.grad.abs().sum() > 0
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())
    assert not labels.soft.requires_grad


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("gim", [
    GIM,
    GimParameters(overlap="random-instance", half_widths=((8, 18), (4, 8))),
    GimParameters(overlap="random-frame", variance_over="d_l"),
    GimParameters(overlap="higher", strategy="class-wise"),
    GimParameters(strategy="cosine", label_pass="as_released"),
    GimParameters(strategy="hard", overlap="lower"),
])  # fmt: skip
def test_nothing_in_a_step_reads_a_value_back_from_the_device(form, gim):
    """Fake tensors have shapes but no values: an .item(), a bool() or an index by a mask raises."""
    for epoch in (0, 3, 9):
        with FakeTensorMode():
            features, head = torch.randn(70, 16, requires_grad=True), PfesHead(16)
            points, classes = torch.tensor([20, 26, 50]), torch.tensor([0, 1, 0])
            valid = torch.ones(70, dtype=torch.bool)
            terms, _ = gim_terms(form, epoch, features, head, batch(points, classes, valid), gim, LossParameters())
            terms["total"].backward()
            with pytest.raises(DataDependentOutputException):
                terms["total"].item()


@pytest.mark.parametrize("form", FORMS)
def test_losses_are_in_single_precision_inside_an_autocast_block(form):
    def total(autocast):
        torch.manual_seed(0)
        features, head = torch.randn(70, 16).bfloat16(), PfesHead(16)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            return gim_terms(form, 9, features, head, batch(), GIM, LossParameters())[0]["total"]

    assert total(True).dtype == torch.float32
    assert total(True).item() == total(False).item()


@pytest.mark.parametrize("form", FORMS)
def test_a_video_without_points_trains_too(form):
    head, none = PfesHead(16), torch.zeros(0, dtype=torch.long)
    terms, labels = gim_terms(
        form, 9, torch.randn(30, 16), head, batch(none, none, torch.ones(30, dtype=torch.bool)), GIM, LossParameters()
    )
    assert torch.isfinite(terms["total"])
    assert terms["contrast"] == 0
    assert labels.neutral.sum() == (1 if form == "as_released" else 30)


def test_invalid_frames_are_neither_labelled_nor_neutral_in_any_form():
    valid = torch.ones(70, dtype=torch.bool)
    valid[22:30] = False
    for form in FORMS:
        (_, labels), *_ = step(form, valid=valid)
        assert not labels.labelled[:, ~valid].any()
        assert not labels.neutral[~valid].any()


@pytest.mark.parametrize("overlap", ["random-frame", "random-instance"])
def test_the_random_rules_draw_from_the_generator(overlap):
    def soft(seed):
        generator = torch.Generator().manual_seed(seed)
        points, classes = torch.tensor([20, 24, 28]), torch.tensor([0, 0, 0])
        torch.manual_seed(0)
        features, head = torch.randn(70, 16), PfesHead(16)
        gim = GimParameters(overlap=overlap)
        return gim_terms(
            "journal", 3, features, head, batch(points, classes), gim, LossParameters(), generator=generator
        )[1].soft  # fmt: skip

    assert torch.equal(soft(1), soft(1))
    assert any(not torch.equal(soft(1), soft(seed)) for seed in range(2, 8))


def test_the_threshold_of_the_log_is_that_of_the_form():
    params = TrainingParameters(sections=(GimParameters(theta_epochs=10),))
    assert learned("journal").threshold(9, params) == 0.5
    assert learned("as_released").threshold(9, params) == pytest.approx(0.75)


def test_an_unknown_form_is_named():
    with pytest.raises(InputError, match="form 'workshop' is not known; expected one of conference, journal"):
        step("workshop")


@pytest.mark.parametrize("form", FORMS)
def test_frames_marked_as_neutral_get_no_label_and_push_their_intensity_down(form):
    """Frames 22 to 40 are marked: the range of the click at 20 ends before them, and only their mean square is added."""
    marked = torch.zeros(70, dtype=torch.bool)
    marked[22:41] = True
    torch.manual_seed(0)
    features, head = torch.randn(70, 16), PfesHead(16, 0.7).eval()  # the same pass each time
    plain = batch()
    (terms, labels), (without, free) = (
        gim_terms(form, 9, features, head, own, GIM, LossParameters())
        for own in (replace(plain, neutral=marked), plain)
    )
    assert not (labels.labelled & marked).any() and not (labels.neutral & marked).any()
    assert (free.labelled & marked).any()
    hidden = replace(plain, valid=plain.valid & ~marked)  # the labels are those of a video that lacks these frames
    _, expected = gim_terms(form, 9, features, head, hidden, GIM, LossParameters())
    torch.testing.assert_close(labels.soft, expected.soft)
    none = gim_terms(form, 9, features, head, replace(plain, neutral=torch.zeros_like(marked)), GIM, LossParameters())[
        0
    ]
    torch.testing.assert_close(none["total"], without["total"])
    intensity = head(features, released=form == "as_released")[1]
    own = "gim" if form == "conference" else "neutral"
    torch.testing.assert_close(sum(value for name, value in terms.items() if name != "total"), terms["total"])
    assert terms[own] >= intensity[marked].square().mean()
