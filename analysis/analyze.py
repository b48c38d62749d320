"""From a store to a report: what `raydt analyze` does."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from analysis.alarms.alarm import step_limited
from analysis.alarms.every import alarms
from analysis.answer import Answer, answer
from analysis.arrays import Floats
from analysis.claims.every import NUM_PERMUTATIONS, claim_answers
from analysis.claims.evidence import evidence
from analysis.claims.predictors import CorpusFacts, corpus_facts
from analysis.completion.completed import completed
from analysis.curves.scores_in_words import bilingual_sentences
from analysis.curves.stored import stored_crossovers
from analysis.effective import Resamples, effective_with_draws, estimates_table
from analysis.estimators.registry import DEFAULT, estimator_named
from analysis.forgetting import forgetting
from analysis.ladder import cell_means, ladders
from analysis.laws.ladders import fit_ladders
from analysis.laws.one_law import one_law_tests
from analysis.laws.transfer_table import transfer_laws
from analysis.probes import probe_table
from analysis.report.folder import require_ours
from analysis.report.logged import log_answer
from analysis.report.outputs import write_outputs
from analysis.result import REPORT, Analysis, Methods
from analysis.second_process import InlineExecutor
from analysis.store.facts import flops_per_byte, mixtures, num_parameters
from analysis.store.read import SweepRuns, mlflow_errors, read_sweep
from analysis.table import tidy
from analysis.uncertainty.noise import pooled_noise
from analysis.uncertainty.resample import draw_means
from raydt.errors import InputError, RunError, bad
from raydt.tracking.schema import PARAM_STAGE, TAG_PROBES, Stage


class Options(TypedDict, total=False):
    """Options of `analyze`; those left out have its defaults."""

    estimator: str
    confidence: float
    num_resamples: int
    random_seed: int
    log_to_store: bool
    corpora_dir: Path | None


def analyze(
    store_uri: str,
    sweep: str | None,
    out_dir: Path | Callable[[str], Path],
    *,
    estimator: str = DEFAULT,
    confidence: float = 0.90,
    num_resamples: int = 1000,
    random_seed: int = 0,
    log_to_store: bool = True,
    runs: SweepRuns | None = None,
    corpora_dir: Path | None = None,
    executor: Executor | None = None,
    on_step: Callable[[str], None] = lambda _: None,
    on_computed: Callable[[Analysis], None] = lambda _: None,
) -> Analysis:
    """Analyse a sweep in a store (the most recently launched one if `sweep` is None).

    Writes tables, figures and report.html into `out_dir` (or the folder that it returns for the
    name of the sweep), which appears complete or not at all, and logs that folder to the newest
    launch, with the answer as its note and metrics (`analysis.report.logged`). If only that last
    step fails, the analysis is returned with a note. `corpora_dir` holds prepared corpora, whose
    manifests give bytes per character and contamination. `runs`: the result of `read_sweep` for
    this store and sweep, if it was read before. `executor` runs what can run concurrently
    (`analysis.second_process`); without one, this process runs it. `on_step` receives the current
    step, and `on_computed` the analysis before it is written, which takes as long again.

    Raises `InputError` for a store or sweep that does not exist, an unknown estimator, a confidence
    or a number of resamples out of range, or an `out_dir` with other files; `RunError` if no cell
    relevant to D_T is done yet.
    """
    estimator_named(estimator)
    if not 0 < confidence < 1:
        raise bad("confidence", "more than 0 and less than 1", confidence)
    if num_resamples < 100:
        raise bad("resamples", "at least 100", num_resamples)
    if runs is None:
        runs = read_sweep(store_uri, sweep)
    out_dir = (out_dir(runs.sweep) if callable(out_dir) else out_dir).absolute()
    require_ours(out_dir, runs.sweep)
    executor = executor or InlineExecutor()
    analysis = computed(
        runs,
        out_dir,
        store_uri=store_uri,
        estimator=estimator,
        confidence=confidence,
        num_resamples=num_resamples,
        random_seed=random_seed,
        corpora_dir=corpora_dir,
        executor=executor,
        on_step=on_step,
    )
    on_computed(analysis)
    meanwhile = [partial(_import_mlflow, store_uri)] if log_to_store else []
    write_outputs(analysis, executor, meanwhile, on_step)
    if log_to_store:
        on_step("logging the report to the store")
        refused: tuple[type[BaseException], ...] = (*mlflow_errors(), InputError, OSError)
        try:
            log_answer(store_uri, analysis)
            analysis.logged = True
        except refused as error:
            analysis.notes.append(f"The report could not be logged to the store: {error}")
    return analysis


def computed(
    runs: SweepRuns,
    out_dir: Path,
    *,
    store_uri: str,
    estimator: str,
    confidence: float,
    num_resamples: int,
    random_seed: int,
    corpora_dir: Path | None,
    executor: Executor,
    on_step: Callable[[str], None],
) -> Analysis:
    """The analysis of `runs`, without writing anything. `RunError` as in `analyze`."""
    on_step(f"{len(runs.cells):,} runs: means and resamples")
    table = tidy(runs)
    means = cell_means(table.cells)
    if means.empty:
        states = table.cells["status"].value_counts().sort_index()
        shown = ", ".join(f"{number} {status}" for status, number in states.items())
        left_out = f"; {table.problems[0]}" if table.problems else ""
        raise RunError(
            f"nothing to analyse in sweep {runs.sweep!r}: no scratch, finetune or zeroshot cell "
            f"is done (cells with a run: {shown or 'none'}){left_out}"
        )
    cost = flops_per_byte(runs)
    trained = [
        run.run_id
        for run in runs.cells
        if run.params.get(PARAM_STAGE) in (Stage.SCRATCH, Stage.FINETUNE, Stage.JOINT)
    ]
    crossed = executor.submit(
        stored_crossovers, store_uri, runs.experiment_id, trained, table.cells, confidence, cost
    )
    noise = pooled_noise(means, table.cells)
    random = np.random.default_rng(random_seed)
    drawn = draw_means(means, noise, num_resamples=num_resamples, random=random, cells=table.cells)
    resamples = Resamples(drawn, confidence)
    estimates = executor.submit(estimates_table, means, resamples)
    effective, draws = effective_with_draws(means, resamples, estimator=estimator, noise=noise)
    probes = probe_table(
        table.cells,
        {run.run_id: run.tags[TAG_PROBES] for run in runs.cells if TAG_PROBES in run.tags},
        effective,
        estimator=estimator,
        confidence=confidence,
        num_resamples=num_resamples,
        random_seed=random_seed,
    )
    missing = executor.submit(completed, effective, confidence)
    found = ladders(means)
    law_fits, laws = fit_ladders(found, _drawn_ladders(means, drawn), confidence)
    parameters = num_parameters(runs)
    on_step("transfer laws")
    transfer = transfer_laws(
        effective,
        parameters=parameters,
        draws=draws,
        confidence=confidence,
        random_seed=random_seed,
    )
    one_law = one_law_tests(effective, parameters=parameters, draws=draws, random_seed=random_seed)
    raised = alarms(table, means, found, effective, laws, noise)
    facts = CorpusFacts()
    if corpora_dir is not None:
        facts = corpus_facts(corpora_dir, {*effective["source"], *effective["target"]})
    known = evidence(effective, means, noise, draws, step_limited(raised))
    on_step("claims")
    curves = crossed.result()
    claims = claim_answers(
        effective,
        noise=known,
        facts=facts,
        confidence=confidence,
        random_seed=random_seed,
        bilingual=curves.bilingual,
    )
    return Analysis(
        store_uri=runs.store_uri,
        sweep=runs.sweep,
        experiment_id=runs.experiment_id,
        launch_run_id=runs.launches[0].run_id,
        table=table,
        means=means,
        ladders=found,
        effective=effective,
        law_fits=law_fits,
        laws=laws,
        answer=_with_bilingual(answer(effective, known), curves.bilingual),
        alarms=[str(alarm) for alarm in raised],
        raised=raised,
        claims=claims,
        notes=[*runs.notes, *probes.notes, *filter(None, [curves.note])],
        methods=Methods(estimator, confidence, num_resamples, random_seed, noise, NUM_PERMUTATIONS),
        out_dir=out_dir,
        report_path=out_dir / REPORT,
        estimates=estimates.result(),
        transfer_laws=transfer,
        one_law=one_law,
        crossovers=curves.crossings,
        drawn_curves=curves.drawn,
        flops_per_byte=cost,
        probes=probes,
        bilingual=curves.bilingual,
        forgetting=forgetting(table.cells, confidence),
        completed=missing.result(),
        mixtures=mixtures(runs),
    )


def _with_bilingual(found: Answer, bilingual: pd.DataFrame) -> Answer:
    """The answer, with sentences about bilingual training added."""
    return replace(found, per_target=[*found.per_target, *bilingual_sentences(bilingual)])


def _import_mlflow(store_uri: str) -> None:
    """Import what logging needs. That takes two seconds, but no time while figures are drawn."""
    import_module("analysis.store.api")
    if not store_uri.startswith("http"):
        import_module("mlflow.store.tracking.sqlalchemy_store")


def _drawn_ladders(means: pd.DataFrame, drawn: Floats) -> dict[tuple[str, str], Floats]:
    scratch = means[means["stage"] == Stage.SCRATCH]
    found = {}
    for (model, target), rungs in scratch.groupby(["model", "target"], sort=True):
        log_loss = drawn[:, rungs.sort_values("size_bytes").index.to_numpy()]
        if np.isfinite(log_loss).all():
            found[str(model), str(target)] = log_loss
    return found
