"""The names under which a sweep stands in the MLflow store.

An experiment is a sweep. A parent run is one launch of it; its children are cells. The writer
(`raydt.tracking.writer`) and the reader (`analysis`) share this file and nothing else, and no fact
is ever parsed back out of a name: facts are params, tags and metrics.
"""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """What a cell does."""

    PRETRAIN = "pretrain"  # a source
    SCRATCH = "scratch"  # a target, a size
    FINETUNE = "finetune"  # a source, a target, a size
    ZEROSHOT = "zeroshot"  # a source, a target: evaluate only
    JOINT = "joint"  # a source, a target, a size of it: both at once from scratch, by halves


class Status(StrEnum):
    """How far a cell is; the tag `TAG_STATUS` of its run, and the ledger's answer."""

    WAITING = "waiting"  # for its parent, or for a slot
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # an error
    DIVERGED = "diverged"  # a loss that is not finite
    BLOCKED = "blocked"  # its parent failed; such a cell has no run
    CANCELLED = "cancelled"  # by `raydt cancel`, until `raydt retry`


# Params of a cell's run. Few: each costs reading time. `source` is absent from scratch cells and
# `target` from pretrain cells; `size_bytes` is the bytes of training data (0 for zeroshot; of joint
# cells those of the target, which are half of what they read).
PARAM_STAGE = "stage"
PARAM_SOURCE = "source"
PARAM_TARGET = "target"
PARAM_SIZE = "size"
PARAM_SIZE_BYTES = "size_bytes"
PARAM_SEED = "seed"
PARAM_MODEL = "model"
PARAM_NUM_PARAMETERS = "num_parameters"
PARAM_FLOPS_PER_BYTE = "training_flops_per_byte"  # of its model, as the plan counts them
PARAM_LEARNING_RATE = "learning_rate"
PARAM_BATCH_WINDOWS = "batch_windows"
PARAM_BUDGET_BYTES = "budget_bytes"

# Tags.
TAG_NOTE = "mlflow.note.content"  # MLflow's own: markdown on the run's page
TAG_KIND = "raydt.kind"
KIND_LAUNCH = "launch"
KIND_CELL = "cell"
KIND_SEARCH = "search"  # of hyperparameters, in an experiment of its own; no sweep
KIND_TRIAL = "trial"  # of a search
TAG_SWEEP = "raydt.sweep"
TAG_CELL_ID = "raydt.cell_id"
TAG_FINGERPRINT = "raydt.fingerprint"
TAG_ATTEMPT = "raydt.attempt"  # which attempt at the cell the run shows
TAG_PARENT_CELL = "raydt.parent_cell_id"  # what a finetune or zeroshot cell starts from
TAG_PARENT_RUN = "raydt.parent_run"  # where the run of that cell is: an address, or runs:/ID
TAG_CHECKPOINT = "raydt.checkpoint"  # what it starts from, if that is no cell of its sweep
TAG_MIXTURE = "raydt.mixture"  # JSON, language -> share of the bytes, of a source that is several
TAG_VERSION = "raydt.version"  # of raydt, that wrote the run
TAG_ADDED_FOR = "raydt.added_for"  # why a refinement added the cell to its sweep, one line
TAG_STATUS = "raydt.status"
TAG_REASON = "raydt.reason"  # why a cell failed or diverged, one line
TAG_STOPPED = "raydt.stopped"  # why training ended: a `Stop`
TAG_PRECISION = "raydt.precision"  # the dtype that a cell was computed in
# What `raydt probe` found, in JSON: {"pairs": DIGEST, "kinds": {KIND: [num_right, num_pairs]}}.
TAG_PROBES = "raydt.probes"
TAG_TRIAL_ID = "raydt.trial_id"
TAG_IMPORT = "raydt.import"  # launch: digest of the rows that `raydt import` took in


class Stop(StrEnum):
    """Why the training of a cell that is done came to its end."""

    CONVERGED = "converged"  # validation loss stopped improving
    BUDGET = "budget"  # the budget of bytes was used up: perhaps not converged
    EVALUATED = "evaluated"  # zeroshot: nothing was trained


