"""Settings that all evaluation programs share, and the folder that they write to."""

import atexit
import contextlib
import dataclasses
import os
from pathlib import Path
from typing import ClassVar

from spanbert_keras.files.destination_lock import destination_lock
from spanbert_keras.files.folder_lock import FolderLock
from spanbert_keras.model_flag import precision_setting
from spanbert_keras.program import InputError, Settings, setting

_LOCKS = contextlib.ExitStack()
_LOCKED: set[Path] = set()  # folders of this process
atexit.register(_LOCKS.close)
DATA_SUFFIXES = (".gz", ".jsonl", ".jsonlines", ".json", ".tsv", "_conll")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Settings):
    """Settings of one evaluation; a program adds its own.

    Attributes:
        needs_gold: names of the program's settings that need gold answers.
    """

    needs_gold: ClassVar[tuple[str, ...]] = ()

    model: str = setting("Model that was saved by the task's fine-tuning (.keras).", path=True)
    data: str = setting("File to score; the task's page in docs/ describes the formats.", path=True)
    output_dir: str | None = setting(
        "Folder of predictions, scores and the page. Default: <model's folder>/evaluation/<data's name>.",
        default=None,
        path=True,
    )
    batch_size: int = setting("Rows computed at once.", default=32, minimum=1)
    precision: str = precision_setting()
    skip_bad_examples: bool = setting("Skips and reports bad examples.", default=False)
    page: bool = setting("Writes errors.html.", default=True)
    predict_only: bool = setting("Writes only predictions, without reading gold answers.", default=False)

    def check(self) -> None:
        """Raises `InputError` if `predict_only` is combined with a setting that needs gold answers."""
        super().check()
        given = [name for name in self.needs_gold if getattr(self, name) not in (None, False)]
        if self.predict_only and given:
            raise InputError(f"--predict_only reads no gold answers, which --{given[0]} needs. Leave one of them out.")

    def make_folder(self, part: str = "") -> Path:
        """Creates and returns the output folder, which stays locked until this process ends.

        Args:
            part: str. Suffix of the default folder's name if a part of the data is scored.

        Raises:
            InputError: the folder cannot be created, or another process uses it.
        """
        name = Path(self.data).name
        for ending in DATA_SUFFIXES:
            name = name.removesuffix(ending)
        run = Path(self.model) if Path(self.model).is_dir() else Path(self.model).parent
        default = run / "evaluation" / f"{name}{part}"
        folder = Path(self.output_dir) if self.output_dir else default
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--output_dir={folder} cannot be created: {error.strerror}.") from error
        key = folder.resolve()
        if key not in _LOCKED:
            beside = os.access(key.parent, os.W_OK)  # not of a mounted folder, for instance
            inside = FolderLock(key, name=".evaluation.lock", keep=False)
            _LOCKS.enter_context(destination_lock(key, "--output_dir") if beside else inside)
            _LOCKED.add(key)
        return folder
