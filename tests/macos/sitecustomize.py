"""Python without what only Linux has, for a test that puts this folder on PYTHONPATH.

What macOS lacks in `os`, `signal`, `select` and `resource` is removed, glibc's mallopt cannot be
found, and for the files of raydt and analysis there is no /proc, /sys or /dev/shm. What Ray, psutil
and torch do stays as it is: on macOS they are other builds.
"""

import builtins
import ctypes
import io
import os
import resource
import select
import signal
import sys

_LINUX_ONLY = {
    os: (
        "sched_getaffinity sched_setaffinity sched_getscheduler sched_setscheduler sched_getparam "
        "sched_setparam posix_fadvise posix_fallocate fdatasync memfd_create copy_file_range "
        "getrandom pidfd_open setns unshare eventfd splice pipe2 getxattr setxattr listxattr "
        "removexattr getresuid setresuid getresgid setresgid O_DIRECT O_TMPFILE O_PATH O_NOATIME"
    ),
    signal: "SIGPWR SIGSTKFLT SIGPOLL SIGRTMIN SIGRTMAX sigtimedwait sigwaitinfo",
    select: "epoll",
    resource: "prlimit",
}
_FOLDERS = ("/proc", "/sys", "/dev/shm")
_OURS = ("raydt", "analysis", "__main__")
_BETWEEN = ("pathlib", "os", "posixpath", "genericpath", "shutil", "sitecustomize")

for module, names in _LINUX_ONLY.items():
    for name in names.split():
        if hasattr(module, name):  # Python 3.11 has some, 3.12 others
            delattr(module, name)


def _is_asked_by_us():
    """Whether the first frame that is not of a library of paths is one of raydt's."""
    frame = sys._getframe(2)
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in _BETWEEN:
            return package in _OURS
        frame = frame.f_back
    return False


def _without_linux(function):
    def call(path, *values, **named):
        where = path if isinstance(path, (int, bytes)) else os.fspath(path)
        is_there = isinstance(where, str) and (where + "/").startswith(
            tuple(f"{folder}/" for folder in _FOLDERS)
        )
        if is_there and _is_asked_by_us():
            raise FileNotFoundError(2, "No such file or directory", where)
        return function(path, *values, **named)

    return call


for name in ("stat", "lstat", "readlink", "listdir", "scandir", "access", "open"):
    setattr(os, name, _without_linux(getattr(os, name)))
io.open = builtins.open = _without_linux(io.open)


class _Library(ctypes.CDLL):
    def __getattr__(self, name):
        if name == "mallopt":
            raise AttributeError(f"symbol not found: {name}")
        return super().__getattr__(name)


ctypes.CDLL = _Library
