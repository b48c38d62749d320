"""How many bytes of `val` and `test` cells of a language read."""

from __future__ import annotations

from math import ceil
from typing import Literal, TypeAlias

from raydt.config.evaluation import LEAST_BYTES, LEAST_EXCERPTS, TEST_BYTES, VAL_BYTES
from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.prepared.manifest import Manifest
from raydt.corpora.spec import ControlledCorpus, FilesCorpus, parse_corpus
from raydt.errors import InputError, Problem
from raydt.units import approximate_bytes

HeldOutSplit: TypeAlias = Literal["val", "test"]
_AT_MOST: dict[HeldOutSplit, int] = {"val": VAL_BYTES, "test": TEST_BYTES}
_PURPOSE = {"val": "to choose checkpoints", "test": "to report a loss"}
_MARGIN = 1.2  # duplicates may be dropped, and documents differ in length
_MAX_SHARE = 0.3  # that is suggested, so that train keeps enough


def at_most(split: HeldOutSplit, asked_bytes: int | None) -> int:
    """Maximum number of bytes that a cell reads of a split."""
    return _AT_MOST[split] if asked_bytes is None else asked_bytes


def evaluation_bytes(
    language: PreparedLanguage, split: HeldOutSplit, asked_bytes: int | None
) -> int:
    """Bytes of a split that cells read: the declared size, else all of it up to a limit.

    They depend only on the language, so that a cell does not change when a sweep gets more
    languages. `InputError` if there are too few for a meaningful loss.
    """
    if asked_bytes is not None:
        return asked_bytes
    problem = check_evaluation(language.manifest, split)
    if problem is not None:
        raise InputError([problem])
    return min(_AT_MOST[split], language.manifest.splits[split].num_bytes)


def check_evaluation(manifest: Manifest, split: HeldOutSplit) -> Problem | None:
    """The problem of a split without a declared size that is too small, with what to do."""
    record = manifest.splits[split]
    if record.num_bytes >= LEAST_BYTES and record.num_excerpts >= LEAST_EXCERPTS:
        return None
    remedies = _remedies(manifest, split)
    return Problem(
        f"{split} of {manifest.language}",
        f"at least {approximate_bytes(LEAST_BYTES)} bytes in {LEAST_EXCERPTS} documents or "
        f"excerpts, {_PURPOSE[split]}: {', '.join(remedies[:-1])} or {remedies[-1]}",
        f"{approximate_bytes(record.num_bytes)} bytes in {record.num_excerpts}, of "
        f"{approximate_bytes(manifest.num_bytes)} bytes in all ({manifest.source.corpus})",
    )


def _remedies(manifest: Manifest, split: HeldOutSplit) -> list[str]:
    remedies = []
    spec = parse_corpus(manifest.source.corpus)
    if not isinstance(spec, ControlledCorpus) and manifest.num_bytes:
        num_documents = manifest.source.num_documents or 1
        share = _MARGIN * max(LEAST_BYTES / manifest.num_bytes, LEAST_EXCERPTS / num_documents)
        share = ceil(20 * share) / 20
        if share <= _MAX_SHARE:
            typed = spec.with_option(val_share=share, test_share=share)
            remedies.append(f"hold out more (--corpus '{typed}')")
        elif isinstance(spec, FilesCorpus) and spec.documents != "line":
            typed = spec.with_option(documents="line")
            remedies.append(f"use lines as documents, if they are (--corpus '{typed}')")
    remedies.append("add text")
    size = manifest.splits[split].num_bytes // 1000
    if size:
        option = f"{split}-bytes {size}k"
        remedies.append(f"accept less (--protocol.{option}, or raydt prepare --{option})")
    if len(remedies) == 1:
        remedies.append("use another corpus")
    return remedies
