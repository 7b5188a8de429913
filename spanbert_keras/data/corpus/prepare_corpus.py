"""Raw text to a prepared corpus: streaming, on several threads, resumable, the same bytes however it is run."""

import contextlib
import errno
import os
import pathlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from spanbert_keras.data.corpus.corpus_repair import damaged_files, repair_corpus
from spanbert_keras.data.corpus.encoding import encode_chunks, read_chunks, text_hash
from spanbert_keras.data.corpus.preparation_folder import (
    enter_folder,
    make_folder,
    output_folder,
    read_finished,
)
from spanbert_keras.data.corpus.preparation_progress import PROGRESS, save_progress
from spanbert_keras.data.corpus.preparation_progress import Progress as Checkpoint
from spanbert_keras.data.corpus.preparation_settings import PreparationSettings
from spanbert_keras.data.corpus.shard_writer import CorpusWriter
from spanbert_keras.data.corpus.text_readers import (
    SKIPPED,
    CorpusFile,
    find_sources,
    listed_skipped,
    read_raw_documents,
)
from spanbert_keras.data.shards import shard_format
from spanbert_keras.data.shards.token_shards import TokenShards
from spanbert_keras.errors import InputError
from spanbert_keras.files.file_entries import file_entry, is_undamaged
from spanbert_keras.files.folder_lock import FolderLock
from spanbert_keras.files.json_files import write_json
from spanbert_keras.files.known_files import KnownFiles
from spanbert_keras.files.writing import write_atomically, write_text
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer
from spanbert_keras.preprocessing.wordpiece import write_vocabulary
from spanbert_keras.preprocessing.wordpiece_training import train_wordpiece

SHARD_PIECES = 1 << 25  # 64 MB of uint16; a killed run repeats at most this much
MAX_UNKNOWN_SHARE = 0.005

Progress = Callable[[int, int, int, int], None]


def prepare_corpus(
    settings: PreparationSettings,
    on_progress: Progress | None = None,
    wait: bool = False,
    known: KnownFiles | None = None,
) -> dict[str, Any]:
    """Prepares a corpus, continues a preparation that was stopped, or finds it done and repairs damaged files.

    The output is a function of the input's content and the settings: not of `workers`, nor of interruptions.
    Exact duplicates of earlier documents are left out, documents without pieces too; both are counted for each file.

    Args:
        settings: `PreparationSettings`.
        on_progress: function or `None`. Called with bytes read, total bytes, documents read, and pieces written.
        wait: bool. Whether to wait for another process that prepares into the same folder, and not to raise.
        known: `KnownFiles` or `None`. With it, files of a finished corpus that this machine has read are not read.

    Returns:
        dict. The manifest; `TokenShards(settings.output_dir)` opens the corpus (when all parts are there).

    Raises:
        InputError: unusable input or vocabulary, a folder that contains something else or is in use, no text, a full
            disk.
    """
    sources = find_sources(settings.input, settings.text_column, settings.max_document_bytes)
    tokenizer = None
    if settings.vocabulary is not None:
        tokenizer = open_tokenizer(settings.vocabulary, settings.lowercase)
    folder = output_folder(settings)
    identity = _identity(settings, sources, tokenizer)
    done = read_finished(folder, identity)
    if done is not None and not damaged_files(folder, done, known):
        return done
    make_folder(folder)
    with FolderLock(folder, flag="--output_dir", wait=wait, keep=False), _full_disk_reported(folder):
        done, is_new = read_finished(folder, identity), False  # another process may have finished it
        if done is None:
            progress = enter_folder(folder, identity)
            is_new = not progress["files"]
            done = _prepare(settings, sources, tokenizer, progress, folder, on_progress)
        if not is_new:
            _repair(settings, sources, tokenizer, done, folder, on_progress)
        if settings.part[1] == 1:
            TokenShards(folder)
        return done


def _prepare(
    settings: PreparationSettings,
    sources: Sequence[CorpusFile],
    tokenizer: SpanBertTokenizer | None,
    progress: Checkpoint,
    folder: pathlib.Path,
    on_progress: Progress | None,
) -> dict[str, Any]:
    """Prepares a corpus from a checkpoint on; returns its manifest."""
    tokenizer = tokenizer or _trained_tokenizer(settings, sources, progress, folder)
    writer = _writer(settings, sources, tokenizer, folder)
    if "writer" in progress:
        writer.load_progress(progress)
    for closed in _written(writer, settings, sources, tokenizer, on_progress):
        if closed:
            writer.save_progress(progress["identity"], progress["vocabulary"])
    return _finish(writer, settings, sources, tokenizer, progress["identity"])


