"""Who else may write a file that decides where secrets go. Whoever may change the configuration, a key, a list of
certificates or the URL of the database may send our keys to himself.
"""

import grp
import os
import pwd
import stat
from pathlib import Path

ROOT = 0


def others(path: Path) -> str | None:
    """What is wrong with a file or folder that somebody other than root or the caller may write: a text that names
    it and what to type. None where nobody else may, and where it cannot be looked at."""
    try:
        return judged(path, os.stat(path))
    except OSError:
        return None  # whoever reads it will say so


def judged(path: Path, found: os.stat_result) -> str | None:
    """The same for what has been looked at already, as an open file has."""
    caller = os.geteuid()
    if found.st_uid not in (ROOT, caller):
        who = _name(found.st_uid)
        return (
            f"{path} belongs to {who}, who may change where secrets go; type: chown {_name(caller)} '{path}' "
            f"(or do this as {who})"
        )
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return None  # others may add files to it, and neither change nor replace ours
    if found.st_mode & stat.S_IWOTH and not _is_read_only(path):
        return f"others may write {path}; type: chmod o-w '{path}'"
    if (
        found.st_mode & stat.S_IWGRP
        and not _is_private(found.st_gid, found.st_uid)
        and not _is_read_only(path)
    ):
        return f"its group may write {path}; type: chmod g-w '{path}'"
    return None


def read_by_others(path: Path) -> bool:
    """Whether anybody on this machine may read a file."""
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False


def _is_private(group: int, owner: int) -> bool:
    """Whether a group is root's, or has its one user's name and nobody else in it, as many systems give each user."""
    if group == ROOT:
        return True
    try:
        user, found = pwd.getpwuid(owner), grp.getgrgid(group)
    except KeyError:
        return False
    return (found.gr_name, group) == (user.pw_name, user.pw_gid) and set(found.gr_mem) <= {user.pw_name}


def _is_read_only(path: Path) -> bool:
    """Whether nobody may write it, whatever its mode says: volumes of containers come so."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
