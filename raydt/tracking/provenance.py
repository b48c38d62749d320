"""Who and what made a run, by MLflow's own names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

from raydt import __version__
from raydt.tracking import schema

# Of what MLflow finds, what each run says; more costs those who read ten thousand of them.
_WANTED = (
    "mlflow.user",
    "mlflow.source.name",
    "mlflow.source.type",
    "mlflow.source.git.commit",
)


@cache  # git is asked once a process
def provenance() -> Mapping[str, str]:
    """User, source, commit of the source's repository where it lies in one, and raydt's version.

    As `mlflow.start_run` would find them, from whatever contexts are plugged into MLflow.
    """
    # Else GitPython says at length, while it is imported, that a machine has no git, as an image.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    from mlflow.tracking.context.registry import resolve_tags

    found = resolve_tags()
    said = {name: str(found[name]) for name in _WANTED if name in found}
    return {**said, schema.TAG_VERSION: __version__}