# Metrics with a history; the step is the number of bytes seen.
METRIC_TRAIN_LOSS = "train/loss"  # nats per byte
METRIC_VAL_LOSS = "val/loss"  # nats per byte
METRIC_VAL_BPB = "val/bpb"  # bits per byte
METRIC_BYTES_PER_SECOND = "throughput/bytes_per_second"
# Model FLOPs as a share of the GPU's data sheet (bfloat16, dense), and of what large matrix
# products reach on the same GPU. Neither is of a CPU or of a part of a GPU.
METRIC_MFU = "throughput/mfu"
METRIC_MFU_OF_MATMUL = "throughput/mfu_of_matmul"

# What the machine did, where MLflow is to have it; MLflow's own names follow.
METRICS_OF_SYSTEM = "system/"

# Final numbers, logged once under names of their own, because MLflow's list of runs holds the
# last value of a metric and not its best. All are of the checkpoint with the best validation loss.
METRIC_TEST_LOSS = "test/loss"
METRIC_TEST_BPB = "test/bpb"
METRIC_TEST_LOSS_STDERR = "test/loss_stderr"  # over documents, nats per byte
METRIC_BEST_VAL_LOSS = "best/val_loss"
METRIC_BEST_BYTES_SEEN = "best/bytes_seen"
METRIC_BYTES_SEEN = "final/bytes_seen"
METRIC_SECONDS = "final/seconds"
# How much lower the log loss would be after another doubling of the bytes seen, estimated from the
# cell's own validation curve: 0.004 is 0.4 %. Cells of earlier versions, and of others, lack it.
METRIC_UNFINISHED = "final/unfinished"
# Of a finetune or zeroshot: which share of the bytes of the target's test split never occurs in the
# source's training data.
METRIC_UNSEEN_SHARE = "final/unseen_share"
# Of a finetune: the loss on its source's test split, as the pretrain was tested, and how much more
# that is than the pretrain's. Absent where it was not measured (no text of the source, earlier
# versions, --forgetting false).
METRIC_SOURCE_LOSS = "source/loss"  # nats per byte
METRIC_SOURCE_BPB = "source/bpb"
METRIC_SOURCE_LOSS_RISE = "source/loss_rise"  # nats per byte; below 0: it has become better
# What a cell ends with, by its name in results, tables and imported rows.
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
# In bits what another says in nats: tables have one unit.
BITS = ("test_bpb", "source_bpb")
# What `raydt probe` adds to a cell: the share of minimal pairs whose good text it finds the more
# probable, of all and of each kind.
METRIC_PROBE_ACCURACY = "probe/accuracy"
METRIC_PROBE_ACCURACY_OF = "probe/accuracy_{kind}"
# What `raydt analyze` adds to the cells that were trained on two languages at once.
METRIC_BILINGUAL_SCORE = "BTS"
METRIC_SCORE = "score"  # of a trial: the smaller the better, 0 is the recipe as it was

# What `raydt analyze` adds to the cells that were finetuned: D_E and D_T of the cell's source,
# target and size, the same for all its seeds. Only where they lie inside the ladder: a bound is no
# number.
METRIC_EFFECTIVE_BYTES = "D_E/bytes"
METRIC_TRANSFERRED_BYTES = "D_T/bytes"

# The same, read off a ladder of the share of minimal pairs that cells get wrong.
METRIC_EFFECTIVE_BY_ACCURACY = "D_E/by_accuracy_bytes"
METRIC_TRANSFERRED_BY_ACCURACY = "D_T/by_accuracy_bytes"

# Headline numbers of a launch (the parent run). The last are written by `raydt analyze`, one for
# each source, target and size that is worth showing: D_T in bytes.
METRIC_CELLS_DONE = "cells/done"
METRIC_CELLS_TOTAL = "cells/total"
METRIC_CELLS_WITH_STATUS = "cells/{status}"
METRIC_LAUNCH_BYTES_SEEN = "cells/bytes_seen"  # by all cells of the sweep that have a result
METRIC_LAUNCH_BILINGUAL = "BTS/{target} {size} with {source}"
METRIC_LAUNCH_TRANSFERRED = "D_T/{target} {size} from {source}"

# The UI opens on launches, their cells folded away; these are views of it that say more (see
# `raydt.tracking.views`), and the page on which one opens. `{id}` is the experiment's.
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
    "fingerprint",  # of the cell's run; a run with another one is of another protocol
)
OPTIONAL_PLAN_FIELDS = ("fingerprint",)  # plans of earlier versions lack it

# Artifacts of a search.
ARTIFACT_SEARCH = "search.json"  # what is searched
ARTIFACT_HPARAMS = "hparams.toml"  # what was found
ARTIFACT_TABLE = "table.txt"  # what it is worth
