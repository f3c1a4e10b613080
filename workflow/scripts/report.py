"""Write the page of a run, the timelines of its videos, and its figures and tables for a paper."""

from pathlib import Path

from pfes.base.logs import stage
from pfes.report.files import run_files
from pfes.report.page import draw_timelines, write_report
from pfes.report.paper import write_paper
from pfes.report.parameters import ReportParameters

with stage(snakemake.log[0]):
    o, p = snakemake.output, snakemake.params
    files = run_files(p.files, p.benchmarks, p.stages)
    params = ReportParameters(**p.settings["report"])
    draw_timelines(files, o.timelines, limit=params.max_timelines)
    write_paper(files, Path(o.figures).parent)
    write_report(
        files, o.page, run=p.run, demo=p.is_demo, settings=p.settings, descriptions=p.descriptions, params=params
    )
