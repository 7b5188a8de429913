"""Documents for coreference resolution out of any of the files that hold such."""

import contextlib
import os

from spanbert_keras.data.documents.collector import DocumentFile, read_lines
from spanbert_keras.data.documents.conll import BEGIN, read_conll
from spanbert_keras.data.documents.jsonl import read_jsonl
from spanbert_keras.errors import InputError
from spanbert_keras.files.faults import json_lines_fault


def read_documents(path: str | os.PathLike, skip_bad: bool = False, clusters: bool = True) -> DocumentFile:
    """Reads documents out of a CoNLL-2012 file or JSON lines, gzipped or not; what the file holds tells which.

    Args:
        path: str or path. A file that `read_conll` or `read_jsonl` can read, of any name.
        skip_bad: bool. Whether documents that cannot be used are left out and named in `left_out`.
        clusters: bool. Whether gold clusters are read. Without them they may be missing, or wrong.

    Returns:
        `DocumentFile`: the documents, at least one, the format, and what was left out.

    Raises:
        InputError: the file is of neither format, or what `read_conll` and `read_jsonl` raise.

    Example:
        documents = read_documents("dev.english.v4_gold_conll").documents
    """
    name = os.fspath(path)
    with contextlib.closing(read_lines(name)) as lines:
        first = next((text for _, text in lines if text.strip()), "")
    if BEGIN.match(first):
        return read_conll(path, skip_bad, clusters=clusters)
    if first.lstrip().startswith("{"):
        return read_jsonl(path, skip_bad, clusters)
    received = repr(first[:60]) if first else "an empty file"
    if first.strip() == "[" or json_lines_fault(first) == "a JSON array":
        received = f"a JSON array, {received}"
    raise InputError(
        f"{name} holds no documents that can be read. Expected: CoNLL-2012, which begins with '#begin document (name); "
        f"part 000', or JSON lines, one object per line, which begin with '{{'. Received: {received}."
    )
