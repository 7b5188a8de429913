"""Settings of annotating a corpus: declared once, for the flags of `annotate` and for calls from Python."""

import dataclasses
import functools

from spanbert_keras.data.annotations.annotator import ANNOTATIONS, ENTITIES
from spanbert_keras.data.annotations.open_annotator import check_annotator
from spanbert_keras.data.corpus.preparation_settings import part_of
from spanbert_keras.data.corpus.text_readers import MAX_DOCUMENT_BYTES
from spanbert_keras.errors import InputError
from spanbert_keras.settings import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnnotationSettings(Settings):
    """What to annotate and how.

    `workers` does not change the output, and neither do the parts of `shard`, or interruptions: shards that are done
    are not annotated again.

    Raises:
        InputError: a value is unknown or malformed, or `annotator` needs `input`.
    """

    corpus: str = setting("Folder that `prepare` wrote.", path=True)
    input: tuple[str, ...] = setting(
        "The input that `prepare` read: files, folders and globs, comma separated; or `embedded`. Without it, text is "
        "put together from word pieces, which lacks unknown words and the original spacing.",
        default=(),
        path=True,
    )
    annotations: tuple[str, ...] = setting(
        f"What to annotate: {' or '.join(ANNOTATIONS)}, or both, comma separated.",
        default=(ENTITIES,),
        choices=ANNOTATIONS,
    )
    annotator: str = setting(
        "spacy:PACKAGE_OR_PATH of a spaCy pipeline; model:FILE of a saved entity recognizer; rules (capitalised words, "
        "entities only); or jsonl:FILE with your own mentions.",
        default="spacy:en_core_web_sm",
    )
    max_document_bytes: int = setting(
        "Size of the largest line of JSON or row of Parquet, which are read whole.",
        default=MAX_DOCUMENT_BYTES,
        minimum=1,
    )
    workers: int | None = setting(
        "Number of processes; the output does not depend on it. Default: all cores.", default=None, minimum=1
    )
    shard: str | None = setting(
        "i/n: annotates every n-th shard from shard i (from 0), one i per machine.", default=None
    )
    allow_missing: bool = setting("Leaves documents that --input lacks without mentions.", default=False)
    replace: bool = setting("Replaces annotations of another annotator.", default=False)

    def check(self) -> None:
        if not self.annotations or len(set(self.annotations)) < len(self.annotations):
            raise InputError(
                f"--annotations must name {' or '.join(ANNOTATIONS)}, each once. "
                f"Received: {','.join(self.annotations) or 'none'}."
            )
        check_annotator(self.annotator)
        if self.annotator.startswith("jsonl:") and not self.input:
            raise InputError(
                f"--annotator={self.annotator} needs --input: its mentions are found by the text that `prepare` read. "
                "Received: no --input."
            )
        _ = self.part  # parsed here, so that a malformed one is reported at once

    @functools.cached_property
    def part(self) -> tuple[int, int]:
        """(i, n): this run annotates shards i, i + n, ...; (0, 1) is all of them."""
        return part_of(self.shard)
