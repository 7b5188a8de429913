"""Converts checkpoints: published BERT and SpanBERT weights into models of this package, and ours into other forms.

python -m spanbert_keras.convert --source=SpanBERT/spanbert-base-cased --destination=encoder.keras
"""

import dataclasses

from spanbert_keras import program
from spanbert_keras.conversion import destinations
from spanbert_keras.conversion.formats.own_models import KINDS
from spanbert_keras.conversion.formats.tokenizer_files import read_lines
from spanbert_keras.conversion.resizing import add_pieces, resize_positions, resize_segments
from spanbert_keras.conversion.sources import open_source
from spanbert_keras.program import InputError, Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of one conversion."""

    source: str = setting(
        "What to read: a Hugging Face name (hf:// may stand in front) or folder, an archive, model.pt or training "
        "checkpoint of the research code, a TensorFlow checkpoint of BERT or of the released coreference code, a "
        "keras-hub BERT preset, a .keras file, preset or output directory of this package.",
        path=True,
    )
    destination: str = setting(
        "What to write: x.keras, x.onnx, x.tflite, or a folder; --format says which kind of folder.", path=True
    )
    format: str = setting(
        "Form to write; auto: by the name's ending, for a folder a Hugging Face folder if the source is ours, "
        "else a preset.",
        default="auto",
        choices=("auto", *destinations.FORMATS),
    )
    model: str = setting(
        "What a .keras file or an export holds; auto: the task's model where the source was fine-tuned for one, a "
        "pretrainer where the source has a head (an export: both). Give text_classifier for a classifier whose "
        "config.json does not name its architecture.",
        default="auto",
        choices=KINDS,
    )
    dtype: str = setting(
        "Numbers in a Hugging Face folder; ours are float32.", default="source", choices=destinations.DTYPES
    )
    vocab_file: str | None = setting("vocab.txt to take instead of the source's own.", default=None, path=True)
    lowercase: bool | None = setting(
        "Whether text is lowercased; what the source or its vocabulary says by default.", default=None
    )
    add_tokens: str | None = setting(
        "File with word pieces to add to the vocabulary, one a line: first in place of [unusedN], then at the end.",
        default=None,
        path=True,
        formerly=("add_pieces",),
    )
    max_sequence_length: int | None = setting("Longest row, in pieces; the source's by default.", default=None)
    segment_length: int | None = setting(
        "Pieces of a segment that a coreference resolver reads at once; the source's by default.", default=None
    )
    allow_mismatch: bool = setting(
        "Begins missing tensors anew and leaves unknown ones out, instead of refusing.", default=False
    )


def convert(config: Config) -> list[str]:
    """Reads the source, writes the destination.

    Args:
        config: `Config`.

    Returns:
        Sentences that a user should know: what was left out, begun anew, resized; licences.

    Raises:
        InputError: the source cannot be read or is no BERT, or the destination cannot be written.
    """
    if config.max_sequence_length is not None and config.max_sequence_length < 3:
        raise InputError(f"--max_sequence_length must be at least 3. Received: {config.max_sequence_length}.")
    checkpoint = open_source(config.source, config.vocab_file, config.lowercase, config.allow_mismatch, config.model)
    if config.max_sequence_length is not None:
        checkpoint = resize_positions(checkpoint, config.max_sequence_length)
    if config.segment_length is not None:
        checkpoint = resize_segments(checkpoint, config.segment_length)
    if config.add_tokens is not None:
        pieces = [line.strip() for line in read_lines(config.add_tokens)]
        checkpoint = add_pieces(checkpoint, [piece for piece in pieces if piece])
    sizes = checkpoint.architecture
    notes = [
        f"Read {checkpoint.kind}: {sizes['num_layers']} x {sizes['hidden_dim']}, {sizes['num_heads']} heads, "
        f"{sizes['vocabulary_size']:,} pieces ({'uncased' if checkpoint.lowercase else 'cased'}), "
        f"{sizes['max_sequence_length']} positions; heads: {', '.join(checkpoint.all_heads) or 'none'}.",
        *checkpoint.notes,
    ]
    without_place = checkpoint.without_place()
    if without_place:
        notes.append(f"Not held by our models, hence left out: {', '.join(without_place)}.")
    notes += destinations.write(
        checkpoint, config.destination, config.format, config.model, config.dtype, config.source
    )
    return [*notes, f"Wrote {config.destination}."]


def main(config: Config) -> None:
    """Converts, and prints what a user should know."""
    for sentence in convert(config):
        print(sentence)


if __name__ == "__main__":
    program.run(main, Config)
