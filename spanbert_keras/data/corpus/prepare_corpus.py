"""Raw text to a prepared corpus: streaming, on several threads, resumable, the same bytes however it is run."""

import contextlib
import errno
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from spanbert_keras.data.corpus.encoding import encode_chunks, read_chunks
from spanbert_keras.data.corpus.preparation_settings import PreparationSettings
from spanbert_keras.data.corpus.shard_writer import PROGRESS, CorpusWriter
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
from spanbert_keras.files.writing import final_name, is_temporary, write_atomically, write_text
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer
from spanbert_keras.preprocessing.wordpiece import write_vocabulary
from spanbert_keras.preprocessing.wordpiece_training import train_wordpiece

SHARD_PIECES = 1 << 25  # 64 MB of uint16; a killed run repeats at most this much
MAX_UNKNOWN_SHARE = 0.005

Progress = Callable[[int, int, int, int], None]


def prepare_corpus(settings: PreparationSettings, on_progress: Progress | None = None) -> dict[str, Any]:
    """Prepares a corpus, continues a preparation that was stopped, or finds it done.

    The output is a function of the input's content and the settings: not of `workers`, nor of interruptions.
    Exact duplicates of earlier documents are left out, documents without pieces too; both are counted for each file.

    Args:
        settings: `PreparationSettings`.
        on_progress: function or `None`. Called with bytes read, total bytes, documents read, and pieces written.

    Returns:
        dict. The manifest; `TokenShards(settings.output_dir)` opens the corpus (when all parts are there).

    Raises:
        InputError: unusable input or vocabulary, a folder that contains something else, no text, a full disk.
    """
    sources = find_sources(settings.input, settings.text_column, settings.max_document_bytes)
    tokenizer = None
    if settings.vocabulary is not None:
        tokenizer = open_tokenizer(settings.vocabulary, settings.lowercase)
    folder = _folder(settings)
    identity = _identity(settings, sources, tokenizer)
    done = _read_finished(folder, identity)
    if done is not None:
        return done
    resume = _enter_folder(folder, identity)
    with _full_disk_reported(folder):
        tokenizer = tokenizer or _trained_tokenizer(settings, sources, folder, on_progress)
        writer = CorpusWriter(
            folder,
            vocabulary_size=tokenizer.vocabulary_size(),
            unknown_id=tokenizer.unk_token_id,
            num_sources=len(sources),
            heldout_share=settings.heldout_share,
            shard_pieces=SHARD_PIECES,
            is_part=settings.part[1] > 1,
        )
        if resume:
            writer.load_progress()
        chunks = read_chunks(sources, settings.text_column, (writer.position[0], writer.position[1]), settings.part)
        for chunk in encode_chunks(chunks, tokenizer.wordpiece, settings.workers or usable_cores()):
            if writer.add(chunk):
                writer.save_progress(identity)
            if on_progress is not None:
                on_progress(*_progress(writer, sources))
        return _finish(writer, settings, sources, tokenizer, identity)


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


def _folder(settings: PreparationSettings) -> pathlib.Path:
    """Returns where this run writes: the output folder, or its part of it."""
    root = pathlib.Path(settings.output_dir)
    if root.exists() and not root.is_dir():
        raise InputError(f"--output_dir={root} is a file. Expected: a folder, new or empty.")
    index, count = settings.part
    if count == 1:
        return root
    if (root / shard_format.MANIFEST).exists():
        raise InputError(f"--output_dir={root} holds another corpus, one without parts. Choose another folder.")
    return root / f"part-{index}-of-{count}"


def _identity(
    settings: PreparationSettings, sources: Sequence[CorpusFile], tokenizer: SpanBertTokenizer | None
) -> dict[str, Any]:
    """Returns everything that the output depends on, as plain JSON values."""
    vocabulary = f"train {settings.train_vocabulary}" if tokenizer is None else tokenizer.fingerprint()
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


def _difference(expected: dict[str, Any], received: dict[str, Any]) -> str:
    """Returns what differs between two identities, in words."""
    for key, value in expected["settings"].items():
        if received.get("settings", {}).get(key) != value:
            return f"{key} {received.get('settings', {}).get(key)} there, {value} now"
    if [s["path"] for s in received["sources"]] != [s["path"] for s in expected["sources"]]:
        return f"the input {received['sources'][0]['path']}, ... there, {expected['sources'][0]['path']}, ... now"
    for there, now in zip(received["sources"], expected["sources"], strict=True):
        if there["kind"] != now["kind"]:
            return f"{now['path']} read as {there['kind']} there, as {now['kind']} now"
    return "input files that have changed since" if received["shard"] == expected["shard"] else "another --shard"


