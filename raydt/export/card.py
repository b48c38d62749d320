"""The model card of a cell: its data, its training, its losses and how to load it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from raydt.config.model import ModelConfig
from raydt.config.recipe import Recipe
from raydt.corpora.prepared.manifest import Manifest
from raydt.grid.cell import Cell
from raydt.grid.result import Result
from raydt.units import approximate_bytes

# An ISO 639 code, optionally with a script or region: what the Hub accepts as a language.
_CODE = re.compile(r"[a-z]{2,3}([-_][A-Za-z]{2,4})?")
_LICENCE = re.compile(r"[a-z0-9.-]+")
_LOAD = """\
## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("{name}", trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained("{name}", trust_remote_code=True)

text = tokenizer("...", return_tensors="pt")
print(tokenizer.decode(model.generate(**text, max_new_tokens=100, do_sample=True)[0]))

# Mean loss per byte in nats, of a text of any length, in overlapping windows:
model.byte_losses(text.input_ids[0, 1:]).mean()
```

A token is a byte and its id is the value of the byte. Byte 0 precedes every text and separates
documents.
"""


def model_card(
    name: str,
    cell: Cell,
    result: Result,
    model: ModelConfig,
    recipe: Recipe | None,
    manifests: Sequence[Manifest],
    start: str | None,
) -> str:
    """Markdown with the Hub's YAML header. `manifests` are those of the training languages, the
    source first; `start` says what a finetune started from."""
    parts = [
        _header(manifests),
        f"# {name}",
        f"A byte-level language model, trained by [raydt]: {_sentence(cell, start)}.",
        "[raydt]: https://arxiv.org/abs/2404.08191",
        _table("Model", _model_rows(cell, model)),
        _table("Losses", _loss_rows(result)),
        _text(manifests),
        _table("Training", _training_rows(cell, result, recipe)),
        _LOAD.format(name=name),
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _header(manifests: Sequence[Manifest]) -> str:
    """The YAML header; JSON strings and lists are valid YAML."""
    codes = [m.language for m in manifests if _CODE.fullmatch(m.language)]
    lines = ["---", "library_name: transformers", "pipeline_tag: text-generation"]
    if codes:
        lines.append(f"language: {json.dumps(list(dict.fromkeys(codes)))}")
    licences = {manifest.licence for manifest in manifests}
    only = licences.pop() if len(licences) == 1 else None
    if only is not None and _LICENCE.fullmatch(only):
        lines.append(f"license: {only}")
    elif only is not None:
        lines += ["license: other", f"license_name: {json.dumps(only)}"]
    else:
        lines.append("license: unknown")
    return "\n".join([*lines, "tags: [raydt, byte-level]", "---"])


def _sentence(cell: Cell, start: str | None) -> str:
    size = f"{approximate_bytes(cell.size.num_bytes)} bytes"
    if cell.target is None:
        return f"pretrained on {size} of {cell.source}"
    if cell.source is None:
        return f"trained on {size} of {cell.target} from scratch"
    return f"{start}, then finetuned on {size} of {cell.target}"


def _model_rows(cell: Cell, model: ModelConfig) -> Mapping[str, object]:
    return {
        "size": cell.model,
        "family": model.family,
        "parameters": f"{model.num_parameters:,}",
        "window": f"{model.window_bytes} bytes",
        "vocabulary": "256 bytes",
    }


def _loss_rows(result: Result) -> Mapping[str, object]:
    """Rows for the losses that were measured."""
    rows: dict[str, object] = {}
    if result.test_loss is not None:
        error = f" ± {result.test_loss_stderr:.4f}" if result.test_loss_stderr is not None else ""
        rows["test, nats per byte"] = f"{result.test_loss:.4f}{error}"
    if result.test_bpb is not None:
        rows["test, bits per byte"] = f"{result.test_bpb:.4f}"
    if result.best_val_loss is not None:
        rows["validation, nats per byte"] = f"{result.best_val_loss:.4f}"
    return rows


def _training_rows(cell: Cell, result: Result, recipe: Recipe | None) -> Mapping[str, object]:
    rows: dict[str, object] = {}
    if recipe is not None:
        said = recipe.model_dump(mode="json", exclude_none=True)
        rows |= {name: f"`{value}`" for name, value in said.items() if value != []}
    # The precision that the run used, not the recipe's `auto`.
    rows |= {
        "bytes seen": f"{result.bytes_seen:,}",
        "bytes seen by the weights that were kept": f"{result.best_bytes_seen or 0:,}",
        "ended": result.stopped,
        "precision": result.precision,
        "seed": cell.seed,
        "fingerprint": f"`{result.fingerprint}`",
    }
    return {name: value for name, value in rows.items() if value is not None}


def _text(manifests: Sequence[Manifest]) -> str:
    rows = [
        f"| {m.language} | `{m.source.corpus}` | {m.source.revision or ''} "
        f"| {m.licence or 'not known'} | {m.splits['train'].num_bytes:,} | {m.normalisation} |"
        for m in manifests
    ]
    head = "| language | corpus | revision | licence | bytes prepared | normalisation |"
    return "\n".join(["## Text", "", head, "|---|---|---|---|---|---|", *rows])


def _table(title: str, rows: Mapping[str, object]) -> str:
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join([f"## {title}", "", "| | |", "|---|---|", *lines])
