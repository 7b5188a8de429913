"""Readers of corpora: raw text, prepared shards, annotations, block and pair indices, stopped preparations."""

import contextlib
import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from backports import zstd

from spanbert_keras.data.annotations.annotate_corpus import annotate_corpus
from spanbert_keras.data.annotations.annotation_settings import AnnotationSettings
from spanbert_keras.data.batches.corpus_mixture import open_corpora
from spanbert_keras.data.batches.row_settings import RowSettings
from spanbert_keras.data.corpus import encoding
from spanbert_keras.data.corpus import prepare_corpus as preparing
from spanbert_keras.data.corpus.preparation_settings import PreparationSettings
from spanbert_keras.data.corpus.prepare_corpus import prepare_corpus
from spanbert_keras.data.corpus.text_readers import find_sources, read_raw_documents
from spanbert_keras.data.shards.token_shards import TokenShards
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer
from tests.fuzzing.target import Target

SPECIALS = ["[PAD]", *(f"[unused{i}]" for i in range(1, 5)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*SPECIALS, *(f"w{i}" for i in range(30)), "Ann", ".", "##s"]
WORDS = [[f"w{(7 * document + 3 * word) % 30}" for word in range(6 + document % 5)] for document in range(40)]
DOCUMENTS = [" ".join(["Ann", *words, "."]) + "\nAnn w1s .\n" for words in WORDS]
ROWS = RowSettings(32)


def write_vocabulary(folder: Path) -> Path:
    """Writes a small vocabulary and returns its path."""
    path = folder / "vocab.txt"
    path.write_text("".join(f"{piece}\n" for piece in PIECES))
    return path


@contextlib.contextmanager
def small_shards():
    """Lets a few documents fill several shards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "SHARD_PIECES", 60)
        patch.setattr(encoding, "CHUNK_CHARACTERS", 300)
        yield


def prepare(folder: Path, annotated: bool = False, on_progress=None) -> None:
    """Prepares a small corpus in `folder/corpus`, or continues; paths are relative, since folders are copied."""
    if not (folder / "text.txt").exists():
        (folder / "text.txt").write_text("\n".join(DOCUMENTS))
        write_vocabulary(folder)
    settings = PreparationSettings(
        input=("text.txt",), output_dir="corpus", vocabulary="vocab.txt", heldout_share=0.2, workers=1
    )
    with contextlib.chdir(folder), small_shards():
        prepare_corpus(settings, on_progress=on_progress)
    if annotated:
        annotate_corpus(AnnotationSettings(corpus=str(folder / "corpus"), annotator="rules", workers=1))


def _digest(*values) -> str:
    found = hashlib.sha256()
    for value in values:
        found.update(np.ascontiguousarray(value).tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return found.hexdigest()


def _read_raw(name: str):
    def read(folder: Path):
        sources = find_sources([str(folder / name)])
        return sum(len(document.lines) for source in sources for document in read_raw_documents(source)) and None

    return read


def _write_raw(name: str):
    """Returns a function that writes a file of documents in the form that its name says."""
    lines = "".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(DOCUMENTS)).encode()
    text = "\n".join(DOCUMENTS).encode()

    def write(folder: Path) -> None:
        if name.endswith(".parquet"):
            import pyarrow
            from pyarrow import parquet

            table = pyarrow.table({"text": DOCUMENTS, "n": list(range(len(DOCUMENTS)))})
            parquet.write_table(table, folder / name, compression="zstd")
            return
        content = lines if ".jsonl" in name else text.decode().encode("utf-16") if "utf16" in name else text
        compress = {".gz": gzip.compress, ".zst": zstd.compress}.get(Path(name).suffix, bytes)
        (folder / name).write_bytes(compress(content))

    return write


def _read_vocabulary(folder: Path):
    tokenizer = SpanBertTokenizer(folder / "vocab.txt")
    return _digest(tokenizer.get_vocabulary(), tokenizer("Ann w1s .")) and None


def _read_corpus(folder: Path):
    shards = TokenShards(folder / "corpus")
    shards.verify()
    found = [shards.unigram_counts, shards.tokenizer().get_vocabulary()]
    for split in ("train", "heldout"):
        part = shards.split(split)
        found += map(np.asarray, [*part.pieces, *part.document_starts, *part.line_starts])
    return _digest(*found)


def _read_annotations(folder: Path):
    shards = TokenShards(folder / "corpus")
    shards.verify()
    annotation = shards.annotations("entities")
    part = shards.split("train")
    opened = annotation.open(part.paths, [len(one) for one in part.pieces])
    return _digest(annotation.labels, *map(np.asarray, opened))


def _batches(folder: Path, rows: RowSettings):
    corpora = open_corpora(str(folder / "corpus"), folder / "cache", lambda path: path)
    masker = SpanMasker(tokenizer=corpora.tokenizer, scheme="span")
    stream = corpora.stream("train", masker, rows, 4, (1, 2))
    return _digest(*(value for number in (0, 3) for value in stream.batch(number).values()))


def _index(rows: RowSettings):
    def make(folder: Path) -> None:
        prepare(folder)
        _batches(folder, rows)

    return make, lambda folder: _batches(folder, rows)


def _stop_preparation(folder: Path) -> None:
    """Leaves what a preparation leaves that is stopped after its second shard."""

    class Stopped(Exception):
        pass

    def stop(*progress):
        if (folder / "corpus" / "train-00001.pieces.npy").exists():
            raise Stopped

    with contextlib.suppress(Stopped):
        prepare(folder, on_progress=stop)
    if (folder / "corpus" / "manifest.json").exists():
        raise ValueError("The preparation was not stopped.")


def _prepare_again(folder: Path):
    prepare(folder)
    return _read_corpus(folder)


RAW = ("a.txt", "a.utf16.txt", "a.txt.gz", "a.txt.zst", "a.jsonl", "a.jsonl.gz", "a.parquet")
TARGETS = [
    *(Target(f"raw {name}", _write_raw(name), _read_raw(name)) for name in RAW),
    Target("vocab.txt", write_vocabulary, _read_vocabulary),
    Target("corpus", prepare, _read_corpus, "corpus/*", written_by_us=True),
    Target("finished corpus, prepared again", prepare, _prepare_again, "corpus/*", written_by_us=True),
    Target("manifest.json", prepare, _read_corpus, "corpus/manifest.json", written_by_us=True),
    Target("annotations", lambda f: prepare(f, True), _read_annotations, "corpus/*annotation*", written_by_us=True),
    Target("block index", *_index(ROWS), "cache/**/*", written_by_us=True),
    Target("pair index", *_index(RowSettings(32, segments=2)), "cache/**/*", written_by_us=True),
    Target("stopped preparation", _stop_preparation, _prepare_again, "corpus/*", written_by_us=True),
]
