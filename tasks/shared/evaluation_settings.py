"""What every evaluation program has in common: its flags, and the folder that it writes to."""

import dataclasses
from pathlib import Path
from typing import ClassVar

from spanbert_keras.program import InputError, Settings, setting

ENDINGS = (".gz", ".jsonl", ".jsonlines", ".json", ".tsv", "_conll")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings(Settings):
    """Settings of one evaluation; a program adds its own.

    Attributes:
        needs_gold: names of the program's settings that need gold answers.
    """

    needs_gold: ClassVar[tuple[str, ...]] = ()

    model: str = setting("A model that this task's fine-tuning saved (.keras).", path=True)
    data: str = setting("What is scored; see the task's README section for the forms of files.", path=True)
    output_dir: str | None = setting(
        "Where predictions, scores and the page go. <model's folder>/evaluation/<data's name>.", default=None, path=True
    )
    batch_size: int = setting("Rows of pieces computed at once.", default=32, minimum=1)
    skip_bad_examples: bool = setting("Leaves bad examples out and counts them.", default=False)
    page: bool = setting("Writes errors.html.", default=True)
    predict_only: bool = setting(
        "Writes predictions and nothing else: for files without gold answers, which are not read.", default=False
    )

    def check(self) -> None:
        """Raises `InputError` if `predict_only` goes with a setting that needs gold answers."""
        super().check()
        given = [name for name in self.needs_gold if getattr(self, name) not in (None, False)]
        if self.predict_only and given:
            raise InputError(f"--predict_only reads no gold answers, which --{given[0]} needs. Leave one of them out.")

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
