"""What a cell reads of a language: one split's bytes, by name and digest."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ReadData(BaseModel):
    """The first bytes of a split of a prepared language, as a dataset that others can name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str
    split: str  # see `raydt.corpora.splits.SPLITS`
    digest: str  # XXH3 of these bytes, 32 hex digits: MLflow takes up to 36
    num_bytes: int
    num_documents: int  # excerpts, where a document is held out by these; the last may be cut
    # Where the text is, as MLflow's sources of datasets say it: a type and its JSON.
    source_type: str
    source: str
