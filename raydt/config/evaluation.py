"""When a cell is first evaluated, and how much of `val` and `test` it reads where a sweep names no
sizes."""

from __future__ import annotations

# At most. The held-out splits are laid out in excerpts of about 1 kB, each of another document
# first: 32 of them choose a checkpoint, 128 are reported. The loss on 20 documents varies by .1 to
# .2 bits per byte from one draw to another, on four by twice that.
VAL_BYTES = 32_000
TEST_BYTES = 128_000
# At least, of each, or a sweep is not begun: below, a loss says more about the excerpts than about
# the language.
LEAST_BYTES = 4_000
LEAST_EXCERPTS = 10
# Of its data, which a cell has seen at the first of the evaluations that grow apart.
FIRST_SHARE = 0.5
