"""Documents of known lengths, no two alike, and what a prepared language has of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.spec import FilesCorpus
from raydt.corpora.splits import SPLITS, Split

LETTERS = list("abcdefghijklmnopqrstuväöß日")
WORDS = ["".join(np.random.default_rng(i).choice(LETTERS, 6)) for i in range(3000)]


def words(seed: int, num_bytes: int) -> str:
    """Text that no other seed has, some of its letters of two bytes and of three."""
    numbers = np.random.default_rng(seed).integers(0, len(WORDS), num_bytes // 4)
    text = " ".join(WORDS[number] for number in numbers.tolist())
    return text.encode()[:num_bytes].decode("utf-8", "ignore").strip()


def articles(folder: Path, lengths: list[int], language: str = "en", seed: int = 0) -> FilesCorpus:
    folder.mkdir(exist_ok=True)
    text = "".join(f"{words(seed * 10_000 + i, n)}\n" for i, n in enumerate(lengths))
    (folder / f"{language}.txt").write_text(text)
    return FilesCorpus(folder)


def split_texts(language: PreparedLanguage) -> dict[Split, list[str]]:
    return {
        split: (language.folder / f"{split}.bin").read_bytes().decode().split("\0")[:-1]
        for split in SPLITS
    }


def lengths_of(num: int, low: int = 3_000, high: int = 9_000) -> list[int]:
    return np.random.default_rng(num).integers(low, high, num).tolist()
