"""A cache of analyses: an earlier result is returned if nothing has changed.

The store is read every time, which takes about a second for 10,000 runs in a SQL store; only what
is derived from it is cached. The key is a digest of every fact that was read, of the plan, the
options, the corpora's manifests, the libraries' versions and raydt's own source, so an entry can be
unused but never stale; and it is valid only while the files of its report are unchanged. It is in
the user's cache folder (or `RAYDT_CACHE_DIR`), not beside the report, because it is a pickle, and
reports are handed around.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from stat import S_IWGRP, S_IWOTH
from typing import TYPE_CHECKING, Unpack

from platformdirs import user_cache_path

import raydt.errors
from analysis.report.folder import require_ours
from analysis.second_process import ExecutorContext, this_process
from analysis.store.read import SweepRuns, read_sweep

if TYPE_CHECKING:
    from analysis.analyze import Options
    from analysis.result import Analysis

KEPT_ENTRIES = 20
KEPT_SECONDS = 90 * 24 * 3600
_LIBRARIES = ("numpy", "pandas", "scipy", "matplotlib", "pyarrow", "jinja2")
# What the second process imports first.
_PRELOADED = ("analysis.curves.stored", "analysis.effective", "analysis.report.figures")
# What unpickling raises on an entry that was cut in half, or is of classes that are gone.
_UNREADABLE = (OSError, EOFError, pickle.UnpicklingError, AttributeError, ImportError, ValueError)


@dataclass(frozen=True)
class _Entry:
    analysis: Analysis
    files: dict[str, tuple[int, int]]  # path: size in bytes, time of change in ns


def analyzed(
    store_uri: str,
    sweep: str | None,
    out_dir: Path | Callable[[str], Path],
    on_step: Callable[[str], None] = lambda _: None,
    executor_context: ExecutorContext = this_process,
    on_computed: Callable[[Analysis], None] = lambda _: None,
    every_launch: bool = False,
    **options: Unpack[Options],
) -> tuple[Analysis, bool]:
    """The result of `analysis.analyze.analyze`, and whether it came from the cache.

    Takes the same arguments and raises the same errors; `every_launch` as `read_sweep`. A new
    analysis runs with the executor of `executor_context`, such as `second_process`; `on_computed`
    receives it before its tables and figures are written.
    """
    on_step("reading the store")
    runs = read_sweep(store_uri, sweep, every_launch=every_launch)
    folder = (out_dir(runs.sweep) if callable(out_dir) else out_dir).absolute()
    require_ours(folder, runs.sweep)
    place = _cache_folder() / f"{_key(runs, folder, options)}.pickle"
    entry = _kept(place)
    if entry is not None:
        return entry.analysis, True
    on_step("starting")
    with executor_context(_PRELOADED) as executor:
        # Here and not above: statistics take a second to import.
        from analysis.analyze import analyze

        analysis = analyze(
            store_uri,
            sweep,
            folder,
            runs=runs,
            executor=executor,
            on_step=on_step,
            on_computed=on_computed,
            **options,
        )
    # A report that could not be logged is not cached: the next analysis tries again.
    if analysis.logged or not options.get("log_to_store", True):
        _keep(place, analysis)
    return analysis, False


def _key(runs: SweepRuns, folder: Path, options: Options) -> str:
    digest = hashlib.sha256()
    facts = [runs.store_uri, runs.sweep, runs.experiment_id, str(folder), runs.notes]
    digest.update(json.dumps([facts, runs.plan, options], sort_keys=True, default=str).encode())
    for run in [*runs.launches, *sorted(runs.cells, key=lambda one: one.run_id)]:
        params, tags, metrics = (
            sorted(part.items()) for part in (run.params, run.tags, run.metrics)
        )
        times = (run.run_id, run.experiment_id, run.start_time_ms, run.end_time_ms)
        digest.update(repr((times, run.artifact_uri, params, tags, metrics)).encode())
    corpora = options.get("corpora_dir")
    for path in sorted(Path(corpora).rglob("manifest.json")) if corpora is not None else ():
        digest.update(path.read_bytes())
    for name in _LIBRARIES:
        try:
            digest.update(f"{name} {version(name)}".encode())
        except PackageNotFoundError:  # not installed as a package: its absence is a fact too
            digest.update(f"{name} absent".encode())
    corpora_dir = options.get("corpora_dir")
    manifests = [] if corpora_dir is None else sorted(Path(corpora_dir).rglob("manifest.json"))
    for path in (*_sources(), *manifests):
        digest.update(str(path).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources() -> Iterable[Path]:
    """All source files that determine a result: this package, and the modules it builds on."""
    leaves = Path(raydt.errors.__file__).parent
    yield from sorted(
        path
        for path in Path(__file__).parent.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    )
    yield from (leaves / name for name in ("errors.py", "units.py", "tracking/schema.py"))


def _cache_folder() -> Path:
    own = os.environ.get("RAYDT_CACHE_DIR")
    try:
        folder = Path(own) if own else user_cache_path("raydt")
    except RuntimeError:  # a user who has no home
        folder = Path(tempfile.gettempdir()) / f"raydt-{os.getuid()}"
    return folder / "analyses"


def _kept(place: Path) -> _Entry | None:
    """The entry, if only this user can have written it, it is readable, and the files of its report
    are unchanged."""
    if not place.exists() or not _is_ours_alone(place.parent):
        return None
    try:
        entry = pickle.loads(place.read_bytes())
    except _UNREADABLE:
        return None  # treated as missing: the analysis is repeated
    if not isinstance(entry, _Entry) or entry.files != _stamps(Path(name) for name in entry.files):
        return None
    return entry


def _keep(place: Path, analysis: Analysis) -> None:
    """Write the entry atomically, and delete old ones."""
    files = [path for path in analysis.out_dir.rglob("*") if path.is_file()]
    try:
        data = pickle.dumps(_Entry(analysis, _stamps(files)))
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = place.with_suffix(".partial")
        partial.write_bytes(data)
        partial.replace(place)
        entries = sorted(place.parent.glob("*.pickle"), key=_changed, reverse=True)
        for number, old in enumerate(entries):
            if number >= KEPT_ENTRIES or time.time() - _changed(old) > KEPT_SECONDS:
                old.unlink(missing_ok=True)
    except (OSError, pickle.PicklingError, TypeError, AttributeError) as error:
        analysis.notes.append(
            f"The result could not be cached, so the next analysis starts from scratch: {error}"
        )


def _is_ours_alone(folder: Path) -> bool:
    """Whether only this user can write there: unpickling executes what it reads, and
    `RAYDT_CACHE_DIR` may be in a place such as /tmp, where others can create the folder first."""
    stat = folder.stat()
    return stat.st_uid == os.geteuid() and not stat.st_mode & (S_IWGRP | S_IWOTH)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # deleted by another analysis
        return 0.0


def _stamps(paths: Iterable[Path]) -> dict[str, tuple[int, int]]:
    """Size and time of change by path; -1 for what is not there."""
    found = {}
    for path in paths:
        try:
            stat = path.stat()
            found[str(path)] = (stat.st_size, stat.st_mtime_ns)
        except FileNotFoundError:
            found[str(path)] = (-1, -1)
    return found
