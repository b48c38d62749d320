"""One launch of a search: check, prepare, run the missing trials, write the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from raydt.corpora.prepared.evaluation import evaluation_bytes
from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.preparing.notes import corpus_notes
from raydt.corpora.sources.locate import Corpus
from raydt.errors import InputError, Problem, RunError
from raydt.orchestration.preflight import check_environment, check_languages
from raydt.orchestration.run.recorder import Recorder
from raydt.orchestration.search.recorder import TrialRecorder
from raydt.orchestration.start import only_launch, open_store_and_ray, prepare_languages
from raydt.storage.folder import Folder
from raydt.storage.opening import open_folder
from raydt.terminal.search_outcome import table_text
from raydt.terminal.search_progress import SearchProgress
from raydt.tracking.schema import ARTIFACT_HPARAMS, ARTIFACT_TABLE
from raydt.tracking.search_writer import SearchWriter
from raydt.tracking.store import open_store
from raydt.tuning.cost import check_budget
from raydt.tuning.hparams_file import hparams_text
from raydt.tuning.plan import SearchPlan, check_plan
from raydt.tuning.search import Search
from raydt.tuning.stage_result import StageResult
from raydt.tuning.trials import TrialRecord, check_same_search, record_search

_WRITTEN = "written.json"  # lists the files that this search has written


@dataclass(frozen=True)
class SearchOutcome:
    """The outcome of a search, and the location of its file."""

    stages: tuple[StageResult, ...]
    bytes_trained: int
    file: str
    not_recorded: Mapping[str, str]


def check_search(plan: SearchPlan, out: Path | None) -> Corpus:
    """The corpus; `InputError` with all problems that can be found before anything starts."""
    problems = check_plan(plan)
    # The cost needs a single model and sizes of the ladder.
    problems = problems or check_budget(plan)
    problems += [
        Problem("sources", "languages, because a search also pretrains", str(checkpoint))
        for checkpoint in plan.sweep.checkpoints.values()
    ]
    corpus, of_languages = check_languages(plan.sweep)
    problems += of_languages
    place, name = _place(plan, out)
    if place.exists(name) and f"{place.uri}/{name}" not in _written(plan):
        problems.append(
            Problem(
                "--out",
                "a new file, or one that this search has written",
                f"{place.uri}/{name}",
            )
        )
    if problems or corpus is None:
        raise InputError(problems)
    return corpus


def launch_search(
    plan: SearchPlan, corpus: Corpus, out: Path | None, command: str, progress: SearchProgress
) -> SearchOutcome:
    """Run the missing trials of a search that passed `check_search`, and write its file.

    Raises `InputError` before anything is written if the search cannot run here, and `RunError` if
    another launch of it is running, or if a stage failed.
    """
    problems = check_environment(plan.sweep)
    if problems:
        raise InputError(problems)
    with only_launch(plan.folder):
        return _launch(plan, corpus, out, command, progress)


def _launch(
    plan: SearchPlan, corpus: Corpus, out: Path | None, command: str, progress: SearchProgress
) -> SearchOutcome:
    sweep = plan.sweep
    progress.print(f"Preparing {sweep.corpus}: {', '.join(sweep.train_bytes())}")
    languages, locations = prepare_languages(sweep, corpus)
    for note in corpus_notes(corpus, languages):
        progress.print(f"Note: {note}", style="yellow")
    asked = sweep.protocol.asked_val_bytes
    val_bytes = {name: evaluation_bytes(each, "val", asked) for name, each in languages.items()}
    # Only the validation split decides; the test split is not read.
    digests = {name: each.digest(0, val_bytes[name], 0) for name, each in languages.items()}
    identity = plan.identity(digests)
    check_same_search(plan.folder, identity)
    record_search(plan.folder, identity)
    # Find out whether there is anything to do and, if not, the results.
    search = Search(plan, TrialRecord(plan.folder), lambda _: None)
    is_open = search.next() is not None

    def open_writer() -> SearchWriter:
        return SearchWriter(
            open_store(sweep.store_uri), sweep.store_uri, plan.experiment, sweep.name
        )

    with open_store_and_ray(sweep, open_writer, with_ray=is_open) as writer:
        if is_open:
            search = Search(plan, search.record, progress.stage_done)
        recorder = Recorder()
        trials = TrialRecorder(recorder, writer, search)
        trials.begin(identity)
        recorder.start()
        note, whole = "Interrupted; run the same command to resume.", False
        try:
            if is_open:
                _run(search, languages, locations, val_bytes, progress, trials)
            stages = tuple(search.found[stage] for stage in plan.stages if stage in search.found)
            whole = len(stages) == len(plan.stages)
            note = f"{len(search.record.finished)} trials."
            if whole:
                text = hparams_text(plan, stages, command)
                file = _write(plan, out, text)
                trials.write_text(text, ARTIFACT_HPARAMS)
                trials.write_text(table_text(plan, stages), ARTIFACT_TABLE)
        finally:
            progress.end()
            recorder.finish("the search", lambda: writer.end(note, whole))
    if not whole:
        lost = ", ".join(sorted(search.failed))
        raise RunError(f"the search is not finished: {lost} failed; run the same command to retry")
    return SearchOutcome(stages, search.bytes_trained, file, recorder.not_recorded)


def _run(
    search: Search,
    languages: Mapping[str, PreparedLanguage],
    locations: Mapping[str, str],
    val_bytes: Mapping[str, int],
    progress: SearchProgress,
    recorder: TrialRecorder,
) -> None:
    # Imported here because Ray's environment must be set first.
    from raydt.orchestration.run.fan_out import fan_out
    from raydt.orchestration.search.policy import SearchPolicy
    from raydt.orchestration.search.task import search_task

    @cache
    def digest_of(language: str, train_bytes: int) -> str:
        return languages[language].digest(train_bytes, val_bytes[language], 0)

    progress.begin(search)
    policy = SearchPolicy(
        search,
        lambda trial: search_task(search, trial, locations, val_bytes, digest_of),
        progress,
        recorder,
    )
    fan_out(policy, search.plan.folder, search.plan.sweep.max_retries)


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
    # Recorded before writing: after a kill in between, the file may be written again.
    plan.folder.write_json(_WRITTEN, sorted({*_written(plan), uri}))
    place.write(name, text.encode())
    return uri
