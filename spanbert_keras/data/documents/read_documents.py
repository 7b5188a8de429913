"""Documents for coreference resolution from any supported file."""

import contextlib
import os

from spanbert_keras.data.documents.collector import DocumentFile, read_lines
from spanbert_keras.data.documents.conll import BEGIN_LINE, read_conll
from spanbert_keras.data.documents.jsonl import read_jsonl
from spanbert_keras.errors import InputError
from spanbert_keras.files.text_errors import json_lines_fault


def read_documents(path: str | os.PathLike, skip_bad: bool = False, clusters: bool = True) -> DocumentFile:
    """Reads documents from a CoNLL-2012 file or JSON lines, gzipped or not; the content decides, not the name.

    Args:
        path: str or path. A file that `read_conll` or `read_jsonl` can read.
        skip_bad: bool. Whether documents that cannot be used are left out and named in `left_out`.
        clusters: bool. Whether gold clusters are read. If not, they may be missing or malformed.

    Returns:
        `DocumentFile`: the documents, at least one, the format, and what was left out.

    Raises:
        InputError: the file has neither format, or as `read_conll` and `read_jsonl` raise.

    Example:

    ```python
    import pathlib
    import tempfile

    from spanbert_keras import read_documents

    folder = tempfile.TemporaryDirectory()
    path = pathlib.Path(folder.name) / "documents.jsonl"
    path.write_text('{"tokens": ["Ann", "lost", "her", "hat"], "clusters": [[[0, 1], [2, 3]]]}')

    file = read_documents(path)
    file.format  # "jsonl"
    file.documents[0].clusters  # (((0, 1), (2, 3)),)
    ```
    """
    name = os.fspath(path)
    with contextlib.closing(read_lines(name)) as lines:
        first = next((text for _, text in lines if text.strip()), "")
    if BEGIN_LINE.match(first):
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
