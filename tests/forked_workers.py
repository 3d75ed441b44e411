"""`pytest --forks N`: N forks of one process run the tests, a file at a time each.

PyTorch and diffusers take longer to import than most files of tests to run. Workers of pytest-xdist
import and collect for themselves; forks have what the first process has imported and collected.
"""

import gc
import os
import signal
import time
import warnings
from collections import deque
from collections.abc import Sequence
from itertools import groupby, pairwise
from multiprocessing.connection import Connection, Pipe, wait
from types import SimpleNamespace

import pytest

STOP_SECONDS = 10.0

Files = Sequence[Sequence[pytest.Item]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forks", type=int, default=0, help="run the tests in so many forks")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    if not session.config.option.forks or session.config.option.collectonly or session.testsfailed:
        return None
    session.config._tmp_path_factory.getbasetemp()  # one for all
    gc.collect()
    gc.freeze()  # a collection in a fork would copy the memory that it shares
    files = [list(items) for _, items in groupby(session.items, key=lambda item: item.path)]
    workers = Workers(session, files)
    try:
        workers.run()
    finally:
        workers.end()
    return True


class Workers:
    """The forks, seen from the first process, which reports what they report."""

    def __init__(self, session: pytest.Session, files: Files) -> None:
        self._session, self._files = session, files
        self._waiting = deque(range(len(files)))
        self._processes: dict[Connection, int] = {}
        self._tests: dict[Connection, pytest.Item] = {}  # that they run
        for number in range(min(session.config.option.forks, len(files))):
            ours, theirs = Pipe()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that threads of libraries do not come along
                process = os.fork()
            if not process:
                for other in (ours, *self._processes):
                    other.close()
                _run_in_fork(session, files, theirs, number)
            theirs.close()
            self._processes[ours] = process

    def run(self) -> None:
        """Give out files and report results until all is done."""
        while self._processes:
            for worker in wait(list(self._processes)):
                assert isinstance(worker, Connection)
                try:
                    kind, value = worker.recv()
                except EOFError:
                    self._leave(worker)
                    continue
                if kind == "next":
                    worker.send(self._waiting.popleft() if self._waiting else None)
                elif kind == "test":
                    file, test = value
                    self._tests[worker] = self._files[file][test]
                else:
                    self._report(value)
        if self._waiting:
            raise self._session.Failed("no process is left that runs tests")

    def _leave(self, worker: Connection) -> None:
        """A fork has ended: with its work, or in the middle of a test, which has failed."""
        _, status = os.waitpid(self._processes.pop(worker), 0)
        code = os.waitstatus_to_exitcode(status)
        if code and (test := self._tests.get(worker)):
            self._log(
                pytest.TestReport(
                    nodeid=test.nodeid,
                    location=test.location,
                    keywords={},
                    outcome="failed",
                    longrepr=f"the process that ran this test ended with {code}",
                    when="call",
                )
            )

    def _report(self, data: dict[str, object]) -> None:
        config = self._session.config
        self._log(config.hook.pytest_report_from_serializable(config=config, data=data))

    def _log(self, report: pytest.TestReport) -> None:
        # As pytest-xdist's reports: results of several files come in turn, a letter each.
        report.node = SimpleNamespace(gateway=SimpleNamespace(id="fork"), _workerinfocache="")
        self._session.config.hook.pytest_runtest_logreport(report=report)
        if self._session.shouldfail:
            raise self._session.Failed(self._session.shouldfail)

    def end(self) -> None:
        """Stop the forks that still run, as Ctrl-C would, so that they end what they started."""
        ends = time.monotonic() + STOP_SECONDS
        for process in self._processes.values():
            os.kill(process, signal.SIGINT)
        for process in self._processes.values():
            while os.waitpid(process, os.WNOHANG) == (0, 0):
                if time.monotonic() > ends:
                    os.kill(process, signal.SIGKILL)
                time.sleep(0.02)


def _run_in_fork(session: pytest.Session, files: Files, parent: Connection, number: int) -> None:
    """Run files until there are no more; does not return."""
    code = 1
    try:
        os.environ["XDG_STATE_HOME"] += f"/{number}"  # tests of several files must not meet there
        plugins = session.config.pluginmanager
        plugins.unregister(name="terminalreporter")
        plugins.register(_Reporter(session.config, parent))
        capture = plugins.getplugin("capturemanager")
        capture.stop_global_capturing()  # into a file that all forks would share
        capture.start_global_capturing()
        capture.suspend_global_capture()
        while (file := _next_file(parent)) is not None:
            # After a file's last test, the fixtures of the session stay, and no others
            for test, (item, then) in enumerate(pairwise((*files[file], session))):
                parent.send(("test", (file, test)))
                session.config.hook.pytest_runtest_protocol(item=item, nextitem=then)
        session._setupstate.teardown_exact(None)
        code = 0
    except KeyboardInterrupt:
        code = 130
    finally:
        os._exit(code)


def _next_file(parent: Connection) -> int | None:
    parent.send(("next", None))
    number: int | None = parent.recv()
    return number


class _Reporter:
    """Sends a fork's reports to the first process."""

    def __init__(self, config: pytest.Config, parent: Connection) -> None:
        self._config, self._parent = config, parent

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._parent.send(("report", data))
