"""What every evaluation program has in common: its flags, and the folder that it writes to."""

import dataclasses
from pathlib import Path

from spanbert_keras.program import InputError, Settings, setting

ENDINGS = (".gz", ".jsonl", ".jsonlines", ".json", ".tsv", "_conll")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Settings):
    """Settings of one evaluation; a program adds its own."""

    model: str = setting("A model that this task's fine-tuning saved (.keras).", path=True)
    data: str = setting("What is scored; see the task's README section for the forms of files.", path=True)
    output_dir: str | None = setting(
        "Where predictions, scores and the page go. <model's folder>/evaluation/<data's name>.", default=None, path=True
    )
    batch_size: int = setting("Rows of pieces computed at once.", default=32)
    skip_bad_examples: bool = setting("Leaves bad examples out and counts them.", default=False)
    page: bool = setting("Writes errors.html.", default=True)
    predict_only: bool = setting(
        "Writes predictions and nothing else: for files without gold answers, which are not read.", default=False
    )

    def check(self, need_gold: tuple[str, ...] = ()) -> None:
        """Raises if settings are wrong, before any file is read.

        Args:
            need_gold: tuple of str. Names of settings that do not go with `predict_only`.

        Raises:
            InputError: a setting is out of its range, or needs gold answers.
        """
        given = [name for name in need_gold if getattr(self, name) not in (None, False)]
        if self.predict_only and given:
            raise InputError(f"--predict_only reads no gold answers, which --{given[0]} needs. Leave one of them out.")
        if self.batch_size < 1:
            raise InputError(f"--batch_size must be positive. Received: {self.batch_size}.")

    def make_folder(self, part: str = "") -> Path:
        """Makes and returns the folder for what is written.

        Args:
            part: str. Ends the default folder's name where a part of the data is scored.

        Raises:
            InputError: it cannot be made.
        """
        name = Path(self.data).name
        for ending in ENDINGS:
            name = name.removesuffix(ending)
        default = Path(self.model).parent / "evaluation" / f"{name}{part}"
        folder = Path(self.output_dir) if self.output_dir else default
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--output_dir={folder} cannot be made: {error.strerror}.") from error
        return folder
