"""When a cell is first evaluated, and how much of `val` and `test` it reads if a sweep does not
set their sizes."""

from __future__ import annotations

# At most. Held-out splits consist of excerpts of about 1 kB, as far as possible one per document:
# 32 of them choose a checkpoint, 128 are reported. The loss on 20 documents varies by 0.1 to 0.2
# bits per byte from one draw to another; on four documents, by twice that.
VAL_BYTES = 32_000
TEST_BYTES = 128_000
# At least this much of each, or the sweep does not start: the loss on less than that depends more
# on the excerpts than on the language.
LEAST_BYTES = 4_000
LEAST_EXCERPTS = 10
# The share of its data that a cell has seen at its first evaluation, if `evaluation_growth` is
# above 1.
FIRST_SHARE = 0.5
