"""The names that raydt uses in the MLflow store.

An experiment is a sweep. A parent run is one launch of it; its children are cells. The writer
(`raydt.tracking.writer`) and the reader (`analysis`) share only this file. Names are never parsed:
facts are params, tags and metrics.
"""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """The kind of training of a cell."""

    PRETRAIN = "pretrain"  # a source
    SCRATCH = "scratch"  # a target, a size
    FINETUNE = "finetune"  # a source, a target, a size
    ZEROSHOT = "zeroshot"  # a source, a target: evaluate only
    JOINT = "joint"  # a source, a target, a size: both together from scratch, half of each


class Status(StrEnum):
    """The state of a cell, in the tag `TAG_STATUS` of its run and in the ledger."""

    WAITING = "waiting"  # for its parent, or for a slot
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # an error
    DIVERGED = "diverged"  # the loss is not finite
    BLOCKED = "blocked"  # its parent failed, so it has no run
    CANCELLED = "cancelled"  # by `raydt cancel`, until `raydt retry`


# Params of a cell's run. Few, because each costs reading time. Scratch cells have no `source` and
# pretrain cells no `target`. `size_bytes` is the bytes of training data (0 for zeroshot; for joint
# cells those of the target, which are half of the data).
PARAM_STAGE = "stage"
PARAM_SOURCE = "source"
PARAM_TARGET = "target"
PARAM_SIZE = "size"
PARAM_SIZE_BYTES = "size_bytes"
PARAM_SEED = "seed"
PARAM_MODEL = "model"
PARAM_NUM_PARAMETERS = "num_parameters"
PARAM_FLOPS_PER_BYTE = "training_flops_per_byte"  # of its model, as in the plan
PARAM_LEARNING_RATE = "learning_rate"
PARAM_BATCH_WINDOWS = "batch_windows"
PARAM_BUDGET_BYTES = "budget_bytes"

# Tags.
TAG_NOTE = "mlflow.note.content"  # MLflow's own: markdown on the run's page
TAG_KIND = "raydt.kind"
KIND_LAUNCH = "launch"
KIND_CELL = "cell"
KIND_SEARCH = "search"  # for hyperparameters, in its own experiment; not a sweep
KIND_TRIAL = "trial"  # of a search
TAG_SWEEP = "raydt.sweep"
TAG_CELL_ID = "raydt.cell_id"
TAG_FINGERPRINT = "raydt.fingerprint"
TAG_ATTEMPT = "raydt.attempt"  # the attempt at the cell that the run shows
TAG_PARENT_CELL = "raydt.parent_cell_id"  # the cell that a finetune or zeroshot starts from
TAG_PARENT_RUN = "raydt.parent_run"  # the run of that cell: a URL, or runs:/ID
TAG_CHECKPOINT = "raydt.checkpoint"  # what it starts from, if that is not a cell of its sweep
TAG_MIXTURE = "raydt.mixture"  # JSON, language -> share of the bytes, for a mixture
TAG_VERSION = "raydt.version"  # the version of raydt that wrote the run
TAG_ADDED_FOR = "raydt.added_for"  # why a refinement added the cell to its sweep, one line
TAG_STATUS = "raydt.status"
TAG_REASON = "raydt.reason"  # why a cell failed or diverged, one line
TAG_STOPPED = "raydt.stopped"  # why training ended: a `Stop`
TAG_PRECISION = "raydt.precision"  # the dtype that a cell was computed in
# Results of `raydt probe`, in JSON: {"pairs": DIGEST, "kinds": {KIND: [num_right, num_pairs]}}.
TAG_PROBES = "raydt.probes"
TAG_TRIAL_ID = "raydt.trial_id"
TAG_IMPORT = "raydt.import"  # launch: digest of the rows of `raydt import`


class Stop(StrEnum):
    """Why the training of a done cell stopped."""

    CONVERGED = "converged"  # validation loss stopped improving
    BUDGET = "budget"  # the byte budget was used up: perhaps not converged
    EVALUATED = "evaluated"  # zeroshot: not trained


# Metrics with a history; the step is the number of bytes seen.
METRIC_TRAIN_LOSS = "train/loss"  # nats per byte
METRIC_VAL_LOSS = "val/loss"  # nats per byte
METRIC_VAL_BPB = "val/bpb"  # bits per byte
METRIC_BYTES_PER_SECOND = "throughput/bytes_per_second"
# Model FLOP/s as a share of the GPU's data sheet (bfloat16, dense), and of what large matrix
# products reach on the same GPU. Not for CPUs and fractions of a GPU.
METRIC_MFU = "throughput/mfu"
METRIC_MFU_OF_MATMUL = "throughput/mfu_of_matmul"

# System metrics, if enabled, followed by MLflow's own names.
METRICS_OF_SYSTEM = "system/"

