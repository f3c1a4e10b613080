"""Write the page of a run, the timelines of its videos, and its figures and tables for a paper."""

from pathlib import Path

from pfes.base.logs import stage
from pfes.report.files import IntensityFiles
from pfes.report.page import ReportParameters, RunFiles, draw_timelines, write_report
from pfes.report.paper import write_paper

with stage(snakemake.log[0]):
    p = snakemake.params
    benchmarks = {name: sorted(Path(p.benchmarks, name).rglob("*.tsv")) for name in p.stages}
    intensity = p.files["intensity"] and IntensityFiles(**p.files["intensity"])
    files = RunFiles(**{**p.files, "intensity": intensity}, benchmarks=benchmarks)
    params = ReportParameters(**p.report)
    draw_timelines(files, snakemake.output.timelines, limit=params.max_timelines)
    write_paper(files, Path(snakemake.output.figures).parent)
    write_report(files, snakemake.output.page, run=p.run, demo=p.is_demo, settings=p.settings, params=params)
