"""Settings of fine-tuning and evaluation: how files of named entities are read."""

import dataclasses

from spanbert_keras.program import Settings, setting
from tasks.named_entities import data


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileSettings(Settings):
    """Settings of how files are read; a program adds its own."""

    tag_column: int = setting(
        "Number of the only column with tags, from 2; 0: the last, or all if every column after the first has tags.",
        default=0,
        minimum=0,
    )
    context: str = setting(
        "What a row holds: words of a whole document, or of one sentence.", default="document", choices=data.CONTEXTS
    )

    def read(self, path: str, skip_bad: bool = False, gold: bool = True) -> data.ExampleFile:
        """Returns the examples of a file; see `data.read`."""
        return data.read(path, skip_bad, self.context, self.tag_column, gold)
