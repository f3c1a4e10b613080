"""Experiment files: every one changes exactly what it says, bases and groups are resolved, mistakes are named."""

from pathlib import Path

import pytest
import yaml

from pfes.base.config import (
    build,
    check,
    expanded,
    experiment_changes,
    load_experiment,
    merged,
    read_experiment,
)
from pfes.base.errors import InputError
from pfes.datasets.points import PointParameters
from pfes.methods.registry import spot_parameters, training_parameters

ROOT = Path(__file__).resolve().parents[2]
FOLDER, SCHEMAS = ROOT / "config" / "experiments", ROOT / "workflow" / "schemas"
DEFAULTS = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())

NO_LIMIT = {"min_frames": 1, "max_frames": 100000, "min_score": -1, "max_per_video": 100000}
RELEASE_SPOT = {
    "spot.score": "release", "spot.released": True, "spot.both_classes": True, "spot.class_threshold": 0.5,
    "spot.smooth_frames": 1, "spot.length_first": False,
    "spot.macro.min_frames": 15, "spot.macro.max_frames": 240,
    "spot.micro.min_frames": 9, "spot.micro.max_frames": 15, "spot.micro.max_s": None,
}  # fmt: skip
CONFERENCE = {
    "training.method": "conference", "training.gim.variance_over": "d_l",
    "training.gim.half_widths": None, "training.loss.norm_over": "sum", "training.loss.contrast": 1.4e-4,
    "training.loss.contrast_over": "sum", "training.loss.temperature": 0.5,
    "spot.score": "eq15", "spot.both_classes": False, "spot.class_by": "s", "spot.sigma": None, "spot.micro.max_s": None,
    **{f"spot.{name}.{key}": value for name in ("macro", "micro") for key, value in NO_LIMIT.items()},
}  # fmt: skip
NO_IAC, BCE, HARD = (
    {"training.loss.contrast": 0}, {"training.loss.intensity": "bce"}, {"training.gim.strategy": "hard"},
)  # fmt: skip
ON_CONFERENCE = {
    "labels_hard": HARD, "labels_cosine": {"training.gim.strategy": "cosine"},
    "labels_class_wise": {"training.gim.strategy": "class-wise"},
    "mse": HARD | NO_IAC, "mse_gim": NO_IAC, "bce": BCE | HARD | NO_IAC, "bce_gim": BCE | NO_IAC, "bce_iac": BCE | HARD,
    "bce_gim_iac": BCE,
    **{f"overlap_{rule}": {"training.gim.overlap": rule} for rule in ("higher", "lower")},
    **{f"kc_{frames}": {"training.gim.k_c": [frames, 16]} for frames in (16, 24, 40, 48)},
    "norm_mean": {"training.loss.norm_over": "mean"}, "contrast_mean": {"training.loss.contrast_over": "mean"},
    "class_s_bar": {"spot.class_by": "s_bar"}, "soft_nms": {"spot.sigma": 0.3, "spot.nms_iou": 1.0},
}  # fmt: skip
SUPERVISED = {
    "model.padding": [0, 0, 1, 1], "model.block_dropout": 0.1,
    "training.method": "supervised", "training.epochs": 100, "training.learning_rate": 2e-4,
    "training.weight_decay": 0.1, "training.decay_every": 1, "training.decay": 0.96,
}  # fmt: skip
JOURNAL = {"training.method": "journal"}
# experiment -> every key that it sets, itself or by its base
CHANGES = {
    "clicks_half": {"training.method": "journal", "points.share": 0.5},
    "clicks_quarter": {"training.method": "journal", "points.share": 0.25},
    "journal": JOURNAL,
    "baseline": {"training.method": "baseline"},
    "training_free": {"training.method": "training_free"},
    "conference": CONFERENCE,
    **{f"conference_{name}": CONFERENCE | own for name, own in ON_CONFERENCE.items()},
    "as_released": {"training.method": "as_released", **RELEASE_SPOT},
    "supervised": SUPERVISED,
    "supervised_demo": {**SUPERVISED, "training.learning_rate": 4e-3, "training.weight_decay": 0.0},
    "loss_bce": {**JOURNAL, "training.loss.intensity": "bce"},
    "loss_without_gim": {**JOURNAL, "training.loss.intensity_weight": 0},
    "loss_without_iac": {**JOURNAL, "training.loss.contrast": 0},
    "loss_without_smooth": {**JOURNAL, "training.loss.smooth": 0},
    "loss_without_norm": {**JOURNAL, "training.loss.norm": 0},
    "loss_without_reward": {**JOURNAL, "training.loss.reward": [0, 0]},
    "labels_gim": {**JOURNAL, "training.gim.strategy": "gim"},
    "labels_hard": {**JOURNAL, "training.gim.strategy": "hard"},
    "labels_cosine": {**JOURNAL, "training.gim.strategy": "cosine"},
    "labels_class_wise": {**JOURNAL, "training.gim.strategy": "class-wise"},
    "labels_noisy": {**JOURNAL, "training.gim.label_pass": "as_released"},
    **{f"overlap_{rule}": {**JOURNAL, "training.gim.overlap": rule} for rule in ("higher", "lower", "later")},
    "overlap_random": {**JOURNAL, "training.gim.overlap": "random-frame"},
    "overlap_random_instance": {**JOURNAL, "training.gim.overlap": "random-instance"},
    **{f"kc_{frames}": {**JOURNAL, "training.gim.k_c": [frames, 16]} for frames in (16, 24, 32, 40, 48)},
    "points_gaussian": {**JOURNAL, "points.mode": "gaussian", "points.spread": 0.18},
    **{f"points_{mode}": {**JOURNAL, "points.mode": mode} for mode in ("apex", "uniform", "middle")},
    **{
        f"noise_{share:02d}": {**JOURNAL, "points.mode": "gaussian", "points.spread": share / 100}
        for share in (5, 10, 30, 50)
    },
}
LOCALISED = {
    "spot.sigma": None, "spot.nms_iou": 0.5, "spot.length_first": False, "spot.limits": "points", "spot.micro.max_s": None,
    **{f"spot.{name}.{key}": value for name in ("macro", "micro") for key, value in (NO_LIMIT | {"min_frames": 5, "min_score": 0}).items()},
}  # fmt: skip


