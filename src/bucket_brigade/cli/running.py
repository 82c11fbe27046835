"""One job on the command line: sinks, signals, summary, and the command that resumes it as the last line."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator

from bucket_brigade.cli.exits import INTERRUPTED
from bucket_brigade.cli.invocation import Output
from bucket_brigade.cli.output import write_json
from bucket_brigade.errors import BrigadeError, ConfigError
from bucket_brigade.jobs.brigade import Brigade, JobRun, Report
from bucket_brigade.jobs.request import JobRequest
from bucket_brigade.model.job import JobState

_RESUMABLE = (JobState.PLANNED, JobState.RUNNING, JobState.INTERRUPTED)


class Interrupts:
    """SIGINT and SIGTERM while a job runs: the first one stops it gently, the second one at once.

    Before there is a run they cancel the task that prepares it.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._run: JobRun | None = None
        self._task = asyncio.current_task()
        self.count = 0

    @contextlib.contextmanager
    def installed(self) -> Iterator[Interrupts]:
        """Take the signals over; as PID 1 of a container, SIGTERM would do nothing otherwise."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            with contextlib.suppress(NotImplementedError):  # not on Windows
                loop.add_signal_handler(number, self.interrupt)
        try:
            yield self
        finally:
            for number in signals:
                with contextlib.suppress(NotImplementedError):
                    loop.remove_signal_handler(number)

    def watch(self, run: JobRun) -> None:
        """From now on, signals are for this run."""
        self._run = run
        if self.count:
            run.stop(now=self.count > 1)

    def interrupt(self) -> None:
        """Do what one signal asks for."""
        self.count += 1
        if self._run is None:
            if self._task is not None:
                self._task.cancel()
            return
        if self.count == 1:
            self._say("stopping: transfers in flight are finished first; once more stops at once")
        self._run.stop(now=self.count > 1)


async def run_request(
    brigade: Brigade, request: JobRequest, output: Output, resume_command: Callable[[str], str]
) -> int:
    """Submit a job and run it to its end; return the exit code."""
    with Interrupts(_say_on_stderr).installed() as interrupts:
        try:
            job = await brigade.submit(request)
        except asyncio.CancelledError:
            return _interrupted_before_start(interrupts)
        return await _run(brigade, job.id, output, resume_command, interrupts, retry_failed=False)


async def run_submitted(
    brigade: Brigade, job_id: str, output: Output, resume_command: Callable[[str], str], *, retry_failed: bool = False
) -> int:
    """Run or resume a submitted job to its end; return the exit code."""
    with Interrupts(_say_on_stderr).installed() as interrupts:
        return await _run(brigade, job_id, output, resume_command, interrupts, retry_failed=retry_failed)


async def _run(
    brigade: Brigade,
    job_id: str,
    output: Output,
    resume_command: Callable[[str], str],
    interrupts: Interrupts,
    *,
    retry_failed: bool,
) -> int:
    _log_notes_as(output)
    try:
        run = await brigade.start(job_id, retry_failed=retry_failed)
    except asyncio.CancelledError:
        code = _interrupted_before_start(interrupts)
        if command := resume_command(job_id):
            _say_on_stderr(command)
        return code
    interrupts.watch(run)
    try:
        with _sinks(run, output):
            report = await run.wait()
    except ConfigError:
        raise
    except BrigadeError as error:  # the job was interrupted by it, and waits to be resumed
        error.remedy = f"{error.remedy or 'It can be resumed:'}\n{resume_command(job_id)}"
        raise
    return await finish(brigade, report, output, resume_command)


def _interrupted_before_start(interrupts: Interrupts) -> int:
    if not interrupts.count:
        raise asyncio.CancelledError
    return INTERRUPTED


def _log_notes_as(output: Output) -> None:
    from bucket_brigade.cli.logging import route_notes_to_stderr

    route_notes_to_stderr(output.log_level, as_json=output.json_log, colors=sys.stderr.isatty())


@contextlib.contextmanager
def _sinks(run: JobRun, output: Output) -> Iterator[None]:
    from bucket_brigade.cli.logging import LogSink, make_logger

    logger = make_logger(output.log_level, as_json=output.json_log, colors=sys.stderr.isatty())
    sink = LogSink(logger, run.job, interval_s=output.log_interval_s)
    run.subscribe(sink, transfers=output.log_level == "debug")
    if not output.progress:
        yield
        return
    from rich.console import Console

    from bucket_brigade.cli.progress import ProgressDisplay

    with ProgressDisplay(run.job, Console(stderr=True)) as display:
        run.subscribe(display)
        yield


async def finish(brigade: Brigade, report: Report, output: Output, resume_command: Callable[[str], str]) -> int:
    """Write the report's files, print the summary and, for a job that can go on, the command that does; return the exit code.

    Raises:
        ConfigError: the source was empty.
    """
    from bucket_brigade.cli.summary import exit_code, is_empty, summary_document, summary_lines

    paths = await brigade.write_report(report.job.id)
    resume = resume_command(report.job.id) if report.state in _RESUMABLE else ""
    if output.as_json:
        write_json(summary_document(report, paths, resume))
    if is_empty(report):
        remedy = "Check the location and the filters; --dryrun shows what they leave."
        raise ConfigError(f"nothing in {report.job.source} matches, so nothing was done", remedy=remedy)
    if output.summary:
        stream = sys.stderr if output.summary_on_stderr else sys.stdout
        stream.write("\n".join(summary_lines(report, paths)) + "\n")
        stream.flush()
    elif report.counters.failed and not output.as_json:
        _say_on_stderr(f"brigade: {report.counters.failed:,} failed, named in {paths.get('failures', report.folder)}")
    if resume:
        _say_on_stderr(resume)
    elif output.summary and report.state is JobState.DONE_WITH_FAILURES and (again := resume_command(report.job.id)):
        _say_on_stderr(f"{again} --retry-failed")
    return exit_code(report)


def _say_on_stderr(line: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
