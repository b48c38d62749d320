"""The user, source and commit of a run, under MLflow's own names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

from raydt import __version__
from raydt.tracking import schema

# The tags that each run gets; more would slow down reading ten thousand runs.
_WANTED = (
    "mlflow.user",
    "mlflow.source.name",
    "mlflow.source.type",
    "mlflow.source.git.commit",
)


@cache  # call git once per process
def provenance() -> Mapping[str, str]:
    """The user, the source, the commit of its repository if it is in one, and raydt's version.

    As `mlflow.start_run` would find them, with any context plugins of MLflow.
    """
    # Otherwise GitPython prints a long warning on import if there is no git, as in an image.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    from mlflow.tracking.context.registry import resolve_tags

    found = resolve_tags()
    said = {name: str(found[name]) for name in _WANTED if name in found}
    return {**said, schema.TAG_VERSION: __version__}
