"""Tests that have not yet been seen to pass, so that a red one may be the test's own fault."""

from __future__ import annotations

import os

import pytest

# Each ran out of time on a machine that was too busy: run them on an idle one, mend what they
# find, and take the mark away.
unproven = pytest.mark.skipif(
    os.environ.get("RAYDT_UNPROVEN") != "1",
    reason="not yet seen to pass on an idle machine; RAYDT_UNPROVEN=1 runs it",
)
