"""Exponents of known growth, from the files that Snakemake writes."""

import pandas as pd
import pytest

from pfes.bench.growth import by_rule, growth_table
from pfes.workflow.estimate import processor_seconds

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def write(path, seconds, memory):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}10\t0:00:10\t{memory}\t0\t0\t0\t0\t0\t0\t{seconds}\n")


def measured(folder, size):
    write(folder / "faces/a.tsv", size, 100)
    write(folder / "faces/b.tsv", 2 * size, 300)
    write(folder / "train/journal/s01/seed0.tsv", size**2, 10 * size)
    write(folder / "report.tsv", 5, 50)
    return by_rule(folder)


def test_linear_quadratic_and_constant(tmp_path):
    table = growth_table({size: measured(tmp_path / str(size), size) for size in (10, 20, 40)})
    assert table.index.tolist() == ["train", "faces", "report"]
    assert table["s 10"].tolist() == [100, 30, 5]  # the jobs of a rule together
    assert table["MB 40"].tolist() == [400, 300, 50]  # the largest of them
    assert table["s ~"].tolist() == pytest.approx([2, 1, 0])
    assert table["MB ~"].tolist() == pytest.approx([1, 0, 0])


def test_a_job_that_was_too_short_to_be_measured_counts_its_wall_time(tmp_path):
    (tmp_path / "points.tsv").write_text(f"{HEADER}0.1\t0:00:00\t-\t-\t-\t-\t-\t-\t0.00\t0\n")
    assert by_rule(tmp_path)["s"].tolist() == [0.1]


@pytest.mark.parametrize(("wall", "seen"), [(10, 10), (15, 15), (45, 15.5), (46, 45.5), (100, 75.5)])
def test_processor_time_of_a_job_that_computes_all_the_time_is_its_wall_time(wall, seen):
    """Snakemake writes what it saw last, up to 30 s before the end of the job."""
    jobs = pd.DataFrame({"s": [float(wall)], "cpu_time": [float(seen)]})
    assert processor_seconds(jobs).tolist() == pytest.approx([wall])
