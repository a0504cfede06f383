"""Runs a program under what a unit forbids, as far as that can be had without systemd as the first process:
system calls, address families, capabilities, new privileges, writable and executable memory, core files.

    python sandboxed.py UNIT PROGRAM ARGUMENT…

The rules are read from the unit's own file and system call groups are spelt out by `systemd-analyze`. What this host
cannot do (no libseccomp, no such prctl) is named on standard error and left out.
"""

import ctypes
import ctypes.util
import errno
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, PR_SET_MDWE = 38, 24, 65
ALLOW, ERRNO, NOT_EQUAL = 0x7FFF0000, 0x00050000, 1
libc = ctypes.CDLL(None, use_errno=True)


class Compare(ctypes.Structure):
    """libseccomp's `scmp_arg_cmp`."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def said(unit: Path) -> dict[str, list[str]]:
    """The directives of a unit; one that stands twice has two values."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text("utf-8").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def calls(group: str) -> set[str]:
    """The system calls of a group and of the groups in it."""
    told = subprocess.run(
        ["systemd-analyze", "syscall-filter", "--no-pager", group], capture_output=True, text=True, check=True
    )
    words = [line.split("#")[0].strip() for line in told.stdout.splitlines()[1:]]
    groups = {word for word in words if word.startswith("@")}
    return {word for word in words if word and word not in groups}.union(*map(calls, groups))


def allowed(filters: list[str]) -> set[str]:
    """What is left of the allow list when the deny lists are taken from it."""
    found: set[str] = set()
    for one in filters:
        named = set[str]().union(*map(calls, one.removeprefix("~").split()))
        found = found - named if one.startswith("~") else found | named
    return found


def filter_calls(unit: dict[str, list[str]]) -> str | None:
    """Everything but the unit's system calls fails with EPERM; a reason, where that cannot be had."""
    library = ctypes.util.find_library("seccomp")
    if library is None:
        return "no libseccomp"
    try:
        names = allowed(unit["SystemCallFilter"])
    except (OSError, subprocess.CalledProcessError):
        return "no systemd-analyze to say which system calls a group has"
    seccomp = ctypes.CDLL(library)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(ERRNO | errno.EPERM)))
    open_socket = seccomp.seccomp_syscall_resolve_name(b"socket")
    for name in sorted(names):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number not in (-1, open_socket):
            seccomp.seccomp_rule_add(rules, ctypes.c_uint32(ALLOW), number, 0)
    for family in unit["RestrictAddressFamilies"][0].split():
        is_it = Compare(0, 4, getattr(socket, family), 0)  # SCMP_CMP_EQ
        seccomp.seccomp_rule_add_array(rules, ctypes.c_uint32(ALLOW), open_socket, 1, ctypes.byref(is_it))
    return None if seccomp.seccomp_load(rules) == 0 else "the filter was not taken"


def forbid(unit: dict[str, list[str]]) -> list[str]:
    """Put the rules on this process, for ever; returns what had to be left out."""
    left_out = []
    os.umask(int(unit["UMask"][0], 8))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = int(unit["LimitNOFILE"][0])
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if os.geteuid() == 0:
        for capability in range(41):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    else:
        left_out.append("capabilities: not root, there are none")
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        left_out.append("NoNewPrivileges")
    if libc.prctl(PR_SET_MDWE, 1, 0, 0, 0):
        left_out.append("MemoryDenyWriteExecute: Linux 6.3 has it")
    if reason := filter_calls(unit):
        left_out.append(f"SystemCallFilter: {reason}")
    return left_out


if __name__ == "__main__":
    for missing in forbid(said(Path(sys.argv[1]))):
        sys.stderr.write(f"left out: {missing}\n")
    sys.stderr.flush()
    os.execv(sys.argv[2], sys.argv[2:])
