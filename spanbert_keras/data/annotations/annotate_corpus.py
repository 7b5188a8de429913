"""Annotates a prepared corpus: resumable by shard, on several processes, the same bytes however it is run."""

import collections
import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from spanbert_keras.data.annotations.annotation_settings import AnnotationSettings
from spanbert_keras.data.annotations.document_annotator import DocumentAnnotator, PreparedDocument
from spanbert_keras.data.annotations.document_finder import DocumentFinder
from spanbert_keras.data.annotations.document_pool import Place, annotated
from spanbert_keras.data.annotations.shard_job import ShardJob, read_record, record_path
from spanbert_keras.data.corpus.encoding import text_hash
from spanbert_keras.data.corpus.prepare_corpus import usable_cores
from spanbert_keras.data.corpus.text_readers import CorpusFile, RawDocument, find_sources, read_raw_documents
from spanbert_keras.data.shards import annotation_format, shard_format
from spanbert_keras.data.shards.annotation_format import AnnotationEntry
from spanbert_keras.data.shards.token_shards import TokenShards
from spanbert_keras.errors import InputError
from spanbert_keras.files.folder_lock import FolderLock
from spanbert_keras.files.writing import clean_leftovers, input_error_if_unwritable

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class AnnotationRun:
    """What one run of `annotate_corpus` did.

    Attributes:
        finished: bool. Whether the annotations of the whole corpus are complete; if not, other parts of `--shard=i/n`
            are to be run.
        warnings: list of str. A sentence for each problem that the corpus' owner should know about.
    """

    finished: bool
    warnings: list[str]


def annotate_corpus(settings: AnnotationSettings, on_progress: Progress | None = None) -> AnnotationRun:
    """Annotates a corpus, continues where a run was stopped, or finds it done.

    The annotations are a function of the corpus, the input and the annotator: not of `workers`, nor of interruptions.

    Args:
        settings: `AnnotationSettings`.
        on_progress: function or `None`. Called with pieces annotated and pieces in all, of the shards still to do.

    Returns:
        `AnnotationRun`.

    Raises:
        InputError: the corpus, the input or the annotator cannot be used, they do not fit each other, the corpus has an
            annotation of another annotator, or the disk is full.
    """
    shards = TokenShards(settings.corpus)
    shards.verify(annotations=False)
    opening = (settings.annotator, settings.annotations, _tokenizer_settings(shards))
    annotator = DocumentAnnotator(*opening)
    source = "text" if settings.input else "pieces"
    entries = {folder: _entries(annotator, manifest, source) for folder, manifest in shards.parts}
    warnings: list[str] = []
    if not _jobs(settings, shards, entries, []) and _is_finished(entries):
        warnings += _missing(shards, annotator)
        return AnnotationRun(True, warnings)
    lock = FolderLock(settings.corpus, settings.part[0], "--corpus", keep=False)
    with lock, input_error_if_unwritable(f"--corpus={settings.corpus}", " and rerun the same command; it resumes"):
        jobs = _jobs(settings, shards, entries, warnings)
        _remove_leftovers(jobs, lock)
        if jobs:
            documents = _from_text(settings, shards, jobs, warnings) if settings.input else _from_pieces(jobs)
            workers = min(settings.workers or usable_cores(), sum(job.num_documents for job in jobs))
            results = annotated(documents, annotator, opening, workers)
            unknown = _run(jobs, results, on_progress)
            if unknown:
                warnings.append(
                    f"{unknown:,} lines of the corpus are not in --annotator={settings.annotator}: "
                    "they have no mentions."
                )
        else:
            warnings += _missing(shards, annotator)
        finished = [_finish_folder(folder, manifest, entries[folder]) for folder, manifest in shards.parts]
    return AnnotationRun(all(finished), warnings)


def _is_finished(entries: dict[pathlib.Path, dict[str, AnnotationEntry]]) -> bool:
    """Returns whether all folders have all annotations."""
    return all(named.keys() <= annotation_format.read_entries(folder).keys() for folder, named in entries.items())


def _missing(shards: TokenShards, annotator: DocumentAnnotator) -> list[str]:
    """Returns a warning for each finished annotation whose input lacked documents."""
    return [
        f"{entry.missing:,} documents of {folder} have no {name}: the input lacked them."
        for folder, _ in shards.parts
        for name, entry in annotation_format.read_entries(folder).items()
        if name in annotator.names and entry.missing
    ]


