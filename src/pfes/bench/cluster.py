"""A run on a cluster, simulated: how long it takes with how many nodes, where jobs fail now and then.

Conventions
-----------
A job runs on one node alone, from the moment that all it needs is done and a node is free, after a wait in the queue. Its seconds
are those that ``pfes.workflow.resources`` takes from the benchmarks, on one core, or what is given for a training step on a GPU.
An attempt fails with a given probability, at a random moment; it is submitted again twice. A training goes on after its last whole
epoch. What fails three times is lost, with all that needs it.

Differences from a real cluster
-------------------------------
Nodes are equal and nobody else's; the wait in the queue is exponential with a given mean, whatever the load.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pfes.base.errors import InputError
from pfes.workflow.resources import FEATURE_SECONDS, FRAME_SECONDS, TABLE_SECONDS, TRAIN_SECONDS

ATTEMPTS = 3
STAGES = ("faces", "flow", "snippets", "displacement")


@dataclass(frozen=True)
class Job:
    """One job: seconds of work, the numbers of the jobs that it needs, and the seconds of one of its epochs, 0 for none."""

    seconds: float
    needs: tuple[int, ...] = ()
    epoch: float = 0.0


@dataclass(frozen=True)
class Load:
    """What a run has to do; the defaults are the journal form on CAS(ME)^2, leave one subject out.

    ``step_s`` : of a training, per frame; None is that of one core.
    """

    recordings: int = 97
    frames: int = 2596
    folds: int = 22
    experiments: int = 1
    seeds: int = 1
    width: int = 256
    epochs: int = 100
    step_s: float | None = None

    def jobs(self) -> list[Job]:
        """Return the jobs: of recordings, trainings, what models say of their subjects, and the results."""
        total = self.recordings * self.frames
        found = [Job(self.frames * sum(FRAME_SECONDS[stage] for stage in STAGES)) for _ in range(self.recordings)]
        step = TRAIN_SECONDS * self.width**2 if self.step_s is None else self.step_s
        epoch = total * step * (self.folds - 1) / self.folds
        tested = total / self.folds * FEATURE_SECONDS * self.width**2
        last = []
        for fold in range(self.folds):
            own = tuple(i for i in range(self.recordings) if i % self.folds != fold)
            for _ in range(self.experiments * self.seeds):
                found.append(Job(epoch * self.epochs, own, epoch))
                found.append(Job(tested, (len(found) - 1, *range(fold, self.recordings, self.folds))))
                last.append(len(found) - 1)
        return [*found, Job(total * TABLE_SECONDS, tuple(last))]


@dataclass(frozen=True)
class Outcome:
    """How a simulated run went: wall time, s, share of it that nodes worked, attempts that failed, jobs lost."""

    seconds: float
    busy: float
    failed: int
    lost: int


def simulate(jobs: Sequence[Job], nodes: int, failing: float, wait_s: float, seed: int) -> Outcome:
    """Run ``jobs``, whose needs come before them in the list, on ``nodes`` nodes.

    Parameters
    ----------
    failing : probability that an attempt fails, 0 to below 1.
    wait_s : mean wait in the queue before each attempt, s.

    Raises
    ------
    InputError
        No node, or a probability or wait out of range.
    """
    if nodes < 1 or not 0 <= failing < 1 or wait_s < 0:
        raise InputError(
            f"bench cluster: nodes {nodes}, failing {failing}, wait {wait_s} s; expected 1 up, 0 to 1, 0 up"
        )
    rng = np.random.default_rng(seed)
    needed_by: list[list[int]] = [[] for _ in jobs]
    for index, job in enumerate(jobs):
        for need in job.needs:
            needed_by[need].append(index)
    missing, left, tries = [len(job.needs) for job in jobs], [job.seconds for job in jobs], [0] * len(jobs)
    queue: list[tuple[float, int]] = []  # (from when, job)
    running: list[tuple[float, int, bool, float]] = []  # (until when, job, whether it ends well, how long it took)
    now, worked, failed, done = 0.0, 0.0, 0, 0

    def submit(index: int) -> None:
        heapq.heappush(queue, (now + float(rng.exponential(wait_s)) if wait_s else now, index))

    for index, count in enumerate(missing):
        if not count:
            submit(index)
    while queue or running:
        while queue and len(running) < nodes and queue[0][0] <= now:
            _, index = heapq.heappop(queue)
            tries[index] += 1
            well = bool(rng.random() >= failing)
            lasts = left[index] * (1.0 if well else float(rng.random()))
            worked += lasts
            heapq.heappush(running, (now + lasts, index, well, lasts))
        ends = [running[0][0]] if running else []
        starts = [max(queue[0][0], now)] if queue and len(running) < nodes else []
        now = min(ends + starts)
        while running and running[0][0] <= now:
            _, index, well, lasts = heapq.heappop(running)
            if well:
                done += 1
                for other in needed_by[index]:
                    missing[other] -= 1
                    if not missing[other]:
                        submit(other)
                continue
            failed += 1
            if jobs[index].epoch:
                left[index] -= jobs[index].epoch * (lasts // jobs[index].epoch)  # whole epochs are kept
            if tries[index] < ATTEMPTS:
                submit(index)
    return Outcome(now, worked / (now * nodes) if now else 1.0, failed, len(jobs) - done)


def bench_cluster(
    load: Load, nodes: Sequence[int], *, failing: float = 0.03, wait_s: float = 300, repeats: int = 20
) -> pd.DataFrame:
    """Return one row per number of nodes: wall time, hours (median, and the 5th and 95th of 100), and what failed."""
    jobs, rows = load.jobs(), []
    for count in nodes:
        runs = [simulate(jobs, count, failing, wait_s, seed) for seed in range(repeats)]
        low, middle, high = np.quantile([run.seconds / 3600 for run in runs], (0.05, 0.5, 0.95))
        rows.append(
            {
                "nodes": count, "hours": middle, "from": low, "to": high, "busy": np.mean([run.busy for run in runs]),
                "jobs": len(jobs), "failed": np.mean([run.failed for run in runs]), "lost": np.mean([run.lost for run in runs]),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
