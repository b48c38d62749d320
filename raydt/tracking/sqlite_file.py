"""Check the file of a SQLite store before MLflow opens it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from raydt.errors import Problem
from raydt.tracking.new_store import is_absent

WHOLE = (
    "a complete store of MLflow (move the file away, and the next launch or `raydt sync` writes "
    "all "
    "cells into a new one)"
)
# The MLflow tables that raydt writes to. MLflow would create missing ones in any file.
_TABLES = frozenset("experiments runs params tags metrics latest_metrics alembic_version".split())


def check_sqlite(path: Path) -> list[Problem]:
    """The problems of the file of a SQLite store, which need not exist yet."""
    what = "tracking_uri"
    if path.is_symlink() and not path.exists():
        # The disk may not be mounted, so do not create a second store.
        wanted = "a link to a store, or no link"
        return [Problem(what, wanted, f"{path} -> {path.readlink()}, which does not exist")]
    if not path.exists() or is_absent(path):
        return []
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        return [Problem(what, "a SQLite file", f"{kind} {path}")]
    try:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {str(name) for (name,) in rows}
    except sqlite3.Error as error:
        if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            wanted = "a store that no other process holds (wait until it ends, or stop it)"
            return [Problem(what, wanted, f"{path}: {error}")]
        return [Problem(what, WHOLE, f"{path}: {error}")]
    missing = sorted(_TABLES - tables)
    if tables and len(missing) == len(_TABLES):
        found = f"{path} with other tables: {', '.join(sorted(tables)[:5])}"
        return [Problem(what, "a store of MLflow, or a new file", found)]
    if tables and missing:
        return [Problem(what, WHOLE, f"{path} without {', '.join(missing)}")]
    return []
