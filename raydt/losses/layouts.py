"""The layouts of a line of a table of losses: the authors' columns, and raydt's own."""

from __future__ import annotations

import re
from typing import Any

from raydt.errors import InputError
from raydt.losses.declared_sizes import read_size
from raydt.losses.line import METRICS, NO_LOSS, SCRATCH, Line, is_scratch, label_of
from raydt.tracking.schema import Stage, Status, Stop

_HAS_SOURCE = (Stage.PRETRAIN, Stage.FINETUNE, Stage.ZEROSHOT, Stage.JOINT)
_HAS_TARGET = (Stage.SCRATCH, Stage.FINETUNE, Stage.ZEROSHOT, Stage.JOINT)
_SIZED = (Stage.PRETRAIN, Stage.FINETUNE, Stage.JOINT)


class AuthorsLine(Line):
    @property
    def _needs_loss(self) -> bool:
        return True

    def _values(self) -> dict[str, Any]:
        init, target, model = (
            self._name(name) for name in ("init_language", "target", "model_size")
        )
        if init and is_scratch(init):
            if init != SCRATCH:
                self._rules.scratch_words[init] += 1
            init = SCRATCH
        label = self._name("data_size")
        size_bytes = self._bytes_of(label) if label else 0
        loss = self._number("test_loss", positive=True)
        if init == SCRATCH:
            stage = Stage.SCRATCH
        else:
            stage = Stage.ZEROSHOT if size_bytes == 0 else Stage.FINETUNE
        return {
            "stage": stage,
            "source": None if init == SCRATCH else init,
            "target": target,
            "size": label_of(label, size_bytes),
            "size_bytes": size_bytes,
            "seed": self._count("seed", 0),
            "model": model,
            "status": Status.WAITING if self.has_no_loss else Status.DONE,
            "test_loss": loss,
            "stopped": Stop.EVALUATED if stage is Stage.ZEROSHOT else None,
        }


class OwnLine(Line):
    @property
    def _needs_loss(self) -> bool:
        said = (self._text("status") or Status.DONE).lower()
        stage = (self._text("stage") or "").lower()
        return said == Status.DONE and stage != Stage.PRETRAIN

    def _values(self) -> dict[str, Any]:
        by_size = False  # whether the size says if it was finetuned
        if self._rules.has_stages:
            stage = self._one_of("stage", Stage, None)
        elif self._is_from_scratch():
            stage = Stage.SCRATCH
        else:
            stage, by_size = Stage.FINETUNE, True
        status = self._one_of("status", Status, Status.DONE)
        stopped = self._one_of("stopped", Stop, None) if self._text("stopped") else None
        source = self._name("source") if stage in _HAS_SOURCE else None
        target = self._name("target") if stage in _HAS_TARGET else None
        for name, having in (("source", _HAS_SOURCE), ("target", _HAS_TARGET)):
            text = self._text(name)
            if stage is None or stage in having or text in (None, stage):
                continue
            if not (stage is Stage.SCRATCH and (is_scratch(text) or text.lower() in NO_LOSS)):
                self._bad(name, f"nothing in a {stage} row", repr(text))
        loss = self._number("test_loss", positive=True)
        if self.has_no_loss:
            status = Status.WAITING
        label, size_bytes = self._size(None if by_size else stage)
        if by_size and not size_bytes:
            stage = Stage.ZEROSHOT
        found = {column: self._number(column, positive=False) for column in METRICS}
        stderr = found["test_loss_stderr"]
        if stderr is not None and loss is not None:
            given = self._rules.unit.given(loss)
            found["test_loss_stderr"] = self._rules.unit.error(stderr, given)
        metrics = {METRICS[column]: value for column, value in found.items() if value is not None}
        return {
            "stage": stage,
            "source": source,
            "target": target,
            "size": label,
            "size_bytes": size_bytes,
            "seed": self._count("seed", 0),
            "model": self._text("model") or "model",
            "status": status,
            "test_loss": loss,
            "reason": self._text("reason"),
            "stopped": stopped,
            "precision": self._text("precision"),
            "metrics": metrics,
        }

    def _is_from_scratch(self) -> bool:
        """By the source, in a table without a column for the stage."""
        source = self._text("source")
        if source is None or not is_scratch(source):
            return False
        self._rules.scratch_words[source] += 1
        return True

    def _size(self, stage: Stage | None) -> tuple[str, int]:
        label, given = self._text("size"), self._text("size_bytes")
        if stage is Stage.ZEROSHOT and label is None and given is None:
            return "0", 0
        if label is None and given is None:
            self._bad("size", "a size or size_bytes", "nothing")
            return "", 0
        # Explicit bytes take precedence over the label, which is only a name.
        size_bytes = self._given_bytes(given) if given else self._bytes_of(str(label))
        if stage is Stage.ZEROSHOT and size_bytes:
            self._bad("size", "0 in a zeroshot row", f"{size_bytes} bytes")
        if stage in _SIZED and not size_bytes and not self._found:
            self._bad("size", f"more than 0 in a {stage} row", "0 bytes")
        return label_of(label or "", size_bytes), size_bytes

    def _given_bytes(self, text: str) -> int:
        plain = self._without_points("size_bytes", text)
        try:
            return self._rules.unit.num_bytes(read_size(plain))
        except InputError as error:
            for problem in error.problems:
                self._bad("size_bytes", problem.expected, problem.got)
            return 0

    def _one_of(self, name: str, kind: Any, default: Any) -> Any:
        text = self._text(name)
        if text is None and default is not None:
            return default
        plain = re.sub(r"[\s_-]", "", text or "").lower()
        try:
            return kind(SCRATCH if kind is Stage and plain == "fromscratch" else plain)
        except ValueError:
            self._bad(name, f"one of {', '.join(kind)}", repr(text or ""))
            return default
