"""Finds which mentions of a text mean the same, with a saved model.

python -m spanbert_keras.resolve --model=coreference_resolver.keras --input=text.txt --output=chains.jsonl
"""

import dataclasses
import gzip
import io
import json
import zlib
from pathlib import Path

from spanbert_keras import program
from spanbert_keras.model_flag import load_task_model
from spanbert_keras.program import InputError, Settings, setting

FORMATS = (".jsonl", ".html", ".conll")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of one call."""

    model: str = setting("A saved SpanBertCoreferenceResolver (.keras).", path=True)
    input: str = setting(
        "UTF-8 text (.txt), JSON lines with a `text` each, or documents in words: CoNLL-2012's form or JSON lines with "
        "`tokens`; also .gz.",
        path=True,
    )
    output: str = setting(
        "Written: .jsonl, a line a document with its chains; .html, a page (of one document); .conll, what the "
        "official scorer reads (of documents that were given in words).",
        path=True,
    )
    genre: str | None = setting("One of the model's. The documents' own by default.", default=None)
    singletons: bool = setting("Also likely mentions that are linked to no other.", default=False)
    skip_bad_examples: bool = setting("Leaves bad documents out and tells them.", default=False)
    batch_size: int = setting("Segments computed at once.", default=16)


def main(config: Config) -> None:
    """Reads, resolves, writes."""
    ending = Path(config.output).suffix
    if ending not in FORMATS:
        raise InputError(f"--output={config.output} must end with one of {FORMATS}.")
    if not Path(config.output).resolve().parent.is_dir():
        raise InputError(f"--output={config.output}: its folder is not there. Make it first.")
    documents, key = _documents(config.input, config.skip_bad_examples)
    in_words = not isinstance(documents[0], str)
    if ending == ".conll" and not in_words:
        raise InputError("--output as .conll needs documents in words: --input in CoNLL-2012's form or JSON lines.")
    if ending == ".html" and len(documents) > 1:
        raise InputError(f"--output as .html shows one document. Received: {len(documents)} in {config.input}.")
    if ending == ".conll":
        _check_conll(documents, key)
    resolver = load_task_model(config.model, "SpanBertCoreferenceResolver")
    found = resolver.resolve(
        documents, genre=config.genre, batch_size=config.batch_size, singletons=config.singletons
    )  # fmt: skip
    if ending == ".html":
        found[0].render(config.output, title=Path(config.input).name)
    elif ending == ".conll":
        _write_conll(config.output, documents, found, key)
    else:
        _write_lines(config.output, documents, found)
    chains = sum(len(one.token_clusters) for one in found)
    mentions = sum(len(cluster) for one in found for cluster in one.token_clusters)
    print(f"{len(found)} documents, {chains} chains, {mentions} mentions: {config.output}")


def _documents(path: str, skip_bad: bool) -> tuple[list, str | None]:
    """Returns texts, or documents in words; and the path if it is a CoNLL file and these are all of its documents."""
    import spanbert_keras

    if path.removesuffix(".gz").endswith(".txt"):
        text = _text(path)
        return [text] if text.strip() else _nothing(path), None
    if path.removesuffix(".gz").endswith((".jsonl", ".json")):
        texts = _texts(path)
        if texts:
            return texts, None
    try:
        file = spanbert_keras.read_documents(path, skip_bad, clusters=False)  # gold ones are not used
    except InputError as error:
        raise InputError(str(error).replace("`skip_bad=True`", "--skip_bad_examples")) from error
    for sentence in file.left_out:
        print(f"Left out: {sentence}")
    for note in file.notes:
        print(note)
    documents = [document for document in file.documents if document.tokens] or _nothing(path)
    is_whole = file.format == "conll" and len(documents) == len(file.documents) and not (skip_bad and file.left_out)
    return documents, path if is_whole else None


def _text(path: str) -> str:
    """Returns a text; a byte order mark in front is no part of it."""
    try:
        content = Path(path).read_bytes()
        return program.decode_text(gzip.decompress(content) if path.endswith(".gz") else content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"--input={path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    except ValueError as error:
        raise InputError(f"--input={path} {error}") from error


def _texts(path: str) -> list[str]:
    """Returns the texts of JSON lines that have one each; nothing if the first line has none."""
    texts: list[str] = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            record = None
        text = record.get("text") if isinstance(record, dict) else None
        if text is None and not texts:
            return []
        if not isinstance(text, str) or not text.strip():
            raise InputError(
                f"--input={path}, line {number} has no `text`, as the lines before. Received: {line[:60]!r}."
            )
        texts.append(text)
    return texts


def _check_conll(documents: list, key: str | None) -> None:
    """Raises if no CoNLL file can hold these documents, before anything is computed."""
    import spanbert_keras

    spanbert_keras.write_conll(io.StringIO(), [document.with_clusters(()) for document in documents], key)


def _nothing(path: str):
    raise InputError(f"--input={path} has no words.")


def _write_lines(path: str, documents: list, found: list) -> None:
    """Writes a line a document: its name where it has one, and its chains, in characters or in words."""
    import spanbert_keras.files.writing as files

    lines = []
    for document, one in zip(documents, found, strict=True):
        record = {} if isinstance(document, str) else {"name": document.name, "part": document.part}
        record |= {"clusters": [[dataclasses.asdict(mention) for mention in cluster] for cluster in one.clusters]}
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")

    def write(temporary: Path) -> None:
        temporary.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")

    files.write_atomically(path, write)


def _write_conll(path: str, documents: list, found: list, key: str | None) -> None:
    import spanbert_keras

    resolved = [document.with_clusters(one.token_clusters) for document, one in zip(documents, found, strict=True)]
    spanbert_keras.write_conll(path, resolved, key)


if __name__ == "__main__":
    program.run(main, Config)