# Final numbers, logged once under their own names, because MLflow's list of runs shows the last
# value of a metric, not its best. All are for the checkpoint with the best validation loss.
METRIC_TEST_LOSS = "test/loss"
METRIC_TEST_BPB = "test/bpb"
METRIC_TEST_LOSS_STDERR = "test/loss_stderr"  # over documents, nats per byte
METRIC_BEST_VAL_LOSS = "best/val_loss"
METRIC_BEST_BYTES_SEEN = "best/bytes_seen"
METRIC_BYTES_SEEN = "final/bytes_seen"
METRIC_SECONDS = "final/seconds"
# Estimated decrease of the log loss after another doubling of the bytes seen, from the cell's own
# validation curve: 0.004 is 0.4 %. Missing in cells of earlier versions, and in imported ones.
METRIC_UNFINISHED = "final/unfinished"
# For a finetune or zeroshot: the share of the bytes of the target's test split that never occur in
# the source's training data.
METRIC_UNSEEN_SHARE = "final/unseen_share"
# For a finetune: the loss on its source's test split (the one the pretrain was tested on), and its
# increase over the pretrain's loss. Missing if not measured (no text of the source, earlier
# versions, --forgetting false).
METRIC_SOURCE_LOSS = "source/loss"  # nats per byte
METRIC_SOURCE_BPB = "source/bpb"
METRIC_SOURCE_LOSS_RISE = "source/loss_rise"  # nats per byte; negative if it improved
# Final numbers of a cell, by their names in results, tables and imported rows.
FINAL_METRICS = {
    "test_loss": METRIC_TEST_LOSS,
    "test_bpb": METRIC_TEST_BPB,
    "test_loss_stderr": METRIC_TEST_LOSS_STDERR,
    "best_val_loss": METRIC_BEST_VAL_LOSS,
    "best_bytes_seen": METRIC_BEST_BYTES_SEEN,
    "bytes_seen": METRIC_BYTES_SEEN,
    "seconds": METRIC_SECONDS,
    "unfinished": METRIC_UNFINISHED,
    "unseen_share": METRIC_UNSEEN_SHARE,
    "source_loss": METRIC_SOURCE_LOSS,
    "source_bpb": METRIC_SOURCE_BPB,
    "source_loss_rise": METRIC_SOURCE_LOSS_RISE,
}
# Metrics in bits that have a counterpart in nats: tables show only one unit.
BITS = ("test_bpb", "source_bpb")
# Added by `raydt probe`: the share of minimal pairs whose good text is more probable, for all pairs
# and for each kind.
METRIC_PROBE_ACCURACY = "probe/accuracy"
METRIC_PROBE_ACCURACY_OF = "probe/accuracy_{kind}"
# Added by `raydt analyze` to joint cells.
METRIC_BILINGUAL_SCORE = "BTS"
METRIC_SCORE = "score"  # of a trial: smaller is better, 0 is the original recipe

# Added by `raydt analyze` to finetunes: D_E and D_T of the cell's source, target and size, the same
# for all its seeds. Only if they are inside the ladder, because a bound is not a number.
METRIC_EFFECTIVE_BYTES = "D_E/bytes"
METRIC_TRANSFERRED_BYTES = "D_T/bytes"

# The same, by the share of minimal pairs that cells get wrong instead of the loss.
METRIC_EFFECTIVE_BY_ACCURACY = "D_E/by_accuracy_bytes"
METRIC_TRANSFERRED_BY_ACCURACY = "D_T/by_accuracy_bytes"

# Headline numbers of a launch (the parent run). The last two are written by `raydt analyze`, for
# the sources, targets and sizes that are worth showing: the BTS, and D_T in bytes.
METRIC_CELLS_DONE = "cells/done"
METRIC_CELLS_TOTAL = "cells/total"
METRIC_CELLS_WITH_STATUS = "cells/{status}"
METRIC_LAUNCH_BYTES_SEEN = "cells/bytes_seen"  # by all cells of the sweep that have a result
METRIC_LAUNCH_BILINGUAL = "BTS/{target} {size} with {source}"
METRIC_LAUNCH_TRANSFERRED = "D_T/{target} {size} from {source}"

# The UI opens with launches, their cells collapsed; these are more useful views (see
# `raydt.tracking.views`), and the page that opens one. `{id}` is the experiment's id.
CELLS_VIEW = "raydt-cells"
TRANSFER_VIEW = "raydt-transfer"
LAUNCHES_VIEW = "raydt-launches"
VIEW_PAGE = "/#/experiments/{id}/runs?workflowType=machine_learning&viewStateShareKey={view}"

# Artifacts of a launch (the parent run).
ARTIFACT_PLAN = "plan.json"  # list of the sweep's cells, each with the fields of `PLAN_FIELDS`
ARTIFACT_SWEEP = "sweep.json"  # the sweep as it was launched, every default filled in
ARTIFACT_REPORT = "report"  # folder: report.html, tables, figures
PLAN_FIELDS = (
    "cell_id",
    "stage",
    "source",  # null for scratch
    "target",  # null for pretrain
    "size",
    "size_bytes",
    "seed",
    "model",
    "parent_cell_id",  # null for pretrain and scratch
    "fingerprint",  # of the cell's run; a run with another one belongs to another protocol
)
OPTIONAL_PLAN_FIELDS = ("fingerprint",)  # missing in plans of earlier versions

# Artifacts of a search.
ARTIFACT_SEARCH = "search.json"  # the plan of the search
ARTIFACT_HPARAMS = "hparams.toml"  # the result
ARTIFACT_TABLE = "table.txt"  # the table of its evidence
