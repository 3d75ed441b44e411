"""Rights that an unprivileged Linux process can give up: system calls and files.

seccomp: https://docs.kernel.org/userspace-api/seccomp_filter.html, Linux 3.5. Landlock:
https://docs.kernel.org/userspace-api/landlock.html, Linux 5.13. Both last until the process ends.
Each function returns whether it took effect. It does not on other systems, nor where a container's
rules or gVisor refuse it; nothing is changed then.
"""

import ctypes
import errno
import os
import signal
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2

# linux/bpf_common.h, linux/seccomp.h
_LOAD_WORD, _IF_EQUAL, _IF_AT_LEAST, _IF_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000  # a second numbering of the same calls

# linux/audit.h: AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Numbers of system calls, asm/unistd.h, of x86_64 and aarch64; None where there is none.
_FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198),
    "io_uring_setup": (425, 425),  # opens sockets and files by itself
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "kill": (62, 129),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "shmget": (29, 194),
    "chmod": (90, None),  # Landlock does not cover the rights of files
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "unshare": (272, 97),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
}
_CLONE, _CLONE3, _TGKILL, _PRLIMIT = (56, 220), (435, 435), (234, 131), (302, 261)

# linux/landlock.h. The same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_REG, _TRUNCATE = 1 << 5, 1 << 8, 1 << 14
# Number of file access rights in each version of Landlock, from version 1.
_RIGHTS_BY_VERSION = (13, 14, 15, 15, 16)
_SCOPES = 0b11  # since version 6: abstract Unix sockets, and signals to other processes
_SCOPES_SINCE = 6


def parent_death_signal(number: int) -> Callable[[], None] | None:
    """A function with which a child asks the kernel for a signal when its parent thread ends.

    It is one system call, looked up here: a fork of a process with threads should do little. None
    on other systems than Linux.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, number)


def die_with_parent() -> None:
    """Kill this process when the thread that started it ends, and forbid to trace it (Linux)."""
    if (set_signal := parent_death_signal(signal.SIGKILL)) is not None:
        set_signal()
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


def forbid_system_calls() -> bool:
    """Forbid network, programs, new processes and access to others; threads are allowed."""
    machine = os.uname().machine if sys.platform == "linux" else ""
    architecture = _ARCHITECTURES.get(machine)
    if architecture is None or struct.calcsize("P") != 8:
        return False
    program = b"".join(struct.pack("=HBBI", *step) for step in _filter(architecture, machine))
    steps = ctypes.create_string_buffer(program)
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(steps))
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bool(
        libc.prctl(
            _PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.create_string_buffer(head)
        )
        == 0
    )


def _filter(architecture: int, machine: str) -> list[tuple[int, int, int, int]]:
    """The BPF program as (operation, steps to skip if true, if false, operand)."""
    column = 0 if machine == "x86_64" else 1
    fail = (_RETURN, 0, 0, _FAIL | errno.EPERM)
    steps = [
        (_LOAD_WORD, 0, 0, _AT_ARCHITECTURE),
        (_IF_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD_WORD, 0, 0, _AT_NUMBER),
    ]
    if machine == "x86_64":
        steps += [(_IF_AT_LEAST, 0, 1, _X32), fail]
    for numbers in _FORBIDDEN.values():
        number = numbers[column]
        if number is not None:
            steps += [(_IF_EQUAL, 0, 1, number), fail]
    # clone3's flags are in memory; without it the C library uses clone, whose flags are arguments.
    steps += [(_IF_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    for call, test, operand in (
        (_CLONE, _IF_BITS, _CLONE_THREAD),
        (_TGKILL, _IF_EQUAL, os.getpid()),  # abort() sends itself a signal
        (_PRLIMIT, _IF_EQUAL, 0),  # of this process
    ):
        steps += [
            (_IF_EQUAL, 0, 4, call[column]),
            (_LOAD_WORD, 0, 0, _AT_FIRST_ARGUMENT),
            (test, 1, 0, operand),
            fail,
            (_RETURN, 0, 0, _ALLOW),
        ]
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


def forbid_files(readable: Sequence[Path], writable: Sequence[Path]) -> bool:
    """Forbid all files but these; open files stay open."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    call = libc.syscall
    call.restype = ctypes.c_long
    version = call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if version < 1:
        return False
    rights = (1 << _RIGHTS_BY_VERSION[min(version, len(_RIGHTS_BY_VERSION)) - 1]) - 1
    attributes = struct.pack("=QQQ", rights, 0, _SCOPES if version >= _SCOPES_SINCE else 0)
    size = 24 if version >= _SCOPES_SINCE else 8
    ruleset = call(
        _CREATE_RULESET,
        ctypes.create_string_buffer(attributes),
        ctypes.c_size_t(size),
        ctypes.c_uint(0),
    )
    if ruleset < 0:
        return False
    try:
        reading = _READ_FILE | _READ_DIR | _EXECUTE
        writing = reading | _WRITE_FILE | _REMOVE_FILE | _MAKE_REG | _TRUNCATE
        for paths, allowed in ((readable, reading), (writable, writing)):
            for path in paths:
                _allow(call, ruleset, path, allowed & rights)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        return bool(call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)) == 0)
    finally:
        os.close(ruleset)


def _allow(call: "ctypes._NamedFuncPointer", ruleset: int, path: Path, allowed: int) -> None:
    if not path.is_dir():
        allowed &= _READ_FILE | _WRITE_FILE | _EXECUTE | _TRUNCATE
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", allowed, descriptor))
        done = call(
            _ADD_RULE,
            ctypes.c_int(ruleset),
            ctypes.c_int(_RULE_PATH_BENEATH),
            rule,
            ctypes.c_uint(0),
        )
    finally:
        os.close(descriptor)
    if done != 0:
        raise OSError(ctypes.get_errno(), f"Landlock takes no rule for {path}")
