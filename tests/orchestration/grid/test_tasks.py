"""What a cell is sent: the sizes of val and test follow from its own language."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from xxhash import xxh3_128_hexdigest

from raydt.config.sweep import Sweep
from raydt.corpora.prepared.language import PreparedLanguage
from raydt.corpora.preparing.prepare import prepare_corpus
from raydt.corpora.sources.locate import locate
from raydt.corpora.spec import FilesCorpus
from raydt.grid.build import build_grid
from raydt.orchestration.grid.facts import cell_facts
from raydt.orchestration.grid.tasks import build_tasks, with_parent
from raydt.orchestration.run.task import CellTask, Weights
from raydt.orchestration.start import prepare_languages, smaller_evaluations
from raydt.units import Size
from tests.grid.results import result_of


def prepared(tmp_path: Path) -> tuple[FilesCorpus, dict[str, PreparedLanguage]]:
    """`en` has more than a cell reads, `de` has less in both splits."""
    folder = tmp_path / "texts"
    folder.mkdir(exist_ok=True)
    for language, num_lines in (("en", 90_000), ("de", 4_000)):
        lines = (f"{language} says that {i} is more than {i - 1}\n" for i in range(num_lines))
        (folder / f"{language}.txt").write_text("".join(lines))
    corpus = FilesCorpus(folder)
    return corpus, prepare_corpus(
        locate(corpus), {"en": 1, "de": 1}, None, None, tmp_path / "prepared"
    )


def sweep_of(corpus: FilesCorpus, tmp_path: Path) -> Sweep:
    return Sweep(
        corpus=corpus.name,
        sources=("en",),
        targets=("de",),
        sizes=("2k",),
        pretrain_size="8k",
        seeds=(0,),
        storage=str(tmp_path / "runs"),
    )


def tasks(sweep: Sweep, languages: dict[str, PreparedLanguage]) -> dict[str, CellTask]:
    cells = build_grid(sweep)
    workers = {cell.cell_id: 0 for cell in cells}
    return build_tasks(cells, sweep, languages, dict.fromkeys(languages, ""), workers, "launch", {})


def test_each_language_is_evaluated_on_what_it_has(tmp_path: Path) -> None:
    corpus, languages = prepared(tmp_path)
    sweep = sweep_of(corpus, tmp_path)
    sent = tasks(sweep, languages)
    splits = languages["de"].manifest.splits
    for task in sent.values():
        if task.cell_id.startswith("pretrain"):
            assert (task.val_bytes, task.test_bytes) == (32_000, 128_000)
        else:
            assert task.val_bytes == splits["val"].num_bytes < 32_000
            assert task.test_bytes == splits["test"].num_bytes < 128_000
    said = smaller_evaluations(sweep, languages)
    assert "of de instead of 32k of val" in said
    assert "of de instead of 128k of test" in said
    assert "of en" not in said
    protocol = {**sweep.protocol.model_dump(), "val_bytes": "2k", "test_bytes": "3k"}
    named = sweep.model_copy(update={"protocol": sweep.protocol.model_validate(protocol)})
    fixed = tasks(named, languages)
    assert {(t.val_bytes, t.test_bytes) for t in fixed.values()} == {(2_000, 3_000)}
    assert smaller_evaluations(named, languages) == ""
    # What is read enters the fingerprint by the data.
    assert all(fixed[cell_id].fingerprint != t.fingerprint for cell_id, t in sent.items())


def test_a_child_starts_from_the_weights_that_its_parent_ended_with(tmp_path: Path) -> None:
    corpus, languages = prepared(tmp_path)
    sweep = sweep_of(corpus, tmp_path)
    sent = tasks(sweep, languages)
    (parent,) = [task for task in sent.values() if task.cell_id.startswith("pretrain")]
    (child,) = [task for task in sent.values() if task.cell_id.startswith("finetune")]
    assert with_parent(parent, sweep, None) == parent
    ended = result_of(parent.cell_id, attempt="7", weights_sha256="ab")
    assert with_parent(child, sweep, ended).initial_weights == Weights(
        folder=f"{parent.folder}/attempts/7", name="weights.safetensors", sha256="ab"
    )


def test_a_finetune_is_tested_on_what_its_parent_was_tested_on(tmp_path: Path) -> None:
    corpus, languages = prepared(tmp_path)
    sweep = sweep_of(corpus, tmp_path)
    sent = tasks(sweep, languages)
    parent = sent["pretrain/en/8k/nano/s0"]
    finetune = sent["finetune/en-de/2k/nano/s0"]
    asked = finetune.source_test
    assert asked is not None
    assert asked.num_bytes == parent.test_bytes != finetune.test_bytes
    text = languages["en"].test(parent.test_bytes).tobytes()
    assert asked.sha256 == hashlib.sha256(text).hexdigest()
    assert [task.cell_id for task in sent.values() if task.source_test] == [finetune.cell_id]
    read = [(data.language, data.split) for data in finetune.data]
    assert read == [("de", "train"), ("de", "val"), ("de", "test"), ("en", "test")]
    assert finetune.data[-1] == parent.data[-1], "the same dataset"
    ended = result_of(parent.cell_id, attempt="7", weights_sha256="ab", test_loss=1.5)
    known = with_parent(finetune, sweep, ended).source_test
    assert known == asked.model_copy(update={"loss_before": 1.5})
    spared = tasks(sweep.model_copy(update={"forgetting": False}), languages)
    assert not any(task.source_test for task in spared.values())
    assert {c: t.fingerprint for c, t in spared.items()} == {
        c: t.fingerprint for c, t in sent.items()
    }


def test_what_a_cell_reads_is_named_by_its_bytes(tmp_path: Path) -> None:
    corpus, languages = prepared(tmp_path)
    sweep = sweep_of(corpus, tmp_path)
    sent = tasks(sweep, languages)
    scratch, zeroshot = sent["scratch/de/2k/nano/s0"], sent["zeroshot/en-de/0/nano/s0"]
    train, val, test = scratch.data
    assert zeroshot.data == (val, test)
    assert (train.split, val.split, test.split) == ("train", "val", "test")
    assert (train.num_bytes, val.num_bytes) == (2_000, scratch.val_bytes)
    text = languages["de"].train(2_000).tobytes()
    assert train.digest == xxh3_128_hexdigest(text)
    assert train.num_documents == len(text.split(b"\0")) - text.endswith(b"\0")
    assert test.num_documents == languages["de"].manifest.splits["test"].num_excerpts
    assert (train.source_type, train.source) == ("local", f'{{"uri": "{corpus.path}"}}')


def test_a_mixture_is_read_as_a_language_and_named_for_what_it_is(tmp_path: Path) -> None:
    corpus, _ = prepared(tmp_path)
    (corpus.path / "es.txt").write_text((corpus.path / "en.txt").read_text().replace("en", "es"))
    sweep = sweep_of(corpus, tmp_path).model_copy(
        update={"sources": ("en*0.75+es*0.25",), "pretrain_size": Size(40_000, "40k")}
    )
    languages, locations = prepare_languages(sweep, locate(corpus))
    sent = tasks(sweep, languages)
    task = sent["pretrain/en*0.75+es*0.25/40k/nano/s0"]
    text = languages["en*0.75+es*0.25"].train(40_000).tobytes()
    lines = text.split(b"\0")
    spanish = sum(len(line) + 1 for line in lines if line.startswith(b"es"))
    assert abs(spanish - 10_000) <= max(map(len, lines)) + 1
    asked = sent["finetune/en*0.75+es*0.25-de/2k/nano/s0"].source_test
    tested = languages["en*0.75+es*0.25"].test(task.test_bytes).tobytes()
    assert asked is not None
    assert asked.sha256 == hashlib.sha256(tested).hexdigest(), "of the mixture itself"
    train, val, _ = task.data
    assert (train.language, train.num_bytes) == ("en*0.75+es*0.25", 40_000)
    assert train.digest == xxh3_128_hexdigest(text)
    assert json.loads(train.source)["tags"]["mixture"] == {"en": "3/4", "es": "1/4"}
    assert val.num_bytes == task.val_bytes == 32_000
    assert {Path(each).name for each in locations.values()} == {"en", "es", "de", train.language}
    for cell in build_grid(sweep):
        facts = cell_facts(cell, sweep, "")
        assert ("raydt.mixture" in facts) == (cell.source is not None)
    assert json.loads(str(facts["raydt.mixture"])) == {"en": 0.75, "es": 0.25}
