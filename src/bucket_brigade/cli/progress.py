"""The progress display on a terminal: two lines that stay in place below the log."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bucket_brigade.model.events import Event, Progress
from bucket_brigade.model.job import Job, Operation
from bucket_brigade.settings.units import format_duration, format_size

_WITHOUT_BYTES = (Operation.DELETE, Operation.COPY, Operation.SET, Operation.UNARCHIVE)


class ProgressDisplay:
    """Shows objects, bytes, rate, time left, failures and retries of one job while it runs; gone when it ends."""

    def __init__(self, job: Job, console: Console) -> None:
        self._job = job
        self._live = Live(
            Text(f"{job.operation}: starting", style="dim"),
            console=console,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=True,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Show a Progress event; the display draws itself a few times a second, whatever the number of events."""
        if isinstance(event, Progress):
            self._live.update(render(self._job, event))

    def say(self, message: str) -> None:
        """Put one line above the display."""
        self._live.console.print(Text(message))


def render(job: Job, progress: Progress) -> Group:
    """Return the display's two lines for one moment of a job."""
    return Group(_bar(job, progress), _counts(job, progress))


def completed_fraction(job: Job, progress: Progress) -> float | None:
    """Return how much of the job is over, 0 to 1, or None while planning has not found out how much there is."""
    counters = progress.counters
    if not progress.planning_done or not counters.planned:
        return None
    if counters.settled >= counters.planned:
        return 1.0
    if job.operation in _WITHOUT_BYTES or not counters.planned_bytes:
        return counters.settled / counters.planned
    return min(1.0, counters.done_bytes / counters.planned_bytes)


def _bar(job: Job, progress: Progress) -> Table:
    fraction = completed_fraction(job, progress)
    if fraction is None:
        percent, left = "", "planning"
    else:
        percent = f"{int(fraction * 100)}%"
        left = "" if progress.eta_s is None else f"{format_duration(progress.eta_s)} left"
    line = Table.grid(padding=(0, 1), expand=False)
    line.add_row(
        Text(job.operation, style="bold"),
        ProgressBar(total=1.0, completed=fraction or 0.0, width=40, pulse=fraction is None),
        Text(percent, style="cyan"),
        Text(left, style="dim"),
        Text(f"{format_duration(progress.elapsed_s)} so far", style="dim"),
    )
    return line


def _counts(job: Job, progress: Progress) -> Text:
    counters = progress.counters
    more = "" if progress.planning_done else "+"
    pieces = [f"{counters.settled:,}/{counters.planned:,}{more} objects"]
    if job.operation not in _WITHOUT_BYTES:
        pieces.append(f"{format_size(counters.done_bytes)} of {format_size(counters.planned_bytes)}{more}")
        pieces.append(f"{format_size(int(progress.bytes_per_s))}/s")
    pieces.append(f"{progress.objects_per_s:,.0f} objects/s")
    text = Text(" · ".join(pieces))
    for count, noun, style in (
        (counters.failed, "failed", "bold red"),
        (counters.vanished, "vanished", "yellow"),
        (counters.skipped, "skipped", "dim"),
        (counters.retries, "retries", "yellow"),
    ):
        if count or noun in ("failed", "retries"):
            text.append(" · ").append(f"{count:,} {noun}", style=style if count else "dim")
    return text
