"""Continuous intensity: clips, network, training, stream, table; and the rules from end to end."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from pfes.base import store
from pfes.base.errors import InputError
from pfes.intensity.clips import aligned_crop, neutral_intervals, resample, step_frames
from pfes.intensity.comparison import clip_table, position_curve, summary_table
from pfes.intensity.model import IntensityModel, load_encoder
from pfes.intensity.parameters import (
    ClipParameters,
    IntensityLossParameters,
    IntensityModelParameters,
    IntensityTrainingParameters,
    StreamParameters,
)
from pfes.intensity.prediction import predict_clips, stream_intensity
from pfes.intensity.training import (
    Clip,
    apex_step,
    augment,
    load_intensity_model,
    save_intensity_model,
    train_intensity,
)
from tests.conftest import ROOT, snakemake

CLIPS = ClipParameters(steps=8, context=4, size=32)
TINY = IntensityModelParameters(width=2, hidden=4, reference="first", dropout=0.0)


def test_steps_run_from_onset_to_offset_with_context_of_the_same_spacing():
    frames = step_frames(10, 24, CLIPS)
    assert frames[CLIPS.context] == 10 and frames[-1 - CLIPS.context] == 24
    np.testing.assert_allclose(np.diff(frames), 2)
    assert len(frames) == 16


def test_an_expression_of_one_frame_repeats_it():
    assert set(step_frames(7, 7, CLIPS)) == {7}


def test_resampling_blends_neighbours():
    crops = np.array([[[0]], [[100]], [[50]]], np.uint8)
    assert resample(crops, np.array([0, 0.25, 1, 1.5, 2])).ravel().tolist() == [0, 25, 100, 75, 50]


def test_neutral_clips_touch_no_expression():
    expressions = np.array([[30, 60], [100, 180]])
    found = neutral_intervals(expressions, 300, 3, np.random.default_rng(0))
    assert len(found) == 3
    for start, end in found:
        assert 0 <= start <= end < 300
        assert all(end < onset or start > offset for onset, offset in expressions)
    assert len(neutral_intervals(np.array([[0, 49]]), 50, 2, np.random.default_rng(0))) == 0


@pytest.mark.parametrize("g", [20.0, 60.0])
def test_crop_shows_the_face_where_it_should_to_a_fraction_of_a_pixel(g):
    """A disc at (x, y): its centre lies at ((x - x0 + 4.5 g) / 9 g, (y - y0 + 3.5 g) / 9 g) of the crop."""
    rows, columns = np.mgrid[:600, :600]
    for x, y in ((300.0, 280.0), (310.3, 290.7)):
        image = np.clip(40 - np.hypot(columns - x, rows - y), 0, 1) * 200
        crop = aligned_crop(image.astype(np.uint8), np.array([300.4, 250.2, g]), 64).astype(float)
        crop_y, crop_x = (np.average(axis, weights=crop) for axis in np.mgrid[:64, :64])
        scale = 9 * g / 64
        assert crop_x == pytest.approx((x + 0.5 - (300.4 - 4.5 * g)) / scale - 0.5 - 0.5 / scale, abs=0.6)
        assert crop_y == pytest.approx((y + 0.5 - (250.2 - 3.5 * g)) / scale - 0.5 - 0.5 / scale, abs=0.6)


def test_encoder_has_the_parameters_of_torchvisions_resnet18():
    state = IntensityModel(IntensityModelParameters(recurrent=False)).encoder.state_dict()
    for name, shape in {
        "conv1.weight": (64, 3, 7, 7), "bn1.running_var": (64,), "layer1.1.conv2.weight": (64, 64, 3, 3),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1), "layer2.0.downsample.1.bias": (128,),
        "layer4.1.bn2.weight": (512,),
    }.items():  # fmt: skip
        assert tuple(state[name].shape) == shape
    assert "layer1.0.downsample.0.weight" not in state
    learned = sum(value.numel() for name, value in state.items() if "running" not in name and "num_batches" not in name)
    assert learned == 11_689_512 - 513_000  # resnet18 as published less its classifier, 512 x 1000 + 1000


def test_a_weights_file_of_resnet18_loads_and_another_is_refused(tmp_path):
    model = IntensityModel(IntensityModelParameters(width=4, recurrent=False))
    state = {name: torch.full_like(value, 2) for name, value in model.encoder.state_dict().items()}
    torch.save({**state, "fc.weight": torch.zeros(3)}, tmp_path / "weights.pt")
    load_encoder(model, tmp_path / "weights.pt")
    assert (model.encoder.conv1.weight == 2).all()
    other = IntensityModel(IntensityModelParameters(width=8, recurrent=False))
    with pytest.raises(InputError, match=r"weights.pt: bn1.bias is \(4,\), expected \(8,\)"):
        load_encoder(other, tmp_path / "weights.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(InputError, match="not a weights file"):
        load_encoder(model, tmp_path / "text.pt")


@pytest.mark.parametrize("recurrent", [True, False])
def test_output_is_one_value_per_frame_and_frames_mix_only_in_the_gru(recurrent):
    torch.manual_seed(0)
    model = IntensityModel(IntensityModelParameters(width=2, hidden=4, recurrent=recurrent)).eval()
    clips = torch.rand(2, 5, 32, 32)
    with torch.no_grad():
        before = model(clips)
        clips[:, 4] = 0
        after = model(clips)
    assert before.shape == (2, 5) and ((before > 0) & (before < 1)).all()
    assert torch.equal(before[:, 0], after[:, 0]) is not recurrent


def test_with_reference_first_a_constant_light_changes_nothing():
    torch.manual_seed(0)
    model = IntensityModel(TINY).eval()
    clips = torch.rand(1, 4, 32, 32) * 0.5
    with torch.no_grad():
        torch.testing.assert_close(model(clips), model(clips + 0.25), atol=1e-5, rtol=0)


def moving_clips(count, subjects=2, neutral=True):
    """Clips of a blob that grows to the apex and shrinks after it: intensity is there to be seen."""
    rng = np.random.default_rng(5)
    tau = (np.arange(16) - CLIPS.context) / (CLIPS.steps - 1)
    clips = []
    for index in range(count):
        alpha = None if neutral and index % 4 == 3 else float(rng.uniform(0.1, 0.9))
        clip = Clip("v", f"s{index % subjects}", "macro" if alpha is not None else "neutral", index if alpha is not None else -1, np.zeros((16, 32, 32), np.uint8), np.arange(16, dtype=np.float32), tau, alpha, True)  # fmt: skip
        y, x = np.mgrid[:32, :32]
        blob = np.exp(-((x - 16) ** 2 + (y - 20) ** 2) / 40)
        clip.crops[:] = 90 + 100 * clip.target("triangle")[:, None, None] * blob
        clips.append(clip)
    return clips


def test_neutral_clips_are_left_out_where_they_are_not_wanted():
    """Two models from the same seed: one never sees the neutral clips, so that dropping them changes nothing for it."""
    params = IntensityTrainingParameters(epochs=1, neutral=False, device="cpu")
    clips = moving_clips(8)
    without = [clip for clip in clips if clip.alpha is not None]
    assert len(without) < len(clips)
    one, two = (
        train_intensity(part, CLIPS, TINY, params, IntensityLossParameters(), seed=0)[0] for part in (clips, without)
    )
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name]), name


def test_training_learns_intensity_that_can_be_seen():
    params = IntensityTrainingParameters(epochs=20, batch=4, learning_rate=1e-2, context=0, noise=1, light=0, shift=1)
    small = IntensityModelParameters(width=4, hidden=16, reference="first", dropout=0.0)
    model, log = train_intensity(moving_clips(16), CLIPS, small, params, IntensityLossParameters(), seed=0)
    held = [clip for clip in moving_clips(40)[16:] if clip.alpha is not None]
    wanted = np.stack([clip.target("triangle")[4:12] for clip in held])
    position_alone = np.abs(wanted - wanted.mean(0)).mean()
    assert log["total"].iloc[-1] < 0.5 * log["total"].iloc[0]
    assert np.abs(predict_clips(model, held, CLIPS) - wanted).mean() < 0.6 * position_alone


def test_the_same_seed_gives_the_same_weights():
    params = IntensityTrainingParameters(epochs=1, batch=4)
    one, two = (
        train_intensity(moving_clips(8), CLIPS, TINY, params, IntensityLossParameters(), seed=3)[0] for _ in "ab"
    )
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_training_without_an_expression_is_refused():
    clips = [clip for clip in moving_clips(8) if clip.alpha is None]
    with pytest.raises(InputError, match="no usable clip of macro, micro among 2 clips"):
        train_intensity(clips, CLIPS, TINY, IntensityTrainingParameters(), IntensityLossParameters(), seed=0)


def test_a_loss_that_is_not_finite_names_epoch_and_terms():
    params = IntensityTrainingParameters(epochs=5, batch=4, learning_rate=1e30)
    with pytest.raises(InputError, match=r"not finite in epoch \d+ \(square"):
        train_intensity(moving_clips(8), CLIPS, TINY, params, IntensityLossParameters(), seed=0)


def test_apex_step_is_where_the_window_shows_it():
    clip = moving_clips(1)[0]
    at = int(np.argmin(np.abs(clip.tau - clip.alpha)))
    assert apex_step(clip, slice(4, 12)) == at - 4
    assert apex_step(clip, slice(at + 1, at + 3)) == -1


def test_augmentation_moves_a_clip_as_one():
    params = IntensityTrainingParameters(mirror=1.0, noise=0.0, light=0.0, shift=2)
    images = np.random.default_rng(0).random((5, 32, 32), dtype=np.float32)
    images[:] = images[:1]
    made = augment(images, params, np.random.default_rng(1))
    assert made.shape == images.shape and (made == made[:1]).all()
    still = IntensityTrainingParameters(mirror=1.0, noise=0.0, light=0.0, shift=0)
    np.testing.assert_array_equal(augment(images, still, np.random.default_rng(1)), images[:, :, ::-1])


def test_a_model_is_refused_for_a_subject_it_was_trained_on(tmp_path):
    meta = {"model": TINY.__dict__, "train_subjects": ["anna"], "held_out": ["ben"]}
    save_intensity_model(tmp_path / "model.pt", IntensityModel(TINY), meta)
    assert load_intensity_model(tmp_path / "model.pt", for_subject="ben")[1]["held_out"] == ["ben"]
    with pytest.raises(InputError, match="trained on subject 'anna'"):
        load_intensity_model(tmp_path / "model.pt", for_subject="anna")
    torch.save({"kind": "model", "format": 1}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="expected an intensity model"):
        load_intensity_model(tmp_path / "other.pt")


class Brightness(torch.nn.Module):
    """Stands for a network: intensity is the brightness of the crop."""

    def forward(self, clips):
        return clips.mean((2, 3))


@pytest.mark.parametrize("n_frames", [5, 40, 700])
def test_stream_gives_back_a_smooth_curve_whatever_the_length(n_frames):
    curve = 0.5 + 0.4 * np.sin(np.arange(n_frames) / 25)
    crops = (np.full((32, 32), round(255 * value), np.uint8) for value in curve)
    found = stream_intensity([Brightness()], crops, n_frames, CLIPS, StreamParameters(lengths=(8, 16), stride=3))
    assert found.shape == (n_frames,)
    np.testing.assert_allclose(found, curve, atol=0.01)


def curves(predicted, subject="a", instance=0, triangle=(0, 0.5, 1, 0.5, 0)):
    steps = np.arange(len(triangle))
    return pd.DataFrame(
        {"subject": subject, "video_id": "v", "instance": instance, "class": "macro", "step": steps,
         "frame": 2.0 * steps, "tau": steps / 4, "predicted": predicted, "triangle": triangle}
    )  # fmt: skip


def test_table_holds_each_system_against_each_reference():
    first, second = (
        curves([0, 1, 2, 1, 0]),
        curves([0, 0, 0, 0, 0], subject="b", instance=1, triangle=(1, 0.75, 0.5, 0.25, 0)),
    )
    table = clip_table(
        {("gru", 0): pd.concat([first, second], ignore_index=True)},
        truth={"v": np.arange(9) / 8},
        others={("GIM", 0): {"v": np.arange(9) / 8}},
    )
    rows = table.set_index(["system", "reference", "subject"])
    assert rows.loc[("gru", "triangle", "a"), "spearman"] == pytest.approx(1)
    assert rows.loc[("gru", "triangle", "b"), "constant"] == 1
    assert rows.loc[("GIM", "true", "a"), "mae"] == 0 and rows.loc[
        ("GIM", "triangle", "b"), "kendall"
    ] == pytest.approx(-1)
    summary = summary_table(table).set_index(["system", "reference", "class"])
    assert summary.loc[("gru", "triangle", "all"), "spearman"] == pytest.approx(0.5)
    assert np.isnan(summary.loc[("GIM", "true", "all"), "mae"])  # another scale


def test_position_curve_is_the_mean_of_the_other_subjects():
    table = pd.concat(
        [
            curves([0] * 5),
            curves([0] * 5, "b", 1, (0, 1, 0.5, 0.25, 0)),
            curves([0] * 5, "b", 2, (0, 0.5, 0.5, 0.75, 0)),
        ],
        ignore_index=True,
    )
    np.testing.assert_allclose(position_curve(table)[:5], [0, 0.75, 0.5, 0.5, 0])
    np.testing.assert_allclose(position_curve(table)[5:10], [0, 0.5, 1, 0.5, 0])


@pytest.fixture(scope="module")
def intensity_run(run, tmp_path_factory):
    """The smoke run with continuous intensity added: small, but every rule."""
    config = yaml.safe_load((ROOT / "tests" / "smoke.yaml").read_text())
    config["intensity"] = {
        "seeds": [1], "systems": {"gru": {}, "frame_wise": None}, "clips": {"size": 32, "steps": 8}, "stream": {"lengths": [24]},
        "model": {"width": 2, "hidden": 4}, "training": {"epochs": 2},
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("intensity")
    shutil.copytree(run.parents[1], folder, dirs_exist_ok=True)  # other tests compare `run` with runs of their own
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    done = snakemake(folder, "intensity", configfile=path)
    assert done.returncode == 0, done.stderr
    return folder / "results" / "smoke" / "intensity"


@pytest.mark.slow
def test_rules_compare_all_clips_with_triangle_and_truth(intensity_run, run):
    metrics = store.read_table(intensity_run / "metrics.parquet", "intensity_metrics")
    expressions = store.read_table(run / "dataset/expressions.parquet", "expressions")
    assert set(metrics["system"]) == {"gru", "position", "GIM", "flow"}
    assert set(metrics["reference"]) == {"triangle", "true"}
    everything = metrics[metrics["class"] == "all"]
    assert (everything["clips"] <= len(expressions)).all() and (everything["clips"] > 0).all()
    # the true curve is asymmetric, yet near its own labels' triangle: better than no order at all
    position = everything[(everything["system"] == "position") & (everything["reference"] == "true")]
    assert position["spearman"].item() > 0.5


@pytest.mark.slow
def test_rules_stream_every_recording_and_draw_it(intensity_run, run):
    names = sorted(path.stem for path in (run / "snippets").glob("*.h5"))
    streams = {}
    for path in intensity_run.glob("gru/*/seed1/stream.h5"):
        streams |= store.read(path, "stream")
    assert sorted(streams) == [f"intensity/{name}" for name in names]
    for name in names:
        curve = streams[f"intensity/{name}"]
        assert len(curve) == len(store.read(run / "snippets" / f"{name}.h5", "snippets")["valid"])
        assert np.nanmin(curve) >= 0 and np.nanmax(curve) <= 1
        assert (intensity_run / "streams" / f"{name}.svg").read_text().startswith("<")
    assert "<svg" in (intensity_run / "clips.svg").read_text()


@pytest.mark.slow
def test_rules_measure_whole_recordings(intensity_run, run):
    rows = store.read_table(intensity_run / "recordings.parquet", "intensity_recordings")
    names = {path.stem for path in (run / "snippets").glob("*.h5")}
    assert {system: set(part["video_id"]) for system, part in rows.groupby("system")} == dict.fromkeys(
        ["GIM", "flow", "gru"], names
    )
    summary = store.read_table(intensity_run / "recording_metrics.parquet", "intensity_recording_metrics").set_index(
        ["system", "reference"]
    )
    assert np.isnan(summary.loc[("flow", "true"), "mae"])
    mean = rows[(rows["system"] == "gru") & (rows["reference"] == "true")]["spearman"].mean()
    assert summary.loc[("gru", "true"), "spearman"] == pytest.approx(mean)
