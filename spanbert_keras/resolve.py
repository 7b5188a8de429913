"""Finds which mentions of a text mean the same, with a saved model.

python -m spanbert_keras.resolve --model=coreference_resolver.keras --input=text.txt --output=chains.jsonl
"""

import dataclasses
import json
from pathlib import Path

from spanbert_keras import program
from spanbert_keras.program import InputError, setting

FORMATS = (".jsonl", ".html", ".conll")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Settings of one call."""

    model: str = setting("A saved SpanBertCoreferenceResolver (.keras).")
    input: str = setting("UTF-8 text (.txt), or documents in CoNLL-2012's form or JSON lines, also .gz.")
    output: str = setting(
        "Written: .jsonl, a line a document with its chains; .html, a page (of one document); .conll, what the "
        "official scorer reads (of documents that were given in words)."
    )
    genre: str | None = setting("One of the model's. The documents' own by default.", default=None)
    singletons: bool = setting("Also likely mentions that are linked to no other.", default=False)
    batch_size: int = setting("Segments computed at once.", default=16)


def main(config: Config) -> None:
    """Reads, resolves, writes."""
    ending = Path(config.output).suffix
    if ending not in FORMATS:
        raise InputError(f"--output={config.output} must end with one of {FORMATS}.")
    if not Path(config.output).resolve().parent.is_dir():
        raise InputError(f"--output={config.output}: its folder is not there. Make it first.")
    documents = _documents(config.input)
    in_words = not isinstance(documents[0], str)
    if ending == ".conll" and not in_words:
        raise InputError("--output as .conll needs documents in words: --input in CoNLL-2012's form or JSON lines.")
    if ending == ".html" and len(documents) > 1:
        raise InputError(f"--output as .html shows one document. Received: {len(documents)} in {config.input}.")
    resolver = program.load_task_model(config.model, "SpanBertCoreferenceResolver")
    found = resolver.resolve(
        documents, genre=config.genre, batch_size=config.batch_size, singletons=config.singletons
    )  # fmt: skip
    if ending == ".html":
        found[0].render(config.output, title=Path(config.input).name)
    elif ending == ".conll":
        _write_conll(config.output, documents, found)
    else:
        _write_lines(config.output, documents, found)
    chains = sum(len(one.token_clusters) for one in found)
    mentions = sum(len(cluster) for one in found for cluster in one.token_clusters)
    print(f"{len(found)} documents, {chains} chains, {mentions} mentions: {config.output}")


def _documents(path: str) -> list:
    """Returns texts, or documents in words."""
    import spanbert_keras

    if not path.endswith(".txt"):
        documents = list(spanbert_keras.read_documents(path).documents)
        return [document for document in documents if document.tokens] or _nothing(path)
    try:
        text = Path(path).read_bytes().decode("utf-8")
    except OSError as error:
        raise InputError(f"--input={path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"--input={path} is not UTF-8 text: byte {error.start}. Convert it, e.g. with iconv."
        ) from error
    return [text] if text.strip() else _nothing(path)


def _nothing(path: str):
    raise InputError(f"--input={path} has no words.")


def _write_lines(path: str, documents: list, found: list) -> None:
    """Writes a line a document: its name where it has one, and its chains, in characters or in words."""
    import spanbert_keras.training.files as files

    lines = []
    for document, one in zip(documents, found, strict=True):
        record = {} if isinstance(document, str) else {"name": document.name, "part": document.part}
        record |= {"clusters": [[dataclasses.asdict(mention) for mention in cluster] for cluster in one.clusters]}
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")

    def write(temporary: Path) -> None:
        temporary.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")

    files.write_atomically(path, write)


def _write_conll(path: str, documents: list, found: list) -> None:
    import spanbert_keras

    resolved = [document.with_clusters(one.token_clusters) for document, one in zip(documents, found, strict=True)]
    spanbert_keras.write_conll(path, resolved)


if __name__ == "__main__":
    program.run(main, Config)
