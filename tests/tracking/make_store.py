"""Opens a store, as a program that is killed on the way: `make_store.py URI`. It says when it
begins to make the store, and when the store is there."""

from __future__ import annotations

import sys

from raydt.tracking.store import open_store

if __name__ == "__main__":
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 - seconds, in which nothing is made

    print("begins", flush=True)
    open_store(sys.argv[1])
    print("made", flush=True)
