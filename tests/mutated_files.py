"""Small files with a few changes, and what a command may make of them."""

from __future__ import annotations

import os
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from raydt.errors import InputError, Problem, RaydtError

INSERTED = [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b"\t", b"\n", b"\r", b"\0", b"\xff", b"\xc3"]
INSERTED += [
    b"\\ud800",
    b"null",
    b"7",
    b"-1",
    b"1e999",
    b"=",
    b";",
    b"#",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
]
INSERTED += ["日".encode(), b"A" * 300, b"[" * 3000, b"1-2\t", b"nan"]

Mutation = tuple[str, float, float, bytes]
mutations = st.lists(
    st.tuples(
        st.sampled_from(["insert", "delete", "replace", "cut", "double"]),
        st.floats(0, 1),
        st.floats(0, 0.3),
        st.one_of(st.sampled_from(INSERTED), st.binary(max_size=8)),
    ),
    max_size=4,
)


def mutated(data: bytes, changes: list[Mutation]) -> bytes:
    """A file after some changes."""
    for kind, place, share, piece in changes:
        at = int(place * len(data))
        end = min(len(data), at + 1 + int(share * 20))
        if kind == "insert":
            data = data[:at] + piece + data[at:]
        elif kind == "delete":
            data = data[:at] + data[end:]
        elif kind == "replace":
            data = data[:at] + piece + data[end:]
        elif kind == "cut":
            data = data[:at]
        else:
            data = data[:end] + data[at:]
    return data


def accepted(work: Callable[[], object]) -> None:
    """Done, or refused in words that fit a screen."""
    try:
        work()
    except RaydtError as error:
        said = error.problems if isinstance(error, InputError) else (error,)
    else:
        return
    for each in said:
        assert len(str(each)) < 6000
        if isinstance(each, Problem):
            assert "Error" not in each.got.partition(":")[0], each


# RAYDT_FUZZ_EXAMPLES=5000 tries as many of each, others each time; --hypothesis-seed repeats them.
_MORE = os.environ.get("RAYDT_FUZZ_EXAMPLES")
fuzzed = settings(
    max_examples=int(_MORE or 150),
    deadline=None,
    derandomize=_MORE is None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
