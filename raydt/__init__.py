"""raydt measures, in bytes, how much a byte-level language model inherits from another language.

`raydt.plan`, `raydt.train` and `raydt.analyze` are `raydt.library`'s, which is imported when one of
them is asked for: the package itself stays light.
"""

import importlib
from typing import Any

__version__ = "0.2.0"  # read by pyproject.toml: it stands nowhere else
_OF_THE_LIBRARY = ("Plan", "analyze", "plan", "train")


def __getattr__(name: str) -> Any:
    if name in _OF_THE_LIBRARY:
        return getattr(importlib.import_module("raydt.library"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