def _read_finished(folder: pathlib.Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the manifest if this preparation is done; raises if the folder holds another corpus."""
    path = folder / shard_format.MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        same = all(manifest[key] == value for key, value in identity.items())
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"The manifest {path} cannot be read ({error}). Choose another --output_dir.") from error
    if not same:
        raise InputError(
            f"--output_dir={folder} holds another corpus ({_difference(identity, manifest)}). Expected: a new or empty "
            "folder. Choose another, or delete it."
        )
    return manifest


def _enter_folder(folder: pathlib.Path, identity: dict[str, Any]) -> bool:
    """Makes the folder ready; returns whether a stopped preparation continues. Removes only `prepare`'s own files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output_dir={folder} cannot be made: {error}. Choose another folder.") from error
    saved = _saved_identity(folder / PROGRESS)
    same = saved is not None and saved[0] == identity
    if saved is not None and not same and saved[1]:
        raise InputError(
            f"--output_dir={folder} holds another preparation that was stopped ({_difference(identity, saved[0])}). "
            "Run that one to its end, choose another folder, or delete it."
        )
    resume = same and bool(saved and saved[1])
    kept = {PROGRESS, *(saved[1] if resume and saved else ())} | ({shard_format.VOCABULARY} if same else set())
    for path in sorted(folder.iterdir()):
        if path.name in kept:
            continue
        if not _is_ours(path.name) or (saved is None and not is_temporary(path.name)):
            raise InputError(
                f"--output_dir={folder} is not empty: it holds {path.name}. Expected: a new or empty folder, or one in "
                "which `prepare` was stopped."
            )
        path.unlink()
    if not resume:
        _write_start(folder / PROGRESS, identity)
    return resume


def _is_ours(name: str) -> bool:
    """Returns whether a stopped preparation may have left a file of this name."""
    name = final_name(name)
    known = (PROGRESS, shard_format.VOCABULARY, shard_format.UNIGRAM_COUNTS, shard_format.MANIFEST)
    arrays = "|".join(shard_format.SHARD_ARRAYS)
    return name in known or re.fullmatch(rf"(train|heldout|candidate)-\d+\.({arrays})\.npy", name) is not None


def _write_start(path: pathlib.Path, identity: dict[str, Any]) -> None:
    """Writes a checkpoint without any finished shard: it marks the folder as ours."""
    state = np.frombuffer(json.dumps({"identity": identity, "files": {}}).encode("utf-8"), np.uint8)
    write_atomically(path, lambda temporary: np.savez(temporary, state=state))


def _saved_identity(path: pathlib.Path) -> tuple[dict[str, Any], list[str]] | None:
    """Returns the identity in a checkpoint and the finished files that it names, or `None` without one."""
    if not path.is_file():
        return None
    with np.load(path) as saved:
        state = json.loads(saved["state"].tobytes())
    return state["identity"], list(state["files"])


def _trained_tokenizer(
    settings: PreparationSettings, sources: Sequence[CorpusFile], folder: pathlib.Path, on_progress: Progress | None
) -> SpanBertTokenizer:
    """Returns a tokenizer whose vocabulary is trained on all documents, or was before the run was stopped."""
    path = folder / shard_format.VOCABULARY
    if not path.exists():
        texts = ("\n".join(d.lines) for s in sources for d in read_raw_documents(s, settings.text_column))
        pieces = train_wordpiece(texts, settings.train_vocabulary or 0, settings.lowercase)
        write_text(path, "".join(f"{piece}\n" for piece in pieces))
    return SpanBertTokenizer(path, lowercase=settings.lowercase)


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
    pieces = tokenizer.get_vocabulary()
    write_atomically(folder / shard_format.VOCABULARY, lambda temporary: write_vocabulary(pieces, temporary))
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
        "files": {**writer.files, **{name: shard_format.file_entry(folder / name) for name in names}},
    }
    write_text(folder / shard_format.MANIFEST, json.dumps(manifest, indent=1))
    (folder / PROGRESS).unlink(missing_ok=True)
    if not writer.is_part:
        TokenShards(folder)
    return manifest
