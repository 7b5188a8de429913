"""Settings of preparing a corpus: declared once, for the flags of `prepare` and for calls from Python."""

import dataclasses
import functools
import re

from spanbert_keras.arguments import MAX_PIECES
from spanbert_keras.data.corpus.text_readers import MAX_DOCUMENT_BYTES
from spanbert_keras.errors import InputError
from spanbert_keras.settings import Settings, setting

MAX_HELDOUT_SHARE = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreparationSettings(Settings):
    """What to prepare and how.

    `input` takes what `find_sources` does. `output_dir` may also hold a stopped run of the same preparation, which then
    continues. `workers` does not change the output; the parts of `shard` together are
    the corpus that one run without it prepares.

    Raises:
        InputError: a value is out of range; both or neither of `vocabulary` and `train_vocabulary`; a malformed
            `shard`.
    """

    input: tuple[str, ...] = setting("Files, folders and globs, comma separated; or `embedded`.", path=True)
    output_dir: str = setting("New or empty folder for the shards.", path=True)
    vocabulary: str | None = setting(
        "A vocab.txt in BERT's format, or a preset folder with a tokenizer. This or --train_vocabulary is needed.",
        default=None,
        path=True,
    )
    train_vocabulary: int | None = setting(
        "Size, in word pieces, of a vocabulary that is trained on the input.",
        default=None,
        minimum=1,
        below=MAX_PIECES + 1,
    )
    vocabulary_sample: float = setting(
        "Share of the documents, chosen by their text, that --train_vocabulary reads.", default=1.0, above=0, maximum=1
    )
    lowercase: bool = setting("Lowercases text and strips accents (uncased models).", default=False)
    heldout_share: float = setting("Share of documents for evaluation, 0 to 0.5; at least one document.", default=0.01)
    workers: int | None = setting(
        "Number of threads; the output does not depend on it. Default: all cores.", default=None, minimum=1
    )
    shard: str | None = setting("i/n: prepares part i (from 0) of n, one part per machine.", default=None)
    text_column: str = setting("Field of JSON lines, or column of Parquet, that holds the text.", default="text")
    max_document_bytes: int = setting(
        "Size of the largest line of JSON or row of Parquet, which are read whole.",
        default=MAX_DOCUMENT_BYTES,
        minimum=1,
    )

    def check(self) -> None:
        if (self.vocabulary is None) == (self.train_vocabulary is None):
            raise InputError(
                "Expected: exactly one of --vocabulary=vocab.txt and --train_vocabulary=N. Received: "
                + ("neither." if self.vocabulary is None else "both.")
            )
        if self.vocabulary_sample < 1 and self.train_vocabulary is None:
            raise InputError("--vocabulary_sample belongs to --train_vocabulary, which is missing.")
        if not 0 <= self.heldout_share <= MAX_HELDOUT_SHARE:
            raise InputError(f"--heldout_share must be from 0 to {MAX_HELDOUT_SHARE}. Received: {self.heldout_share}.")
        _ = self.part  # parsed here, so that a malformed one is reported at once

    @functools.cached_property
    def part(self) -> tuple[int, int]:
        """(i, n): this run prepares part i of n; (0, 1) is the whole corpus."""
        return part_of(self.shard)


def part_of(shard: str | None) -> tuple[int, int]:
    """Returns the (i, n) of `--shard=i/n`, and (0, 1) without it.

    Raises:
        InputError: it has another form, or i is not below n.
    """
    if shard is None:
        return 0, 1
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", shard)
    if not match or not int(match[1]) < int(match[2]):
        raise InputError(f"--shard must be i/n with i from 0 to n - 1, as in --shard=0/4. Received: {shard}.")
    return int(match[1]), int(match[2])
