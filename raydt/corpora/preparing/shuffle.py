"""Shuffle text of any source into three streams, in two passes with bounded memory.

First the documents go to buckets on disk by their random place (`buckets`), then bucket by bucket
to the streams (`assemble`). After a kill, the first pass is resumed; the second takes only seconds
per gigabyte and starts over.
"""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raydt import __version__
from raydt.corpora.prepared.contamination import find_contamination, load_model
from raydt.corpora.prepared.language import split_path
from raydt.corpora.prepared.manifest import Manifest, Source, SourceFile
from raydt.corpora.prepared.stamps import hash_file
from raydt.corpora.preparing.aligned import DroppedDocuments
from raydt.corpora.preparing.assemble import assemble
from raydt.corpora.preparing.buckets import Buckets
from raydt.corpora.preparing.duplicates import DUPLICATES_RULE
from raydt.corpora.preparing.few import count_few, few_rule, split_few
from raydt.corpora.preparing.named import numbers_of_names
from raydt.corpora.sources.documents import NO_TEXT, Block, Position, parts
from raydt.corpora.sources.files import Stamp, format_of, read_files, stamp
from raydt.corpora.sources.formats import compression
from raydt.corpora.sources.hub import Origin, find_origin, read_hub
from raydt.corpora.spec import FilesCorpus, HubCorpus, TextCorpus
from raydt.corpora.splits import FewDocuments, Split, SplitRule
from raydt.errors import bad
from raydt.locks import locked

# Language, "reading" or "writing", bytes done, and total bytes (None: unknown).
OnBytes: TypeAlias = Callable[[str, str, int, int | None], None]

# The identity of unfinished work as JSON, to compare it with that of a command.
Plan: TypeAlias = dict[str, object]

_BUCKET_BYTES = 2**24
# Two open files per bucket, of the usual limit of 1,024 per process.
_MAX_BUCKETS = 384
_UNPACKED = 4  # approximate compression ratio of text
_MARGIN_BYTES = 2**16  # for the Hub, plus an eighth: duplicates will be dropped
_LOOK_AHEAD_BYTES = 2**24
_WORK_FORMAT = 3


