"""Train the model of one fold on the other subjects."""

from pathlib import Path

from pfes.base import store
from pfes.base.config import build
from pfes.base.logs import stage
from pfes.methods.registry import training_parameters
from pfes.network.parameters import ModelParameters
from pfes.training.fold import CachedSource, FoldInputs, train_fold

with stage(snakemake.log[0]):
    i, o, p, w = snakemake.input, snakemake.output, snakemake.params, snakemake.wildcards
    snippets = store.files_of_subjects(i.videos, p.subjects, p.snippets)
    cached = CachedSource(i.cached_model[0], i.cached_features[0]) if i.cached_model else None
    inputs = FoldInputs(
        snippets, i.points, i.videos, p.held_out, p.validation, next(iter(i.expressions), None), cached, i.neutral
    )
    model = build(ModelParameters, p.settings["model"])
    training = training_parameters({**snakemake.config["training"], **p.settings["training"]})
    stages = {name: p.settings[name] for name in ("sampling", "faces", "flow", "snippets")}
    train_fold(inputs, Path(o.model).parent, model, training, int(w.seed), w.experiment, stages)
