"""Finds which mentions of a text refer to the same entity, with a saved model.

python -m spanbert_keras.resolve --model=coreference_resolver.keras --input=text.txt --output=chains.jsonl
"""

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path

from spanbert_keras import program
from spanbert_keras.files.byte_streams import read_gunzipped
from spanbert_keras.files.json_files import parse_json
from spanbert_keras.files.writing import write_atomically
from spanbert_keras.model_flag import (
    check_language_flag,
    language_setting,
    load_task_model,
    precision_setting,
    print_precision_difference,
)
from spanbert_keras.program import InputError, Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of one call."""

    model: str = setting("A saved SpanBertCoreferenceResolver (.keras).", path=True)
    input: str = setting(
        "UTF-8 text (.txt), JSON lines with a `text` each, or tokenized documents: CoNLL-2012 or JSON lines with "
        "`tokens`; also gzipped.",
        path=True,
    )
    output: str = setting(
        "File to write: .jsonl, one line per document with its chains; .html, a page (of one document); .conll, the "
        "input of the official scorer (tokenized documents only).",
        path=True,
    )
    genre: str | None = setting(
        "Genre of all documents, one of the model's. Default: that of each document.", default=None
    )
    language: str | None = language_setting()
    singletons: bool = setting("Includes likely mentions that are linked to no other.", default=False)
    min_score: float = setting("Lowest probability of a link between two mentions.", default=0.0, minimum=0, maximum=1)
    skip_bad_examples: bool = setting("Skips and reports bad documents.", default=False)
    batch_size: int = setting("Number of segments computed at once.", default=16)
    precision: str = precision_setting()


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be resolved and written.

    Attributes:
        input, output: str. The paths, as given.
        documents: list of str or of `Document`.
        key: str or `None`. The input, if it is a CoNLL file and `documents` are all of its documents.
    """

    input: str
    output: str
    documents: list
    key: str | None

    @property
    def is_tokenized(self) -> bool:
        """Whether the documents are given in words, not as text."""
        return not isinstance(self.documents[0], str)


@dataclasses.dataclass(frozen=True)
class OutputFormat:
    """One format of `--output`.

    Attributes:
        check: function. Raises `InputError` if the format cannot hold the documents, before anything is computed.
        write: function. Writes the `ResolvedDocument`s of a request.
    """

    check: Callable[[Request], None]
    write: Callable[[Request, list], None]


def main(config: Config) -> None:
    """Reads, resolves, writes."""
    ending = Path(config.output).suffix
    if ending not in FORMATS:
        raise InputError(f"--output={config.output} must end with one of {', '.join(FORMATS)}.")
    if Path(config.output).is_dir():
        raise InputError(f"--output={config.output} is a folder. Expected: the name of a file.")
    if not Path(config.output).resolve().parent.is_dir():
        raise InputError(f"--output={config.output}: its folder does not exist. Create it first.")
    request = Request(config.input, config.output, *_read_documents(config.input, config.skip_bad_examples))
    FORMATS[ending].check(request)
    if config.language is not None and request.is_tokenized:
        raise InputError(f"--language belongs to raw text. Received: tokenized documents in --input={config.input}.")
    check_language_flag(config.language)
    resolver = load_task_model(config.model, "SpanBertCoreferenceResolver", config.precision)
    found = resolver.resolve(
        request.documents,
        genre=config.genre,
        batch_size=config.batch_size,
        singletons=config.singletons,
        min_score=config.min_score,
        language=config.language,
    )
    FORMATS[ending].write(request, found)
    sample = request.documents[:1]
    print_precision_difference(
        config.model,
        resolver,
        config.precision,
        "mention scores",
        lambda model: model.mention_scores(sample, language=config.language),
    )
    chains = sum(len(one.token_clusters) for one in found)
    mentions = sum(len(cluster) for one in found for cluster in one.token_clusters)
    print(f"{len(found)} documents, {chains} chains, {mentions} mentions: {config.output}")