def localised(method, epochs, rate=1e-4, decay=5e-4, videos=16, cached=None):
    """What an experiment of point-supervised action localisation sets."""
    rates = {"learning_rate": rate, "weight_decay": decay, "batch_videos": videos}
    frozen = {"training.cached": cached, "training.mirror": 0.0} if cached else {}
    return {
        **LOCALISED, "training.method": method, "training.epochs": epochs, **frozen,
        **{f"training.ptal.{key}": value for key, value in rates.items()},
    }  # fmt: skip


SOFT = {"spot.sigma": 0.3, "training.epoch_choice": "last", "training.early_stop": None}
CHANGES |= {
    "lac": localised("lac", 160),
    "hrpro_stage1": localised("hrpro_stage1", 80),
    "sfnet": localised("sfnet", 160),
    "lac_cached": localised("lac", 160, cached="conference"),
    "hrpro_stage1_cached": localised("hrpro_stage1", 80, cached="conference"),
    **{f"hrpro{end}": localised("hrpro", 20, 5e-5, 5e-4, 10, f"hrpro_stage1{end}") | SOFT for end in ("", "_cached")},
    **{
        f"tsp{end}": localised("tsp", 100, 5e-5, 1e-3, 10, f"lac{end}") | SOFT | {"model.head_dropout": 0.5}
        for end in ("", "_cached")
    },
}
BOX = {
    "model.width": 32, "model.heads": 2, "model.head_dropout": 0.2, "training.method": "journal", "training.start": "box",
    "spot.length_first": True, "spot.smooth_frames": 7, "spot.both_classes": False, "spot.class_threshold": 0.2,
    "spot.bridge_s": 4.5, "spot.macro.min_frames": 15, "spot.macro.max_frames": 240, "spot.macro.min_score": 0.4,
    "spot.macro.max_per_video": 1000, "spot.micro.min_frames": 8, "spot.micro.max_frames": 15, "spot.micro.min_score": 0.4,
    "spot.micro.max_per_video": 1000, "spot.micro.max_s": 0.5,
}  # fmt: skip
HEADS = {
    "training.start_layers": "heads", "training.epochs": 12, "training.learning_rate": 4e-3, "training.weight_decay": 0.0,
    "training.decay_every": 4, "training.mirror": 0.5, "training.gim.hard_epochs": 0, "training.gim.gaussian_epochs": 0,
    "training.gim.theta_epochs": 6, "training.gim.half_widths": [[8, 18], [4, 8]], "training.loss.smooth": 1.0,
    "training.loss.norm": 0.6,
}  # fmt: skip
ALL_LAYERS = {"training.start_layers": "all", "training.epochs": 8, "training.learning_rate": 3e-4}
CHANGES |= {
    "box": BOX | {"training.epochs": 0},
    "box_heads": BOX | HEADS,
    "box_tuned": BOX | HEADS | ALL_LAYERS,
}
SAME_AS_DEFAULT = {"journal", "labels_gim", "overlap_random", "kc_32", "points_gaussian"}
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def flat(settings, prefix=""):
    found = {}
    for key, value in settings.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def write(folder, **files):
    for name, content in files.items():
        (folder / f"{name}.yaml").write_text(content)
    return folder


