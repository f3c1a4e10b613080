"""The simulation of a cluster against cases that can be worked out by hand."""

import pytest

from pfes.base.errors import InputError
from pfes.bench.cluster import ATTEMPTS, Job, Load, bench_cluster, simulate

DIAMOND = [Job(10), Job(20), Job(30, (0,)), Job(5, (1, 2))]


def test_one_node_takes_the_sum_and_many_the_longest_path():
    assert simulate(DIAMOND, 1, 0, 0, 0) == simulate(DIAMOND, 1, 0, 0, 1)
    assert simulate(DIAMOND, 1, 0, 0, 0).seconds == 65 and simulate(DIAMOND, 1, 0, 0, 0).busy == 1
    assert simulate(DIAMOND, 9, 0, 0, 0).seconds == 45  # 10, 30, 5
    assert simulate(DIAMOND, 2, 0, 0, 0).seconds == 45
    assert simulate([Job(1)] * 10, 3, 0, 0, 0).seconds == 4
    assert simulate([], 1, 0, 0, 0).seconds == 0


def test_what_fails_is_tried_again_and_what_fails_thrice_is_lost_with_all_that_needs_it():
    runs = [simulate(DIAMOND, 2, 0.5, 0, seed) for seed in range(200)]
    assert {run.lost for run in runs} == {0, 1, 2, 3, 4}
    alone = [simulate([Job(1)], 1, 0.5, 0, seed) for seed in range(400)]
    assert sum(run.lost for run in alone) / 400 == pytest.approx(0.5**ATTEMPTS, abs=0.05)
    assert {run.failed for run in alone} == set(range(ATTEMPTS + 1))


def test_a_training_loses_at_most_the_epoch_that_was_going_on():
    whole, parts = ([simulate([job], 1, 0.4, 0, seed) for seed in range(300)] for job in (Job(100), Job(100, (), 10)))
    ended = [run.seconds for run in parts if not run.lost]
    assert max(ended) <= 100 + 10 * (ATTEMPTS - 1)
    assert max(run.seconds for run in whole) > 150


def test_the_queue_is_waited_for_before_every_attempt():
    waits = [simulate([Job(1)], 1, 0, 50, seed).seconds - 1 for seed in range(400)]
    assert sum(waits) / len(waits) == pytest.approx(50, rel=0.15)


def test_a_run_has_a_job_per_recording_two_per_training_and_one_for_the_results():
    load = Load(recordings=6, frames=100, folds=3, experiments=2, seeds=2)
    jobs = load.jobs()
    assert len(jobs) == 6 + 2 * 3 * 4 + 1
    assert [len(job.needs) for job in jobs[6:8]] == [4, 3] and len(jobs[-1].needs) == 12
    table = bench_cluster(load, [1, 1000], failing=0, wait_s=0, repeats=2)
    assert table["hours"][0] * 3600 == pytest.approx(sum(job.seconds for job in jobs))
    assert (table["lost"] == 0).all() and table["hours"][1] < table["hours"][0]


def test_a_cluster_that_cannot_be_is_said():
    for nodes, failing, wait in ((0, 0, 0), (1, 1, 0), (1, 0, -1)):
        with pytest.raises(InputError, match="bench cluster: nodes"):
            simulate(DIAMOND, nodes, failing, wait, 0)
