"""An analysis that was made before, taken up again where nothing has changed.

The store is read anew each time, which takes about a second for 10,000 runs of a SQL store; what
is kept is only what follows from it. The key is a digest of every fact that was read, of the plan,
the options, the corpora's manifests, the libraries' versions and raydt's own source, so an entry
can be unused but never stale; and it counts only while the files of its report are as they were
written. It lies in the user's own cache folder (`RAYDT_CACHE_DIR` names another) and not beside the
report, because it is a pickle, and reports are handed around.
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
from analysis.beside import Beside, this_process
from analysis.report.folder import require_ours
from analysis.store.read import SweepRuns, read_sweep

if TYPE_CHECKING:
    from analysis.analyze import Options
    from analysis.result import Analysis

KEPT_ENTRIES = 20
KEPT_SECONDS = 90 * 24 * 3600
_LIBRARIES = ("numpy", "pandas", "scipy", "matplotlib", "pyarrow", "jinja2")
# What the process beside this one is for.
_BESIDE = ("analysis.curves.stored", "analysis.effective", "analysis.report.figures")
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
    beside: Beside = this_process,
    on_computed: Callable[[Analysis], None] = lambda _: None,
    **options: Unpack[Options],
) -> tuple[Analysis, bool]:
    """`analysis.analyze.analyze`, or what it gave before; and whether it was taken from before.

    Takes the same arguments and raises the same errors. `beside` gives a new analysis help, such as
    `second_process`; `on_computed` is given a new one before its tables and figures are written.
    """
    on_step("reading the store")
    runs = read_sweep(store_uri, sweep)
    folder = (out_dir(runs.sweep) if callable(out_dir) else out_dir).absolute()
    require_ours(folder, runs.sweep)
    place = _cache_folder() / f"{_key(runs, folder, options)}.pickle"
    entry = _kept(place)
    if entry is not None:
        return entry.analysis, True
    on_step("starting")
    with beside(_BESIDE) as executor:
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
    # A report that could not be logged is not kept: the next analysis tries again.
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
    """Everything that decides what an analysis says: this package, and the leaves it rests on."""
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
    """The entry, if nobody else can have written it, it can be read, and the files it wrote are as
    it left them."""
    if not place.exists() or not _is_ours_alone(place.parent):
        return None
    try:
        entry = pickle.loads(place.read_bytes())
    except _UNREADABLE:
        return None  # as good as none: it is made anew
    if not isinstance(entry, _Entry) or entry.files != _stamps(Path(name) for name in entry.files):
        return None
    return entry


def _keep(place: Path, analysis: Analysis) -> None:
    """Write the entry, whole or not at all, and let old ones go."""
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
        analysis.notes.append(f"The next analysis starts from nothing: {error}")


def _is_ours_alone(folder: Path) -> bool:
    """Whether only this user can put files there: unpickling runs what it reads, and
    `RAYDT_CACHE_DIR` may name a place such as /tmp, where others can have made the folder first."""
    stat = folder.stat()
    return stat.st_uid == os.geteuid() and not stat.st_mode & (S_IWGRP | S_IWOTH)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another analysis has let it go
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