def shuffle_text(
    spec: TextCorpus,
    language: str,
    paths: Sequence[Path],
    asked: dict[Split, int],
    others: Iterable[str],
    work: Path,
    folder: Path,
    on_bytes: OnBytes | None,
    lost: DroppedDocuments | None = None,
) -> Manifest:
    """Write the splits of a language to `folder`, and return the manifest.

    `paths` are its files, empty for the Hub. Files are stored whole, whatever is `asked`; from the
    Hub as much as asked, with a margin for dropped documents. `lost` are the documents that an
    aligned corpus drops. `work` holds the buckets. Raises `InputError` for unusable text, `OSError`
    for a full disk, `RunError` for a lost stream.
    """
    plan: Plan = {"format": _WORK_FORMAT, "corpus": spec.name, "raydt": __version__}
    stamps: list[Stamp] = []
    if isinstance(spec, FilesCorpus):
        stamps = [stamp(path) for path in paths]
        plan["files"] = [list(each) for each in stamps]
        total = sum(each.num_bytes for each in stamps)
        expected = sum(
            each.num_bytes
            * (_UNPACKED if compression(path) or format_of(spec, path) == "parquet" else 1)
            for path, each in zip(paths, stamps, strict=True)
        )
        enough = None
    else:
        enough = {split: number + number // 8 + _MARGIN_BYTES for split, number in asked.items()}
        plan["enough"] = enough
        total = expected = sum(enough.values())
    if lost is not None:
        plan["lost"] = lost.digest
    origin, lengths, begun = _take_up(spec, language, paths, plan, work)
    rule, is_parallel = spec.split_rule, lost is not None
    is_named = isinstance(spec, FilesCorpus) and spec.split_by is not None
    few = None if lengths is None or is_named else split_few(lengths, rule, is_parallel)
    if few is not None:
        enough = None  # few documents: store all of them
    num_buckets = min(_MAX_BUCKETS, -(-expected // _BUCKET_BYTES) or 1)

    def named(first: int) -> Iterator[NDArray[np.float64]] | None:
        return numbers_of_names(spec, paths, first) if isinstance(spec, FilesCorpus) else None

    def on_progress(phase: str, limit: int | None, done: int) -> None:
        if on_bytes is not None:
            on_bytes(language, phase, done if limit is None else min(done, limit), limit)

    with (
        ThreadPoolExecutor(1) as pool,
        Buckets(work / "buckets", num_buckets, rule, few, named) as buckets,
    ):
        progress = buckets.progress
        loading = pool.submit(load_model, language)
        hashes = [pool.submit(hash_file, Path(each.path)) for each in stamps]
        if not progress.is_done:
            blocks = begun or _blocks(spec, language, paths, origin, progress.position)
            indices = lost.indices if lost else None
            buckets.fill(blocks, enough, partial(on_progress, "reading", total), indices)
            # Release the memory of this pass's threads before the next pass.
            pa.default_memory_pool().release_unused()
        _check_unchanged(language, paths, stamps)
        num_stored = sum(progress.split_bytes.values())
        if not num_stored:
            where = f"file {stamps[0][0]}" if stamps else f"{language} of {spec.name}"
            found = ", ".join(f"{n} {what}" for what, n in progress.counts.items() if n > 0)
            hint = " (?column=NAME selects the column with the text)" if NO_TEXT in found else ""
            raise bad(where, f"at least one document{hint}", found or "0 blank documents")
        assembled = assemble(
            buckets,
            partial(split_path, folder),
            partial(on_progress, "writing", num_stored),
            spec.excerpt_bytes,
            few.rounds if few is not None and few.cuts else None,
            few is not None,
        )
        pa.default_memory_pool().release_unused()
        loading.result()
        files = tuple(
            SourceFile(path, size, modified_ns, digest.result(), changed_ns)
            for (path, size, modified_ns, changed_ns), digest in zip(stamps, hashes, strict=True)
        )
        # Check again: a file may have been rewritten between reading and hashing.
        _check_unchanged(language, paths, stamps)
    return Manifest(
        language=language,
        source=Source(
            corpus=spec.name,
            files=files if isinstance(spec, FilesCorpus) else None,
            revision=origin.revision if origin else None,
            num_documents=progress.num_documents,
            num_text_bytes=progress.num_text_bytes,
            is_all=enough is None or progress.has_ended,
            aligned=lost.digest if lost else None,
        ),
        licence=origin.licence if origin else None,
        split_rule=_rule_in_words(spec, rule, few),
        split_seed=rule.seed,
        normalisation=spec.normalise,
        duplicates_rule=DUPLICATES_RULE,
        dropped=progress.counts | (lost.dropped if lost else {}) | assembled.dropped,
        contamination=find_contamination(split_path(folder, "train"), language, others),
        splits=assembled.splits,
        raydt_version=__version__,
    )


def _check_unchanged(language: str, paths: Sequence[Path], stamps: Sequence[Stamp]) -> None:
    if list(stamps) != [stamp(path) for path in paths]:
        raise bad(f"files of {language}", "unchanged files while they are read", "a change")


def _rule_in_words(spec: TextCorpus, rule: SplitRule, few: FewDocuments | None) -> str:
    if few is not None:
        return few_rule(rule)
    if isinstance(spec, FilesCorpus) and spec.split_by is not None:
        return f"{rule}; u of a document with a {spec.split_by!r} is XXH3-64 of that"
    return str(rule)


def _blocks(
    spec: TextCorpus,
    language: str,
    paths: Sequence[Path],
    origin: Origin | None,
    position: Position | None,
) -> Iterator[Block]:
    if isinstance(spec, FilesCorpus):
        return read_files(spec, paths, position)
    assert origin is not None
    return read_hub(spec, language, origin.revision, position)


def _take_up(
    spec: TextCorpus, language: str, paths: Sequence[Path], plan: Plan, work: Path
) -> tuple[Origin | None, list[int] | None, Iterator[Block] | None]:
    """The origin of the text, the lengths of its documents if there are few (`count_few`), and all
    blocks if reading has started.

    Keeps the buckets in `work` if they belong to the same text and command, else removes them.
    """
    path = work / "plan.json"
    try:
        before = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        before = {}
    origin, lengths = before.pop("origin", None), before.pop("lengths", None)
    if before == plan:
        return Origin(*origin) if origin else None, lengths, None
    shutil.rmtree(work / "buckets", ignore_errors=True)
    found = _origin_of(spec, work.parent) if isinstance(spec, HubCorpus) else None
    lengths, blocks = _look_ahead(
        partial(_blocks, spec, language, paths, found, None), "lost" in plan
    )
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(plan | {"origin": found, "lengths": lengths}), "utf-8")
    temporary.replace(path)
    return found, lengths, blocks


def _origin_of(spec: HubCorpus, folder: Path) -> Origin:
    """The commit of a corpus, resolved once for all its languages as long as `folder` exists: if a
    branch moves, the corpus would mix different texts."""
    path = folder / "origin.json"
    with locked(folder / "origin.lock"):
        try:
            return Origin(*json.loads(path.read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            found = find_origin(spec)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(found), "utf-8")
        temporary.replace(path)
    return found


def _look_ahead(
    read: Callable[[], Iterator[Block]], is_parallel: bool
) -> tuple[list[int] | None, Iterator[Block]]:
    """The result of `count_few`, and all blocks; those it read are read again only if they are too
    large to hold."""
    blocks = read()
    held: deque[Block] = deque()
    num_bytes = 0

    def looked_at() -> Iterator[Block]:
        nonlocal num_bytes
        for block in blocks:
            num_bytes += len(parts(block.documents)[0])
            if num_bytes <= _LOOK_AHEAD_BYTES:
                held.append(block)
            else:
                held.clear()
            yield block

    lengths = count_few(looked_at(), is_parallel)
    if num_bytes > _LOOK_AHEAD_BYTES:
        return lengths, read()

    def again() -> Iterator[Block]:
        while held:
            yield held.popleft()
        yield from blocks

    return lengths, again()
