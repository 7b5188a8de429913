"""What a run leaves behind: models that applications load."""

import os
from pathlib import Path

from spanbert_keras.training.files import write_atomically


def save_model(model, path: str | os.PathLike) -> None:
    """Writes a `.keras` file, whole or not at all (Keras alone leaves half a file when writing fails)."""
    write_atomically(path, lambda temporary: model.save(temporary))


def save_preset(encoder, folder: str | os.PathLike) -> None:
    """Writes a keras-hub preset directory, whole or not at all."""

    def write(temporary: Path) -> None:
        temporary.mkdir(parents=True)
        encoder.save_to_preset(str(temporary))

    write_atomically(folder, write)