def _remove_leftovers(jobs: list[ShardJob], lock: FolderLock) -> None:
    """Removes what killed processes left of these shards, unless another part is being annotated."""
    others = [FolderLock(lock.folder, name=path.name) for path in lock.folder.glob("*.lock") if path != lock.path]
    if not lock.held or any(other.is_in_use() for other in others):
        return
    for job in jobs:
        names = {annotation_format.annotation_path(job.stem, name).name for name in job.entries}
        clean_leftovers(job.stem.parent, names.__contains__)


def _tokenizer_settings(shards: TokenShards) -> dict[str, Any]:
    """Returns the arguments of the corpus' tokenizer: other processes make it from them."""
    tokenizer = shards.tokenizer()
    vocabulary = tokenizer.get_vocabulary()
    return {"vocabulary": vocabulary, "lowercase": tokenizer.lowercase, **tokenizer.text_settings}


def _entries(annotator: DocumentAnnotator, manifest: dict[str, Any], source: str) -> dict[str, AnnotationEntry]:
    """Returns what `annotations.json` of a folder will say, but for the shards."""
    found = annotator.annotator
    return {
        name: AnnotationEntry(
            annotator=found.description,
            settings=found.settings,
            source=source,
            labels=list(found.labels[name]),
            corpus=shard_format.fingerprint([manifest]),
            vocabulary=manifest["vocabulary_fingerprint"],
        )
        for name in annotator.names
    }


def _jobs(
    settings: AnnotationSettings,
    shards: TokenShards,
    entries: dict[pathlib.Path, dict[str, AnnotationEntry]],
    warnings: list[str],
) -> list[ShardJob]:
    """Returns this run's shards that are still to be annotated; adds a warning for each damaged annotation."""
    part, parts = settings.part
    jobs, number = [], 0
    for folder, manifest in shards.parts:
        wanted = _unfinished(folder, manifest, entries[folder], settings, warnings)
        for shard in manifest["shards"]:
            stem = folder / shard_format.shard_stem(shard["split"], shard["index"])
            records = {name: read_record(stem, name, wanted[name], settings.allow_missing) for name in wanted}
            todo = {name: wanted[name] for name, record in records.items() if record is None}
            if todo and number % parts == part:
                jobs.append(ShardJob(stem, manifest, shard, todo))
            number += 1
    return jobs


def _forget(jobs: list[ShardJob]) -> None:
    """Removes annotations from `annotations.json`, since files of theirs are about to be replaced."""
    replaced: dict[pathlib.Path, set[str]] = {}
    for job in jobs:
        replaced.setdefault(job.stem.parent, set()).update(job.entries)
    for folder, names in replaced.items():
        there = annotation_format.read_entries(folder)
        if there.keys() & names:
            kept = {name: entry for name, entry in there.items() if name not in names}
            annotation_format.write_entries(folder, kept)


def _unfinished(
    folder: pathlib.Path,
    manifest: dict[str, Any],
    wanted: dict[str, AnnotationEntry],
    settings: AnnotationSettings,
    warnings: list[str],
) -> dict[str, AnnotationEntry]:
    """Returns the annotations that a folder does not have yet, that are damaged, or that are to be replaced.

    Raises:
        InputError: it has one of another annotator, or one that lacks documents, and neither flag allows it.
    """
    there = annotation_format.read_entries(folder)
    if settings.replace:
        there = {name: entry for name, entry in there.items() if name not in wanted}
    for name in sorted(there.keys() & wanted.keys()):
        expected, received = wanted[name], there[name]
        if received.identity() != expected.identity():
            raise InputError(
                f"{folder} has an annotation {name!r} already, of another annotator or another input. Expected: "
                f"{expected.annotator:.100} {str(expected.settings):.200} from {expected.source}. Received: "
                f"{received.annotator:.100} {str(received.settings):.200} from {received.source:.10}. Give "
                "--replace to make it again."
            )
        if received.missing and not settings.allow_missing:
            raise InputError(
                f"{folder} has an annotation {name!r} whose input lacked {received.missing:,} documents. Expected: "
                "all. Give --replace to make it again, or --allow_missing."
            )
        annotation_format.check_origin(folder, manifest, name, received)
        damaged = annotation_format.damaged_files(folder, name, received)
        if damaged:
            warnings.append(f"{damaged[0]} is damaged: the annotation {name!r} of {folder} is made again.")
            del there[name]
    return {name: entry for name, entry in wanted.items() if name not in there}


