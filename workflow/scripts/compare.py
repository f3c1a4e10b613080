"""Compare the experiments of a run: table, F1 figure, and intensity where expressions follow each other closely."""

import json
from pathlib import Path

from pfes.base.logs import stage
from pfes.drawing.comparison_figures import write_comparison_figure
from pfes.drawing.experiment_data import write_stretch_figure
from pfes.evaluation.comparison import RunTables, write_comparison

with stage(snakemake.log[0]):
    i, o, p = snakemake.input, snakemake.output, snakemake.params
    table = write_comparison(RunTables.read(Path(i.tables[0]).parent), o.table)
    write_comparison_figure(table, o.figure, json.loads(Path(i.summary).read_text()))
    write_stretch_figure(p.scores, i.expressions, i.videos, p.truth, o.consecutive)