def _read_documents(path: str, skip_bad: bool) -> tuple[list, str | None]:
    """Returns texts or tokenized documents; and the path if it is a CoNLL file and these are all of its documents."""
    import spanbert_keras

    if path.removesuffix(".gz").endswith(".txt"):
        text = _read_text(path)
        return _not_empty([text] if text.strip() else [], path), None
    if path.removesuffix(".gz").endswith((".jsonl", ".json")):
        texts = _texts_of_lines(path)
        if texts:
            return texts, None
    try:
        file = spanbert_keras.read_documents(path, skip_bad, clusters=False)  # gold ones are not used
    except InputError as error:
        hint = error.hint and "Correct the file, or leave such documents out with --skip_bad_examples."
        raise InputError(error.what, hint) from error
    for sentence in file.left_out:
        print(f"Left out: {sentence}")
    for note in file.notes:
        print(note)
    documents = _not_empty([document for document in file.documents if document.tokens], path)
    is_whole = file.format == "conll" and len(documents) == len(file.documents) and not (skip_bad and file.left_out)
    return documents, path if is_whole else None


def _read_text(path: str) -> str:
    """Returns the text of a file, without its byte order mark."""
    content = read_gunzipped(path, "--input=")
    try:
        return program.decode_text(content)
    except ValueError as error:
        raise InputError(f"--input={path} {error}") from error


def _texts_of_lines(path: str) -> list[str]:
    """Returns the `text` of each JSON line; nothing if the first line has none."""
    texts: list[str] = []
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
        except ValueError:
            record = None
        text = record.get("text") if isinstance(record, dict) else None
        if text is None and not texts:
            return []
        if not isinstance(text, str) or not text.strip():
            raise InputError(
                f"--input={path}, line {number} has no `text`, unlike the lines before. Received: {line[:60]!r}."
            )
        texts.append(text)
    return texts


def _not_empty(documents: list, path: str) -> list:
    """Returns the documents; raises if the list is empty."""
    if not documents:
        raise InputError(f"--input={path} has no words.")
    return documents


def _check_nothing(request: Request) -> None:
    """Accepts any documents."""


def _write_lines(request: Request, found: list) -> None:
    """Writes one line per document: its name, if any, and its chains, in characters or in words."""
    lines = []
    for document, one in zip(request.documents, found, strict=True):
        record = {} if isinstance(document, str) else {"name": document.name, "part": document.part}
        record |= {"clusters": [[dataclasses.asdict(mention) for mention in cluster] for cluster in one.clusters]}
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")

    def write(temporary: Path) -> None:
        temporary.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")

    write_atomically(request.output, write)


def _check_page(request: Request) -> None:
    if len(request.documents) > 1:
        raise InputError(
            f"--output as .html shows one document. Received: {len(request.documents)} in {request.input}."
        )


def _write_page(request: Request, found: list) -> None:
    found[0].render(request.output, title=Path(request.input).name)


def _check_conll(request: Request) -> None:
    import spanbert_keras

    if not request.is_tokenized:
        raise InputError("--output as .conll needs tokenized documents: --input in CoNLL-2012 or JSON lines.")
    unresolved = [document.with_clusters(()) for document in request.documents]
    spanbert_keras.write_conll(io.StringIO(), unresolved, request.key)


def _write_conll(request: Request, found: list) -> None:
    import spanbert_keras

    pairs = zip(request.documents, found, strict=True)
    resolved = [document.with_clusters(one.token_clusters) for document, one in pairs]
    spanbert_keras.write_conll(request.output, resolved, request.key)


FORMATS = {
    ".jsonl": OutputFormat(_check_nothing, _write_lines),
    ".html": OutputFormat(_check_page, _write_page),
    ".conll": OutputFormat(_check_conll, _write_conll),
}


if __name__ == "__main__":
    program.run(main, Config)