def _from_pieces(jobs: list[ShardJob]) -> Iterator[tuple[Place, PreparedDocument]]:
    """Yields every document of the jobs, without its text."""
    for number, job in enumerate(jobs):
        for index in range(job.num_documents):
            yield (number, index), job.document(index, None)


def _from_text(
    settings: AnnotationSettings, shards: TokenShards, jobs: list[ShardJob], warnings: list[str]
) -> Iterator[tuple[Place, PreparedDocument]]:
    """Yields the documents of the jobs with their text, in the order of the input; raises or warns if it lacks some."""
    text_column = shards.manifest["settings"]["text_column"]
    sources = find_sources(settings.input, text_column, settings.max_document_bytes)
    finder = DocumentFinder([job.hashes() for job in jobs])
    for document in _read(sources, text_column):
        finder.find(text_hash(document.lines))
    if finder.missing and not settings.allow_missing:
        raise InputError(
            f"--input={','.join(settings.input)} lacks {finder.missing:,} of {finder.total:,} documents of the corpus "
            f"{settings.corpus}. Expected: the input that it was prepared from, "
            f"{', '.join(source['path'] for source in shards.manifest['sources'][:3])}. Give all of it, or "
            "--allow_missing, which leaves the other documents without mentions."
        )
    if finder.missing:
        warnings.append(f"{finder.missing:,} documents of the corpus are not in --input: they have no mentions.")
    finder.restart()
    for document in _read(sources, text_column):
        place = finder.find(text_hash(document.lines))
        if place is not None:
            yield place, jobs[place[0]].document(place[1], document.lines)


def _read(sources: list[CorpusFile], text_column: str) -> Iterator[RawDocument]:
    """Yields the documents of all sources."""
    for source in sources:
        yield from read_raw_documents(source, text_column)


def _run(
    jobs: list[ShardJob],
    results: Iterable[tuple[Place, dict[str, np.ndarray], int]],
    on_progress: Progress | None,
) -> int:
    """Stores annotated documents, and completes each shard after its last one; returns the number of unknown lines.

    What is there stays until the first new file is complete, in case the input cannot be used.
    """
    total, done, unknown, begun = sum(job.num_pieces for job in jobs), 0, 0, False
    try:
        for (number, index), values, unknown_lines in results:
            jobs[number].put(index, values)
            if not jobs[number].remaining:
                if not begun:
                    _forget(jobs)
                begun = True
                jobs[number].finish()
            done += len(next(iter(values.values())))
            unknown += unknown_lines
            if on_progress is not None:
                on_progress(done, total)
        if not begun:
            _forget(jobs)
        for job in jobs:
            if job.remaining:
                job.finish()
    finally:
        for job in jobs:
            job.abandon()
    return unknown


def _finish_folder(folder: pathlib.Path, manifest: dict[str, Any], entries: dict[str, AnnotationEntry]) -> bool:
    """Writes `annotations.json` if every shard of the folder is annotated, by whichever run; returns whether it is."""
    there = annotation_format.read_entries(folder)
    stems = [shard_format.shard_stem(shard["split"], shard["index"]) for shard in manifest["shards"]]
    complete = {}
    for name in entries.keys() - there.keys():
        records = [read_record(folder / stem, name, entries[name]) for stem in stems]
        found = [record for record in records if record is not None]
        if len(found) < len(stems):
            continue
        counts = collections.Counter[str]()
        for _, shard_counts in found:
            counts.update(shard_counts)
        described = {stem: shard for stem, (shard, _) in zip(stems, found, strict=True)}
        complete[name] = dataclasses.replace(entries[name], shards=described, counts=dict(sorted(counts.items())))
    if complete:
        annotation_format.write_entries(folder, there | complete)
        for name in complete:
            for stem in stems:
                record_path(folder / stem, name).unlink(missing_ok=True)
    return entries.keys() <= annotation_format.read_entries(folder).keys()
