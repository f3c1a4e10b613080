"""Bars on the terminal for ``pfes spot``: the stages of one recording, or the recordings of many."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pfes.base.progress import listening


@contextmanager
def bars(console: Console, recordings: int, terminal: bool) -> Iterator[Callable[[str | None], None]]:
    """Show bars inside the block, and give a function to call with the problem (or None) of each recording that has ended.

    Of a single recording its stages are shown, each with what is left of it; of several how many are done, and every
    problem as it comes. ``terminal`` False: nothing of a single recording, which then talks through its log.
    """
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}")
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=recordings == 1 and not terminal
    ) as progress:
        if recordings == 1:
            with listening(_stages(progress)):
                yield lambda problem: None
            return
        bar = progress.add_task("recordings", total=recordings)

        def step(problem: str | None) -> None:
            if problem:
                progress.console.print(f"skipped: {problem}", highlight=False, markup=False, soft_wrap=True)
            progress.advance(bar)

        yield step


def _stages(progress: Progress) -> Callable[[str, int, int], None]:
    tasks: dict[str, TaskID] = {}

    def show(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = progress.add_task(stage, total=total)
        progress.update(tasks[stage], completed=done)

    return show
