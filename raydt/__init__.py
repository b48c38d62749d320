"""raydt measures, in bytes, how much a byte-level language model inherits from another language.

`raydt.plan`, `raydt.train` and `raydt.analyze` come from `raydt.library`, which is imported on
first use, so that importing the package stays fast.
"""

import importlib
from typing import Any

__version__ = "0.2.0"  # read by pyproject.toml: it stands nowhere else
_LAZY = ("Plan", "analyze", "plan", "train")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module("raydt.library"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