# ------------------------------------------------------------------------------------------------ the shipped files


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("cached")])
def test_an_experiment_changes_exactly_what_is_listed(name):
    assert flat(experiment_changes(FOLDER, name, SCHEMAS)) == CHANGES[name]


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_is_a_whole_valid_configuration(name):
    """The schema allows it and the dataclasses that the stages are given accept it."""
    config = load_experiment(FOLDER, name, SCHEMAS, DEFAULTS)
    training_parameters(config["training"])
    spot_parameters(config["spot"])
    build(PointParameters, config["points"])
    assert len(read_experiment(FOLDER, name, SCHEMAS)["description"]) > 10


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("cached")])
def test_no_two_experiments_are_the_same_but_those_that_name_a_default(name):
    config = load_experiment(FOLDER, name, SCHEMAS, DEFAULTS)
    assert (config == load_experiment(FOLDER, "journal", SCHEMAS, DEFAULTS)) == (name in SAME_AS_DEFAULT)


def test_the_groups_are_the_tables_of_the_papers():
    def members(group):
        return set(expanded({"experiments": group}, FOLDER)["experiments"]) - {"cached"}

    labels = {"journal", "labels_hard", "labels_cosine", "labels_class_wise", "labels_noisy"}
    overlap = {"journal", "overlap_higher", "overlap_lower", "overlap_later", "overlap_random_instance"}
    kc = {"journal", "kc_16", "kc_24", "kc_40", "kc_48"}
    loss = {"journal", "loss_bce", *(f"loss_without_{term}" for term in ("gim", "iac", "smooth", "norm", "reward"))}
    assert members("main") == {"conference", "journal", "as_released", "supervised"}
    assert (members("labels"), members("overlap"), members("kc"), members("loss")) == (labels, overlap, kc, loss)
    assert members("points") == {"journal", "points_apex", "points_uniform", "points_middle"}
    assert members("noise") == {"journal", "points_apex", "noise_05", "noise_10", "noise_30", "noise_50"}
    methods = {"lac", "hrpro_stage1", "hrpro", "tsp"}
    assert members("table1") == methods | {"conference", "journal", "as_released", "supervised"}
    assert members("table1_cached") == {f"{name}_cached" for name in methods} | {"conference"}
    assert members("ablation") == labels | overlap | kc | loss


def test_constants_of_a_dataset_reach_every_experiment_of_a_method_and_leave_ablations_their_point():
    """experiments=main on SAMM-LV runs conference with 2e-5; CAS(ME)^3 trains the supervised system for 90 epochs."""
    samm, casme2, casme3 = (
        merged(DEFAULTS, yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()))
        for name in ("samm_lv", "casme2", "casme3")
    )

    def training(name, config):
        return load_experiment(FOLDER, name, SCHEMAS, config)["training"]

    for name in expanded({"experiments": ["table1", "table2", "table4", "table5"]}, FOLDER)["experiments"]:
        if name.startswith("conference"):
            assert training(name, samm)["loss"]["contrast"] == 2e-5, name
            assert training(name, samm)["loss"]["norm"] == 0.3, name
            assert training(name, casme2)["loss"]["contrast"] == 1.4e-4, name
            assert training(name, casme2)["loss"]["norm"] == 2.5, name
    assert training("conference_mse_gim", samm)["loss"]["contrast"] == 0
    assert training("journal", samm)["loss"]["contrast"] == training("as_released", samm)["loss"]["contrast"] == 2e-6
    assert training("supervised", samm)["supervised"]["macro_weight"] == 0.55
    assert training("supervised", casme2)["supervised"]["macro_weight"] == 0.5
    assert (training("supervised", casme3)["epochs"], training("journal", casme3)["epochs"]) == (90, 100)
    limits = [load_experiment(FOLDER, "as_released", SCHEMAS, config)["spot"] for config in (samm, casme2, casme3)]
    assert [own["macro"]["min_score"] for own in limits] == [0.4, 0.5, 0.3]
    assert [own["micro"]["max_per_video"] for own in limits] == [8, 2, 2]


