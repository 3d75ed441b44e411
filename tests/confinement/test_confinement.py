"""What a confined process cannot do, and how its parent learns how it ended."""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from multitalk.confinement import run
from multitalk.confinement.kernel import forbid_files, forbid_system_calls
from multitalk.confinement.run import ExitResult, run_confined, start_confined
from patience import PATIENCE_SECONDS

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux's")


@pytest.fixture(autouse=True)
def module_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def ended(source: str, *arguments: object, **how: object) -> ExitResult:
    options = {"timeout_seconds": PATIENCE_SECONDS, "max_output_bytes": 1000, **how}
    given = [str(argument) for argument in arguments]
    return run_confined("confined_module", source.encode(), arguments=given, **options)


def said(source: str, *arguments: object) -> str:
    result = ended(source, *arguments)
    assert result.returncode == 0, result.stderr
    assert not result.crashed
    return result.output.decode()


def kernel_does(what: str) -> bool:
    """Whether this kernel does it, asked in a process that ends at once."""
    child = os.fork()
    if child == 0:
        os._exit(not (forbid_files([], []) if what == "landlock" else forbid_system_calls()))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def landlock() -> None:
    if sys.platform != "linux" or not kernel_does("landlock"):
        pytest.skip("this kernel has no Landlock")


@pytest.fixture
def seccomp() -> None:
    if sys.platform != "linux" or not kernel_does("seccomp"):
        pytest.skip("no seccomp here")


@linux
@pytest.mark.skipif(platform.machine() not in {"x86_64", "aarch64"}, reason="another processor")
def test_this_machine_s_kernel_confines():
    assert kernel_does("seccomp")


def test_input_and_output_are_passed():
    assert said("6 * 7") == "42"


def test_it_has_no_environment(monkeypatch):
    monkeypatch.setenv("MULTITALK_SECRET", "s3cret")
    assert "s3cret" not in said("dict(os.environ)")
    # The first is Python's own; without the others some Pythons do not find their library.
    assert said("set(os.environ) - {'LC_CTYPE', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH'}") == "set()"


def test_it_inherits_no_open_file(tmp_path):
    with (tmp_path / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        assert said(f"os.fstat({secret.fileno()})") == "OSError"


def test_it_writes_no_file(tmp_path):
    target = tmp_path / "written"
    assert said(f"open({str(target)!r}, 'wb', 0).write(b'x')", tmp_path) in {
        "OSError",
        "PermissionError",
    }
    assert not target.exists() or target.stat().st_size == 0


def test_it_reads_allowed_files_and_no_others(tmp_path, landlock):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "open").write_text("hello")
    (tmp_path / "keys.json").write_text("s3cret")
    allowed, secret = str(tmp_path / "data" / "open"), str(tmp_path / "keys.json")
    assert said(f"open({allowed!r}).read()", tmp_path / "data") == "hello"
    assert said(f"open({secret!r}).read()", tmp_path / "data") == "PermissionError"
    assert said("os.listdir('/')", tmp_path / "data") == "PermissionError"


def test_it_has_no_network(seccomp):
    assert said("socket.socket()") == "PermissionError"
    assert said("socket.socket(socket.AF_INET, socket.SOCK_DGRAM)") == "PermissionError"
    assert said("socket.socket(socket.AF_UNIX)") == "PermissionError"


def test_it_starts_no_process_and_no_program(seccomp):
    assert said("os.fork()") in {"PermissionError", "BlockingIOError"}
    assert said(f"os.execv({sys.executable!r}, ['python'])", "/") == "PermissionError"


def test_it_signals_no_other_process(seccomp):
    assert said(f"os.kill({os.getpid()}, 0)") == "PermissionError"
    assert said("os.kill(os.getppid(), 0)") == "PermissionError"


def test_it_may_have_threads_where_they_are_allowed(seccomp):
    started = "(t := threading.Thread(target=print)).start() or t.join() or 'ran'"
    assert said(started, "threads") == "ran"


def test_printed_text_is_not_in_the_output():
    assert said("os.write(1, b'noise') and print('more noise')") == "None"


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("ctypes.string_at(0)", signal.SIGSEGV),
        ("os.abort()", signal.SIGABRT),
        ("bytearray(1 << 30)", signal.SIGABRT),
    ],
)
def test_a_crash_and_a_limit_are_a_death(source, cause):
    result = ended(source)
    assert result.crashed
    assert cause is None or result.returncode == -cause


def test_processor_time_has_a_limit():
    result = ended("any(iter(int, 1))")
    assert result.crashed
    assert result.returncode in {-signal.SIGXCPU, -signal.SIGKILL}


def test_an_answer_has_a_limit():
    assert ended("'x' * 2_000_000").crashed


def test_a_mistake_of_our_own_is_no_death():
    result = ended("1 / 0")
    assert not result.crashed
    assert result.returncode == 1
    assert "ZeroDivisionError" in result.stderr


def test_a_module_that_cannot_be_loaded_was_never_ready():
    result = run_confined("no_such_module", b"", timeout_seconds=500, max_output_bytes=10)
    assert not result.was_ready
    assert not result.crashed


def test_a_program_that_cannot_be_started_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(OSError, match="nothing"):
        ended("1")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list["subprocess.Popen[bytes]"]:
    """The processes that were started."""
    kept: list[subprocess.Popen[bytes]] = []

    def start(*arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
        kept.append(start_confined(*arguments, **options))
        return kept[-1]

    monkeypatch.setattr(run, "start_confined", start)
    return kept


def test_one_that_hangs_is_ended(started):
    with pytest.raises(TimeoutError):
        ended("signal.pause()", timeout_seconds=0.5)
    assert [process.returncode for process in started] == [-signal.SIGKILL]


def test_an_exception_of_the_watch_ends_it(started):
    def watch() -> None:
        raise InterruptedError("the client has left")

    with pytest.raises(InterruptedError):
        ended("signal.pause()", watch=watch)
    assert [process.returncode for process in started] == [-signal.SIGKILL]
