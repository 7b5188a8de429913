"""Converts checkpoints: published BERT and SpanBERT weights into models of this package, and these into other formats.

python -m spanbert_keras.convert --source=SpanBERT/spanbert-base-cased --destination=encoder.keras
"""

import dataclasses

from spanbert_keras import program
from spanbert_keras.conversion import choices
from spanbert_keras.program import InputError, Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of one conversion."""

    source: str = setting(
        "Checkpoint to read: a Hugging Face name (with or without hf://) or folder, an archive, model.pt or training "
        "checkpoint of the research code, a TensorFlow checkpoint of BERT or of the released coreference code, a "
        "keras-hub BERT preset, a .keras file, preset, output directory or training checkpoint of this package.",
        path=True,
    )
    destination: str = setting(
        "File or folder to write: x.keras, x.onnx, x.tflite, or a folder in the format that --format names.", path=True
    )
    step: int | None = setting(
        "Step of the training checkpoint to read from the output directory of a pre-training run. Default: the saved "
        "model, if any, else the newest checkpoint.",
        default=None,
        minimum=0,
    )
    format: str = setting(
        "Format to write; auto: by the name's ending, for a folder a Hugging Face folder if the source is a model of "
        "this package, else a preset.",
        default="auto",
        choices=("auto", *choices.FORMATS),
    )
    model: str = setting(
        "Model in a .keras file or an export; auto: the task's model if the source was fine-tuned for one, the "
        "pretrainer if the source has a pre-training head (for an export: both heads), else the encoder. Give "
        "text_classifier for a classifier whose config.json does not name its architecture.",
        default="auto",
        choices=choices.MODELS,
    )
    dtype: str = setting(
        "Data type of the weights in a Hugging Face folder; other formats have float32.",
        default="source",
        choices=choices.DTYPES,
    )
    quantize: str | None = setting(
        "Type of the weights in an ONNX or LiteRT file: int8, a quarter of the size. The outputs' difference from the "
        "model's is printed, whatever it is.",
        default=None,
        choices=choices.QUANTIZED,
    )
    calibrate: str | None = setting(
        "File of labelled examples on which the int8 export is scored beside the model. JSON lines: of a classifier "
        '{"text", "label"}, of a reader {"question", "context", "answers"}, of an extractor {"tokens" or "text", '
        '"subject", "object", "subject_type", "object_type", "label"}.',
        default=None,
        path=True,
    )
    vocab_file: str | None = setting("vocab.txt to use instead of the source's own.", default=None, path=True)
    lowercase: bool | None = setting(
        "Whether text is lowercased. Default: read from the source or inferred from its vocabulary.", default=None
    )
    add_tokens: str | None = setting(
        "File of tokens (word pieces) to add to the vocabulary, one per line: first in place of [unusedN], then at the "
        "end.",
        default=None,
        path=True,
        formerly=("add_pieces",),
    )
    max_sequence_length: int | None = setting(
        "Length of the longest row, in tokens. Default: the source's.", default=None
    )
    segment_length: int | None = setting(
        "Length of a coreference resolver's segments, in word pieces. Default: the source's.", default=None
    )
    allow_mismatch: bool = setting(
        "Initialises missing tensors randomly and leaves out unknown ones, instead of failing.", default=False
    )
    allow_nonfinite: bool = setting(
        "Converts weights that are infinite or not a number, instead of failing.", default=False
    )


def convert(config: Config) -> list[str]:
    """Reads the source, writes the destination.

    Args:
        config: `Config`.

    Returns:
        Sentences to show to the user: what was left out, re-initialised or resized; licences.

    Raises:
        InputError: the source cannot be read or is not a BERT, or the destination cannot be written.
    """
    from spanbert_keras.conversion import destinations
    from spanbert_keras.conversion.formats.tokenizer_files import read_lines
    from spanbert_keras.conversion.resizing import add_pieces, resize_positions, resize_segments
    from spanbert_keras.conversion.sources import open_source
    from spanbert_keras.labelled_file import LabelledFile

    if config.max_sequence_length is not None and config.max_sequence_length < 3:
        raise InputError(f"--max_sequence_length must be at least 3. Received: {config.max_sequence_length}.")
    if config.calibrate is not None and config.quantize is None:
        raise InputError(f"--calibrate={config.calibrate} needs --quantize=int8, whose score it is for.")
    labelled = None if config.calibrate is None else LabelledFile(config.calibrate)
    checkpoint = open_source(
        config.source,
        config.vocab_file,
        config.lowercase,
        config.allow_mismatch,
        config.model,
        config.step,
        config.allow_nonfinite,
    )
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
        notes.append(f"Left out, as our models do not have them: {', '.join(without_place)}.")
    notes += destinations.write(
        checkpoint,
        config.destination,
        config.format,
        config.model,
        config.dtype,
        checkpoint.source,
        config.quantize,
        None if labelled is None else labelled.comparison,
    )
    return [*notes, f"Wrote {config.destination}."]


def main(config: Config) -> None:
    """Converts a checkpoint and prints notes for the user."""
    for note in convert(config):
        print(note)


if __name__ == "__main__":
    program.run(main, Config)
