"""Numbers formatted for reading: D_T with its sign, bound and interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from raydt.units import approximate_bytes

ZEROSHOT = "zeroshot"
LEGEND = (
    "D_T: bytes of target text that pretraining was worth, beyond the text finetuned on "
    "(D_T = D_E - D_F). 0: worth nothing; negative: it did harm."
)
UNFINISHED_LEGEND = (
    "↓, ↑: D_T may be lower, higher. Another doubling of training bytes would lower the loss of "
    "its scratch ladder (↓) or of its own cells (↑) by more than the noise."
)


def whole_bytes(num_bytes: float) -> str:
    """Three significant digits, no fractions of a byte: 131_942 -> "132k", -45.7 -> "-46"."""
    return approximate_bytes(round(num_bytes))


def signed_bytes(num_bytes: float) -> str:
    """+103k, -1.2M, 0: always with a sign."""
    text = whole_bytes(num_bytes)
    return f"+{text}" if round(num_bytes) > 0 else text


def transferred(row: Mapping[Any, Any]) -> str:
    """D_T of a row of the effective table: "+103k", or a bound such as "> +96k"."""
    mark = {"inside": "", "below": "< ", "above": "> "}[row["range"]]
    return mark + signed_bytes(row["transferred_bytes"])


def interval(row: Mapping[Any, Any]) -> str:
    """Its interval: "[80k, 131k]", "[80k, >120k]"; empty if there is none to show."""
    if pd.isna(row["transferred_low_bytes"]):
        return ""
    if row["low_range"] == row["high_range"] != "inside":
        # Every resample is off the same end of the ladder: the bound already says so.
        return "" if row["low_range"] == row["range"] else _end(row, "low")
    return f"[{_end(row, 'low')}, {_end(row, 'high')}]"


def _end(row: Mapping[Any, Any], end: str) -> str:
    mark = {"inside": "", "below": "<", "above": ">"}[row[f"{end}_range"]]
    return mark + whole_bytes(row[f"transferred_{end}_bytes"])


def includes_zero(row: Mapping[Any, Any]) -> bool:
    """Whether its interval leaves the sign of D_T open; False where there is no interval.

    An end at 0 that is a bound, as where D_F is the smallest rung, is open beyond it.
    """
    low, high = row["transferred_low_bytes"], row["transferred_high_bytes"]
    under = low < 0 or (low == 0 and row["low_range"] == "below")
    over = high > 0 or (high == 0 and row["high_range"] == "above")
    return bool(under and over)


def sign_is_open(row: Mapping[Any, Any]) -> bool:
    """Whether D_T may be a gain or harm: its interval includes 0, or its bound allows both."""
    value = row["transferred_bytes"]
    bound = {"inside": False, "below": value > 0, "above": value < 0}[row["range"]]
    return bool(bound) or includes_zero(row)


def transferred_with_interval(row: Mapping[Any, Any]) -> str:
    """ "+103k [80k, 131k]", with "↓" or "↑" if `unfinished_mark` has one."""
    parts = (transferred(row), interval(row), unfinished_mark(row))
    return " ".join(part for part in parts if part)


def unfinished_mark(row: Mapping[Any, Any]) -> str:
    """The direction in which another doubling of training bytes may move D_T: "↓", "↑",
    "↕" or ""."""
    down, up = (not pd.isna(row.get(f"unfinished_{end}_bytes")) for end in ("low", "high"))
    return {(True, False): "↓", (False, True): "↑", (True, True): "↕"}.get((down, up), "")


def if_trained_on(row: Mapping[Any, Any]) -> str:
    """How far: "down to 82k", "up to 140k", "82k to 140k", or ""."""
    mark = unfinished_mark(row)
    low, high = (_unfinished_end(row, end) for end in ("low", "high"))
    return {"↓": f"down to {low}", "↑": f"up to {high}", "↕": f"{low} to {high}"}.get(mark, "")


def _unfinished_end(row: Mapping[Any, Any], end: str) -> str:
    if pd.isna(row.get(f"unfinished_{end}_bytes")):
        return ""
    mark = {"inside": "", "below": "<", "above": ">"}[row[f"unfinished_{end}_range"]]
    return mark + whole_bytes(row[f"unfinished_{end}_bytes"])


def share_of_effective(row: Mapping[Any, Any]) -> str:
    """D_T / D_E: "93%", a bound such as "> 80%", or a multiple such as "-2.5x"."""
    mark = {"inside": "", "below": "< ", "above": "> "}[row["range"]]
    share = row["transferred_bytes"] / row["effective_bytes"]
    if share <= -1.995:
        return f"{mark}{share:.1f}x"
    return f"{mark}{round(100 * share):d}%"  # an int has no negative zero


def worth(row: Mapping[Any, Any]) -> str:
    """D_T in a sentence: "103k [80k, 131k]", "more than 96k"."""
    mark = {"inside": "", "below": "less than ", "above": "more than "}[row["range"]]
    return f"{mark}{whole_bytes(row['transferred_bytes'])} {interval(row)}".strip()


def size_name(row: Mapping[Any, Any]) -> str:
    """The label of D_F, or "zeroshot"."""
    return ZEROSHOT if row["finetune_bytes"] == 0 else str(row["size"])


def listed(names: Iterable[str], most: int = 6) -> str:
    """Names for a sentence: the first few, and the number of the others."""
    every = list(names)
    shown = ", ".join(every[:most])
    return shown if len(every) <= most else f"{shown} and {len(every) - most} more"


def ratio(value: float) -> str:
    """1.04, 2.2, 12: two digits, and below 2 the hundredths that tell it from 1."""
    return f"{value:.3g}" if value < 2 else f"{value:.2g}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """ "1 cell", "3 cells"."""
    return f"{number} {one if number == 1 else many or one + 's'}"
