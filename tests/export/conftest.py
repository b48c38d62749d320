"""Where `transformers` copies the code that it trusts: not into the home of who runs the tests."""

from __future__ import annotations

import os
import tempfile

# It is read when transformers is imported, before any fixture.
_FOLDER = tempfile.TemporaryDirectory()
os.environ["HF_MODULES_CACHE"] = _FOLDER.name
os.environ["HF_HUB_OFFLINE"] = "1"
