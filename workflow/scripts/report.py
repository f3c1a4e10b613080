"""Draw the timelines and write the page of a run."""

from pathlib import Path

from pfes.logs import stage
from pfes.report import RunFiles, draw_timelines, write_report

with stage(snakemake.log[0]):
    p = snakemake.params
    benchmarks = {name: sorted(Path(p.benchmarks, name).rglob("*.tsv")) for name in p.stages}
    files = RunFiles(**p.files, benchmarks=benchmarks)
    draw_timelines(files, snakemake.output.timelines)
    write_report(files, snakemake.output.page, run=p.run, demo=p.is_demo, settings=p.settings)
