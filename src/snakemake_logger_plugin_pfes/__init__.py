"""What a run shows in a terminal, ``snakemake --logger pfes``: bars of stages, the jobs that run, and the time that is left.

Bars, failures and all other lines are those of snakemake-logger-plugin-rich. Below the bars stands what runs now: recording or
experiment, fold and seed, of a training also its epoch, from the end of its log. Snakemake finds the plugin by the name of this
package.
"""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from logging import LogRecord
from pathlib import Path

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_logger_plugin_rich import events
from snakemake_logger_plugin_rich.handler import RichLogHandler

from pfes.base.text import duration

MOST_JOBS = 8  # that are named
TAIL = 400  # bytes of a log in which the last epoch stands
EPOCH = re.compile(r"epoch (\d+) of (\d+)")
MARKED = "Touching output file "  # how Snakemake begins a line for each empty file that it made


@dataclass(frozen=True)
class Job:
    """A job that runs: its rule, what tells it from the others of the rule, its log, and when it began, s."""

    rule: str
    name: str
    log: Path | None
    began: float


@dataclass
class Run:
    """What runs, what has come to an end, and how long the rest will take; ``clock`` gives seconds."""

    clock: Callable[[], float] = time.monotonic
    left: Counter[str] = field(default_factory=Counter)  # jobs of each rule, those that run among them
    running: dict[int, Job] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # of ended jobs by rule
    began: float | None = None

    def planned(self, jobs: Mapping[str, int]) -> None:
        """Take the numbers of jobs of each rule that are to run."""
        self.left = Counter({rule: count for rule, count in jobs.items() if rule != "total"})
        self.began = self.clock()

    def started(self, number: int, rule: str, names: Iterable[str], log: Iterable[str]) -> None:
        """Take a job that starts."""
        self.running[number] = Job(rule, " ".join(names), next(iter(map(Path, log)), None), self.clock())

    def ended(self, number: int, *, well: bool) -> None:
        """Take the end of a job; one that failed may come again, and tells nothing of how long its rule takes."""
        job = self.running.pop(number, None)
        if job is not None and well:
            self.left[job.rule] -= 1
            self.seconds[job.rule].append(self.clock() - job.began)

    def time_left(self) -> str:
        """Return the time left in words, from the mean time of the jobs of each rule; "" before any job has ended.

        Jobs are taken to run as many at a time as they have so far. Where several jobs are left of a rule of which none has ended
        yet, it says "at least".
        """
        if self.began is None or not any(self.seconds.values()) or not self.left.total():
            return ""
        mean = {rule: sum(taken) / len(taken) for rule, taken in self.seconds.items() if taken}
        now = self.clock()
        ahead = sum(count * mean.get(rule, 0.0) for rule, count in self.left.items())
        under_way = [min(now - job.began, mean.get(job.rule, 0.0)) for job in self.running.values()]
        worked = sum(map(sum, self.seconds.values())) + sum(now - job.began for job in self.running.values())
        at_a_time = max(1.0, worked / max(now - self.began, 1e-9))
        known = all(rule in mean for rule, count in self.left.items() if count > 1)
        return f"{'some' if known else 'at least'} {duration((ahead - sum(under_way)) / at_a_time)} left"

    def lines(self) -> list[str]:
        """Return a line for each job that runs, MOST_JOBS at most, and one for the time left."""
        shown = sorted(self.running.values(), key=lambda job: job.began)
        found = [
            ", ".join(
                filter(None, (f"{job.rule} {job.name}".strip(), epoch(job.log), duration(self.clock() - job.began)))
            )
            for job in shown[:MOST_JOBS]
        ]
        more = [f"and {len(shown) - MOST_JOBS} more"] if len(shown) > MOST_JOBS else []
        return [*found, *more, *filter(None, [self.time_left()])]

    def __rich__(self) -> RenderableType:
        """Return what is drawn below the bars."""
        return Text("\n".join(self.lines()), style="dim", no_wrap=True, overflow="ellipsis")


def epoch(log: Path | None) -> str:
    """Return "epoch k of n", the last that the log of a training tells; "" where there is none."""
    if log is None or not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        found = EPOCH.findall(file.read().decode(errors="replace"))
    return f"epoch {found[-1][0]} of {found[-1][1]}" if found else ""


class LogHandler(LogHandlerBase, RichLogHandler):
    """The plugin, as Snakemake wants it."""

    def __post_init__(self) -> None:
        RichLogHandler.__init__(self, settings=self.common_settings)
        self.run = Run()
        shown = Group(self.progress, self.run)
        self.live_display.update(Panel(shown, title="pfes", border_style="dim", padding=(0, 1)))

    def emit(self, record: LogRecord) -> None:
        """Take a record of Snakemake's log."""
        event = getattr(record, "event", None)
        if event == LogEvent.RUN_INFO:
            self.run.planned(events.RunInfo.from_record(record).per_rule_job_counts)
        elif event == LogEvent.JOB_INFO:
            job = events.JobInfo.from_record(record)
            self.run.started(
                job.jobid, job.rule_name, map(str, dict(job.wildcards or {}).values()), map(str, job.log or [])
            )
        elif event == LogEvent.JOB_FINISHED:
            self.run.ended(events.JobFinished.from_record(record).job_id, well=True)
        elif event == LogEvent.JOB_ERROR:
            number = events.JobError.from_record(record).jobid
            self.run.ended(number, well=False)
            self._drop_missing_logs(number)
        if not record.getMessage().startswith(MARKED):
            RichLogHandler.emit(self, record)

    def _drop_missing_logs(self, number: int) -> None:
        """Forget the logs that a job failed too early to write: the handler prints all that it knows of."""
        info = self.event_handler.jobs_info.get(number, {"log": []})
        info["log"] = [log for log in info["log"] if Path(log).is_file()]

    @property
    def writes_to_stream(self) -> bool:
        """It writes to the terminal."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Snakemake writes its own log to a file."""
        return False

    @property
    def has_filter(self) -> bool:
        """It chooses what to show."""
        return True

    @property
    def has_formatter(self) -> bool:
        """It makes its own lines."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """The order of rules is of no use to it."""
        return False