def _writer(
    settings: PreparationSettings,
    sources: Sequence[CorpusFile],
    tokenizer: SpanBertTokenizer,
    folder: pathlib.Path,
    only: Collection[str] | None = None,
) -> CorpusWriter:
    return CorpusWriter(
        folder,
        vocabulary_size=tokenizer.vocabulary_size(),
        unknown_id=tokenizer.unk_token_id,
        num_sources=len(sources),
        heldout_share=settings.heldout_share,
        shard_pieces=SHARD_PIECES,
        is_part=settings.part[1] > 1,
        only=only,
    )


def _written(
    writer: CorpusWriter,
    settings: PreparationSettings,
    sources: Sequence[CorpusFile],
    tokenizer: SpanBertTokenizer,
    on_progress: Progress | None,
) -> Iterator[bool]:
    """Gives the writer all documents after its position; yields after each chunk whether a shard was closed."""
    chunks = read_chunks(sources, settings.text_column, (writer.position[0], writer.position[1]), settings.part)
    for chunk in encode_chunks(chunks, tokenizer.wordpiece, settings.workers or usable_cores()):
        yield writer.add(chunk)
        if on_progress is not None:
            on_progress(*_progress(writer, sources))


def _repair(
    settings: PreparationSettings,
    sources: Sequence[CorpusFile],
    tokenizer: SpanBertTokenizer | None,
    manifest: dict[str, Any],
    folder: pathlib.Path,
    on_progress: Progress | None,
) -> None:
    """Makes the damaged files of a finished corpus, if any, again."""

    def make_vocabulary() -> None:
        if tokenizer is None:
            _train_vocabulary(settings, sources, folder)
        else:
            _write_vocabulary(folder, tokenizer)

    def make_arrays(names: Collection[str]) -> None:
        own = tokenizer or SpanBertTokenizer(folder / shard_format.VOCABULARY, lowercase=settings.lowercase)
        writer = _writer(settings, sources, own, folder, names)
        for _ in _written(writer, settings, sources, own, on_progress):
            pass
        writer.finish()

    damaged = damaged_files(folder, manifest)
    if damaged:
        repair_corpus(folder, manifest, damaged, make_vocabulary, make_arrays)


def open_tokenizer(vocabulary: str | os.PathLike, lowercase: bool = False) -> SpanBertTokenizer:
    """Returns the tokenizer of a `vocab.txt`, or of a preset folder, which has its own settings.

    Raises:
        InputError: the vocabulary is missing or unusable; `lowercase` is set for a folder whose tokenizer keeps case.
    """
    if not pathlib.Path(vocabulary).is_dir():
        return SpanBertTokenizer(vocabulary, lowercase=lowercase)
    tokenizer = SpanBertTokenizer.from_preset(vocabulary)
    if lowercase and not tokenizer.lowercase:
        raise InputError(f"--lowercase does not fit the tokenizer in {vocabulary}, which keeps case. Leave it out.")
    return tokenizer


@contextlib.contextmanager
def _full_disk_reported(folder: pathlib.Path) -> Iterator[None]:
    """Turns the errors of a full disk into an `InputError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise InputError(
            f"--output_dir={folder} cannot be written to: {error.strerror}. "
            "Free some space and rerun the same command; it resumes."
        ) from error


def usable_cores() -> int:
    """Returns the number of cores that this process may use; not every system reports it."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def warnings_of(manifest: dict[str, Any]) -> list[str]:
    """Returns a sentence for each problem of a corpus that its owner should know about.

    Args:
        manifest: dict. As `prepare_corpus` returns it or `TokenShards.manifest`.
    """
    totals = manifest["totals"]
    found = []
    if totals["unknown_pieces"] > MAX_UNKNOWN_SHARE * max(1, totals["kept_pieces"]):
        share = totals["unknown_pieces"] / totals["kept_pieces"]
        found.append(
            f"{share:.2%} of all tokens are [UNK] (more than {MAX_UNKNOWN_SHARE:.1%}): the vocabulary does not fit "
            "this text. Is it the right language, and does --lowercase match the vocabulary?"
        )
    if totals["undecodable_bytes"]:
        found.append(
            f"{totals['undecodable_bytes']:,} bytes are not valid UTF-8 and became U+FFFD, which the tokenizer drops. "
            "Convert the files to UTF-8 if that is much."
        )
    sources = manifest.get("sources", [])
    skipped = [CorpusFile(s["path"], s["kind"], s["bytes"], s["reason"]) for s in sources if s["kind"] == SKIPPED]
    if skipped:
        files = "1 file that holds" if len(skipped) == 1 else f"{len(skipped):,} files that hold"
        found.append(f"Skipped {files} no text: {listed_skipped(skipped)}.")
    for source, report in zip(sources, manifest.get("reports", []), strict=False):
        if not report["documents"] and source["kind"] != SKIPPED and manifest["shard"] == [0, 1]:
            found.append(f"{source['path']} holds no document.")
    return found


