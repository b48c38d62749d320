"""The data that a cell reads: bytes of a split of a language, by name and digest."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class ReadData(BaseModel):
    """The first bytes of a split of a prepared language, as a dataset with a name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    language: str
    split: str  # see `raydt.corpora.splits.SPLITS`
    digest: str  # XXH3 of these bytes, 32 hex digits: MLflow takes up to 36
    num_bytes: int
    num_documents: int  # or excerpts, if documents are held out in these; the last may be partial
    # Where the text is, in the form of MLflow's dataset sources: a type and its JSON.
    source_type: str
    source: str
