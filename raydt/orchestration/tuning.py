"""One launch of a search: check, prepare, run what is missing, write the file."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raydt.corpora.prepared.evaluation import evaluation_bytes
from raydt.corpora.sources.locate import Corpus
from raydt.errors import InputError, Problem, RunError
from raydt.grid.lease import LaunchLease
from raydt.orchestration.launch import interrupt, prepare_languages
from raydt.orchestration.preflight import check_languages, check_surroundings
from raydt.orchestration.runtime import ray_started, set_environment
from raydt.orchestration.tuning_recorder import SearchRecorder
from raydt.storage.folder import Folder
from raydt.storage.opening import open_folder
from raydt.terminal.search_outcome import table_text
from raydt.terminal.search_progress import SearchProgress
from raydt.tracking.schema import ARTIFACT_HPARAMS, ARTIFACT_TABLE, Stage
from raydt.tracking.store import open_store
from raydt.tuning.cost import check_budget
from raydt.tuning.hparams_file import hparams_text
from raydt.tuning.plan import SearchPlan, check_plan
from raydt.tuning.search import Search, StageFound
from raydt.tuning.space import BUDGET
from raydt.tuning.trial import Kind, Trial
from raydt.tuning.trials import TrialRecord, check_same_search, record_search

_PARENTS = "parents"
_WRITTEN = "written.json"  # the files that this search has written


@dataclass(frozen=True)
class Found:
    """What a search came to, and where it stands."""

    stages: tuple[StageFound, ...]
    bytes_trained: int
    file: str
    not_recorded: Mapping[str, str]


def check_search(plan: SearchPlan, out: Path | None) -> Corpus:
    """The corpus as it is found; `InputError` with all that can be known to be wrong before
    anything starts."""
    problems = check_plan(plan)
    # Without one model and sizes of the ladder there is nothing to be paid.
    problems = problems or check_budget(plan)
    corpus, of_languages = check_languages(plan.sweep)
    problems += of_languages
    place, name = _place(plan, out)
    if place.exists(name) and f"{place.uri}/{name}" not in _written(plan):
        problems.append(
            Problem(
                "--out",
                "a file that is not there yet, or one that this very search has written",
                f"{place.uri}/{name}",
            )
        )
    if problems or corpus is None:
        raise InputError(problems)
    return corpus


def launch_search(
    plan: SearchPlan, corpus: Corpus, out: Path | None, command: str, progress: SearchProgress
) -> Found:
    """Run what is missing of a search that `check_search` found possible, and write its file.

    Raises `InputError` before anything is written if the search cannot run here, and `RunError` if
    another launch of it is running, or if a stage came to no end.
    """
    problems = check_surroundings(plan.sweep)
    if problems:
        raise InputError(problems)
    with LaunchLease(plan.folder, on_lost=interrupt) as lease:
        try:
            return _launch(plan, corpus, out, command, progress)
        except KeyboardInterrupt:
            lease.check_held()
            raise


def _launch(
    plan: SearchPlan, corpus: Corpus, out: Path | None, command: str, progress: SearchProgress
) -> Found:
    sweep = plan.sweep
    progress.say(f"Preparing {sweep.corpus}: {', '.join(sweep.train_bytes())}")
    languages, locations = prepare_languages(sweep, corpus)
    asked = sweep.protocol.asked_val_bytes
    val_bytes = {name: evaluation_bytes(each, "val", asked) for name, each in languages.items()}
    # Of the split that decides; the test split is not opened.
    digests = {name: each.digest(0, val_bytes[name], 0) for name, each in languages.items()}
    identity = plan.identity(digests)
    check_same_search(plan.folder, identity)
    record_search(plan.folder, identity)
    set_environment()
    # Only asked whether there is anything to do, and if not, what was found.
    search = Search(plan, TrialRecord(plan.folder), lambda _: None)

    def open_recorder() -> SearchRecorder:
        return SearchRecorder(open_store(sweep.store_uri), search, identity)

    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        opening = pool.submit(open_recorder)
        first = search.next()
        if first is not None:
            stack.enter_context(
                ray_started(sweep.num_slots, sweep.cpus_per_cell, sweep.gpus_per_cell)
            )
            from raydt.orchestration.tuning_fan_out import fan_out_search
        recorder = opening.result()
        recorder.start()
        note, whole = "Cut off; the same command goes on.", False
        try:
            if first is not None:
                search = Search(plan, search.record, progress.found)
                recorder.search = search
                progress.begin(search)
                fan_out_search(
                    search,
                    lambda trial: _task(search, trial, locations, val_bytes),
                    progress,
                    recorder.ended,
                )
            stages = tuple(search.found[stage] for stage in plan.stages if stage in search.found)
            whole = len(stages) == len(plan.stages)
            note = f"{len(search.record.finished)} trials."
            if whole:
                text = hparams_text(plan, stages, command)
                file = _write(plan, out, text)
                recorder.write_text(text, ARTIFACT_HPARAMS)
                recorder.write_text(table_text(plan, stages), ARTIFACT_TABLE)
        finally:
            progress.end()
            recorder.finish(note, whole)
    if not whole:
        lost = ", ".join(sorted(search.failed))
        raise RunError(f"the search came to no end: {lost} failed; the same command tries again")
    return Found(stages, search.bytes_trained, file, recorder.not_recorded)


def _task(
    search: Search, trial: Trial, locations: Mapping[str, str], val_bytes: Mapping[str, int]
) -> dict[str, Any]:
    plan = search.plan
    sweep, protocol = plan.sweep, plan.sweep.protocol
    weights = None
    if trial.stage is Stage.FINETUNE:
        assert trial.source is not None
        parent = search.weights_of(trial.source)
        assert parent is not None
        weights = {
            "folder": (plan.folder / _PARENTS).uri,
            "name": _weights_name(parent.trial),
            "sha256": parent.weights_sha256,
        }
    keep = None
    if trial.kind is Kind.PARENT:
        keep = {"folder": (plan.folder / _PARENTS).uri, "name": _weights_name(trial)}
    return {
        "study": f"{trial.stage} {trial.size.num_bytes}",
        "model": plan.model_name,
        "recipe": trial.recipe.model_dump(mode="json"),
        "size_bytes": trial.size.num_bytes,
        "seed": trial.seed,
        "evaluation_growth": protocol.evaluation_growth,
        "evaluations": protocol.evaluations,
        "tolerance": protocol.tolerance,
        "patience": protocol.patience,
        "val_bytes": val_bytes[trial.data_language],
        "language": locations[trial.data_language],
        "cache": str(sweep.local_storage / "cache"),
        "cpus": sweep.cpus_per_cell,
        "initial_weights": weights,
        "keep_weights": keep,
        "reference": search.reference(trial),
        "budget_factor": trial.factors.get(BUDGET.name, 1.0),
    }


def _weights_name(parent: Trial) -> str:
    return f"{parent.source}-{parent.origin}.safetensors"


def _place(plan: SearchPlan, out: Path | None) -> tuple[Folder, str]:
    if out is None:
        return plan.sweep.folder, "hparams.toml"
    return open_folder(out.resolve().parent), out.name


def _written(plan: SearchPlan) -> list[str]:
    written: list[str] = plan.folder.read_json(_WRITTEN) or []
    return written


def _write(plan: SearchPlan, out: Path | None, text: str) -> str:
    place, name = _place(plan, out)
    uri = f"{place.uri}/{name}"
    # Said before it is done: a launch that is killed between may write it again.
    plan.folder.write_json(_WRITTEN, sorted({*_written(plan), uri}))
    place.write(name, text.encode())
    return uri