def _identity(
    settings: PreparationSettings, sources: Sequence[CorpusFile], tokenizer: SpanBertTokenizer | None
) -> dict[str, Any]:
    """Returns everything that the output depends on, as plain JSON values."""
    vocabulary = f"train {settings.train_vocabulary}" if tokenizer is None else tokenizer.fingerprint()
    if settings.vocabulary_sample < 1:
        vocabulary += f" on {settings.vocabulary_sample!r} of the documents"
    modified = [os.stat(source.path).st_mtime_ns if source.kind != "embedded" else 0 for source in sources]
    return {
        "settings": {
            "vocabulary": vocabulary,
            "lowercase": settings.lowercase,
            "heldout_share": settings.heldout_share,
            "text_column": settings.text_column,
            "shard_pieces": SHARD_PIECES,
        },
        "shard": list(settings.part),
        "sources": [_entry(source) for source in sources],
        "modified": modified,
    }


def _entry(source: CorpusFile) -> dict[str, Any]:
    """Returns the manifest entry of a source; only skipped ones have a reason."""
    entry = {"path": source.path, "kind": source.kind, "bytes": source.size}
    return entry | ({"reason": source.reason} if source.reason else {})


def _trained_tokenizer(
    settings: PreparationSettings, sources: Sequence[CorpusFile], progress: Checkpoint, folder: pathlib.Path
) -> SpanBertTokenizer:
    """Returns a tokenizer whose vocabulary is trained on all documents, or was before the run was stopped."""
    path, entry = folder / shard_format.VOCABULARY, progress["vocabulary"]
    if entry is None or not is_undamaged(path, entry):
        _train_vocabulary(settings, sources, folder)
        progress["vocabulary"] = file_entry(path)
        if not progress["files"]:
            save_progress(folder, progress)
    return SpanBertTokenizer(path, lowercase=settings.lowercase)


def _train_vocabulary(settings: PreparationSettings, sources: Sequence[CorpusFile], folder: pathlib.Path) -> None:
    # The documents of the largest hashes: those of the smallest are held out.
    lowest = int((1 - settings.vocabulary_sample) * 2**64)
    documents = (document.lines for source in sources for document in read_raw_documents(source, settings.text_column))
    texts = ("\n".join(lines) for lines in documents if not lowest or text_hash(lines) >= lowest)
    try:
        pieces = train_wordpiece(texts, settings.train_vocabulary or 0, settings.lowercase)
    except InputError as error:
        if not lowest:
            raise
        raise InputError(f"--vocabulary_sample={settings.vocabulary_sample:g} may be too small. {error}") from error
    write_text(folder / shard_format.VOCABULARY, "".join(f"{piece}\n" for piece in pieces))


def _write_vocabulary(folder: pathlib.Path, tokenizer: SpanBertTokenizer) -> None:
    pieces = tokenizer.get_vocabulary()
    write_atomically(folder / shard_format.VOCABULARY, lambda temporary: write_vocabulary(pieces, temporary))


def _progress(writer: CorpusWriter, sources: Sequence[CorpusFile]) -> Iterator[int]:
    """Yields bytes read, bytes in all, documents read, pieces written."""
    index, _, position = writer.position
    totals = writer.totals()
    yield sum(source.size for source in sources[:index]) + position
    yield sum(source.size for source in sources)
    yield totals["documents"]
    yield totals["kept_pieces"]


def _finish(
    writer: CorpusWriter,
    settings: PreparationSettings,
    sources: Sequence[CorpusFile],
    tokenizer: SpanBertTokenizer,
    identity: dict[str, Any],
) -> dict[str, Any]:
    """Completes the shards, writes the vocabulary and, last, the manifest; raises if the corpus has no text."""
    totals, folder = writer.totals(), writer.folder
    if not writer.is_part and totals["kept_documents"] < 2:
        raise InputError(
            f"--input={','.join(settings.input)} is too small. Expected: at least two different documents with text, "
            f"one to hold out (a blank line ends a document in a text file). Received: {totals['kept_documents']} of "
            f"{totals['documents']} documents ({totals['empty_documents']} empty, "
            f"{totals['duplicate_documents']} duplicates)."
        )
    writer.finish()
    _write_vocabulary(folder, tokenizer)
    names = (shard_format.VOCABULARY,)
    manifest = {
        "format_version": shard_format.FORMAT_VERSION,
        "vocabulary_size": tokenizer.vocabulary_size(),
        "vocabulary_fingerprint": tokenizer.fingerprint(),
        "lowercase": tokenizer.lowercase,
        "tokenizer_settings": tokenizer.text_settings,
        **identity,
        "totals": totals,
        "reports": writer.reports(),
        "shards": writer.shards,
        "files": {**writer.files, **{name: file_entry(folder / name) for name in names}},
    }
    write_json(folder / shard_format.MANIFEST, manifest, checksum=True)
    (folder / PROGRESS).unlink(missing_ok=True)
    return manifest