def test_constants_of_the_method_of_the_run_reach_an_experiment_that_names_none(tmp_path):
    write(tmp_path, own="training: {mirror: 0.5}")
    config = merged(DEFAULTS, {"constants": {"journal": {"training": {"epochs": 7}}}})
    assert load_experiment(tmp_path, "own", SCHEMAS, config)["training"]["epochs"] == 7


def test_constants_of_an_unknown_method_or_section_are_named():
    with pytest.raises(InputError, match=r"unknown key 'constants.journl'; did you mean 'journal'"):
        check(merged(DEFAULTS, {"constants": {"journl": {}}}), SCHEMAS / "config.schema.yaml", "config")
    with pytest.raises(InputError, match=r"unknown key 'constants.journal.flow'"):
        check(merged(DEFAULTS, {"constants": {"journal": {"flow": {}}}}), SCHEMAS / "config.schema.yaml", "config")


def test_no_group_has_the_name_of_an_experiment():
    groups = {group for name in NAMES for group in read_experiment(FOLDER, name, SCHEMAS).get("groups", [])}
    assert groups
    assert not groups & set(NAMES)


# ------------------------------------------------------------------------------------------------ names, as they are given


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("one", ["one"]),
        ("both", ["one", "two"]),
        (["three", "both", "one"], ["three", "one", "two"]),
        ("three,both", ["three", "one", "two"]),
        ("[three, one]", ["three", "one"]),
        ("nothing", ["nothing"]),
        ([], []),
    ],
)
def test_experiments_may_be_named_in_every_way_that_the_command_line_passes(tmp_path, given, expected):
    write(tmp_path, one="groups: [both]", two="groups: [both]", three="")
    assert expanded({"experiments": given}, tmp_path)["experiments"] == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [(3, [3]), ("0,1", [0, 1]), (["0", "1"], [0, 1]), ([0, 2], [0, 2]), ("[4, 5]", [4, 5]), (["a"], ["a"])],
)
def test_seeds_may_be_given_as_the_command_line_passes_them(tmp_path, given, expected):
    assert expanded({"seeds": given}, tmp_path) == {"seeds": expected}


def test_an_unknown_name_says_which_experiments_and_groups_there_are(tmp_path):
    write(tmp_path, one="groups: [both]", two="groups: [both]")
    with pytest.raises(
        InputError, match=r"nothing.yaml does not exist; expected one of one, two, or of the groups both"
    ):
        load_experiment(tmp_path, "nothing", SCHEMAS, DEFAULTS)


# ------------------------------------------------------------------------------------------------ bases


def test_an_experiment_stands_on_its_base(tmp_path):
    write(
        tmp_path,
        root="model: {width: 64, heads: 8}",
        middle="base: root\nmodel: {width: 32}\npoints: {mode: apex}",
        leaf="base: middle\nmodel: {dropout: 0.3}",
    )
    changes = experiment_changes(tmp_path, "leaf", SCHEMAS)
    assert changes == {"model": {"width": 32, "heads": 8, "dropout": 0.3}, "points": {"mode": "apex"}}


def test_a_base_that_leads_back_or_is_not_there_is_named(tmp_path):
    write(tmp_path, a="base: b", b="base: a", c="base: gone")
    with pytest.raises(InputError, match=r"a.yaml: its base leads back to itself: a -> b -> a"):
        experiment_changes(tmp_path, "a", SCHEMAS)
    with pytest.raises(InputError, match=r"gone.yaml does not exist"):
        experiment_changes(tmp_path, "c", SCHEMAS)


def test_a_mistake_in_a_base_names_the_file_of_the_base(tmp_path):
    write(tmp_path, a="base: b", b="modle: {width: 2}")
    with pytest.raises(InputError, match=r"b.yaml: unknown key 'modle'; did you mean 'model'\?"):
        load_experiment(tmp_path, "a", SCHEMAS, DEFAULTS)
