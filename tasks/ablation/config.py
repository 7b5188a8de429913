"""Settings of an ablation."""

import dataclasses
import functools
from pathlib import Path

from absl import flags

from spanbert_keras import program
from spanbert_keras.data.batches.corpus_mixture import is_prepared, parse_corpora
from spanbert_keras.pretrain import Config as PretrainingConfig
from spanbert_keras.program import InputError
from spanbert_keras.settings import Settings, setting
from tasks.ablation.column import PROGRAMS, Column, embedded_columns, glue_columns, parse_columns
from tasks.ablation.pretrainings import PRETRAININGS, TABLE_ROWS

NOUN_PHRASES = "noun_phrase_2seq"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """Settings of one ablation."""

    output_dir: str = setting("Folder of all runs, logs and tables.", path=True)
    pretrain_recipe: str = setting("Flag file of pretrain that all pre-trainings share.", path=True)
    tables: tuple[str, ...] = setting(
        "Tables to make: 6, masking schemes; 7, auxiliary objectives; main, the rows of Tables 1 to 5; own, those of "
        "--rows.",
        default=("6", "7"),
        choices=tuple(TABLE_ROWS),
    )
    rows: tuple[str, ...] = setting(
        "Pre-trainings to run. Default: those of the tables.", default=(), choices=tuple(PRETRAININGS)
    )
    tasks: tuple[str, ...] = setting("Names of the data sets to fine-tune on. Default: all that are given.", default=())
    # --- text
    corpus: str | None = setting("Text to pre-train on. Default: the recipe's --corpus.", default=None, path=True)
    text: tuple[str, ...] = setting(
        "Raw text that the prepared corpus was made of, for --annotator. Default: text put together from tokens.",
        default=(),
        path=True,
    )
    annotator: str | None = setting(
        "Annotator of named entities and noun phrases, as for annotate. Default: the corpus is annotated already.",
        default=None,
    )
    pair_units: str = setting(
        "Units of the segments of the rows with pairs: lines (the paper's are sentences), or sentences found in lines.",
        default="line",
        choices=("line", "sentence"),
    )
    # --- data sets: name:flag file, with further flags after spaces, separated by commas
    question_answering: tuple[str, ...] = setting(
        "Question-answering data: name:flag file --train_file=... --dev_file=..., several with commas.", default=()
    )
    coreference: tuple[str, ...] = setting("Coreference data, in the same form.", default=())
    relation_extraction: tuple[str, ...] = setting("Relation-extraction data, in the same form.", default=())
    classification: tuple[str, ...] = setting(
        "Labelled texts, or sets of GLUE by their names, in the same form: RTE:configs/glue_rte.flags --data_dir=RTE.",
        default=(),
    )
    glue_dir: str | None = setting(
        "Folder with a folder for each set of GLUE, as CoLA/, SST-2/; adds those that are there.",
        default=None,
        path=True,
    )
    embedded_tasks: bool = setting(
        "Adds three small data sets that are made of Python's documentation, to try everything.", default=False
    )
    # --- how
    step: int | None = setting(
        "Step of the pre-trainings whose encoder is fine-tuned (the paper: 1,200,000 of 2,400,000). Default: the last.",
        default=None,
        minimum=1,
    )
    seeds: int = setting("Number of fine-tuning runs of a cell, with consecutive seeds from 42.", default=3, minimum=1)
    pretrain_seeds: int = setting(
        "Number of pre-trainings of a row, with consecutive seeds from the recipe's.", default=1, minimum=1
    )
    sweep: bool = setting("Whether each cell is a sweep, of which dev scores choose a run.", default=False)
    fine_tune_untrained: bool = setting(
        "Adds a row for the encoder that the recipe's --init_checkpoint gives, without further pre-training.",
        default=False,
    )
    jobs: str = setting(
        "run: runs everything here; print: prints a line with each command, for a scheduler.",
        default="run",
        choices=("run", "print"),
    )

    def check(self) -> None:
        """Raises `InputError` if settings contradict each other."""
        if self.sweep and self.seeds > 1:
            raise InputError(
                f"--sweep tries one seed for each combination. Received: --seeds={self.seeds}. Sweep first, then write "
                "the chosen rates into the flag files and give --seeds."
            )
        if not self.tables:
            raise InputError(f"--tables names no table. Expected: {', '.join(TABLE_ROWS)}.")
        if "own" in self.tables and not self.rows:
            raise InputError("--tables=own needs --rows. Received: no rows.")
        if not self.row_names:
            without = f" with --annotator={self.annotator}" if self.rows_without_mentions else ""
            raise InputError(
                f"--rows={','.join(self.rows)}: --tables={','.join(self.tables)} has none of these rows{without}. "
                "Expected: rows of the tables, or --tables=own."
            )
        recipe = self.recipe
        if self.fine_tune_untrained and not recipe.init_checkpoint:
            raise InputError(
                f"--fine_tune_untrained needs an --init_checkpoint in {self.pretrain_recipe}. Received: none."
            )
        if self.step is not None and self.step > recipe.steps:
            raise InputError(f"--step={self.step} is after the last step of {self.pretrain_recipe}, {recipe.steps}.")
        corpora = parse_corpora(recipe.corpus)
        raw = [path for path, _ in corpora if not is_prepared(path)]
        if raw and len(corpora) > 1:
            raise InputError(
                f"--corpus={recipe.corpus} mixes corpora, of which {raw[0]} is not prepared. Prepare it first."
            )
        for column in self._wanted_columns:
            column.parsed()
        known = {column.name for column in self.all_columns}
        unknown = sorted(set(self.tasks) - known)
        if unknown:
            raise InputError(
                f"--tasks={unknown[0]} is not among the given data sets. Expected: "
                f"{', '.join(sorted(known)) or 'one that a flag names'}."
            )

    @property
    def folder(self) -> Path:
        """The output directory."""
        return Path(self.output_dir)

    @functools.cached_property
    def recipe(self) -> PretrainingConfig:
        """Settings of the common recipe.

        Raises:
            InputError: it cannot be read, or has flags that rows set.
        """
        arguments = [f"--flagfile={self.pretrain_recipe}", f"--output_dir={self.folder / 'pretrain'}"]
        if self.corpus is not None:
            arguments.append(f"--corpus={self.corpus}")
        try:
            return program.parse(PretrainingConfig, arguments)
        except flags.Error as error:
            raise InputError(f"--pretrain_recipe={self.pretrain_recipe} cannot be used: {error}") from error

    @property
    def row_names(self) -> tuple[str, ...]:
        """Names of the pre-trainings, each once."""
        without = self.rows_without_mentions
        return tuple(name for name in self._wanted_rows if name not in without)

    @property
    def rows_without_mentions(self) -> tuple[str, ...]:
        """Rows that need noun phrases, which the annotator by rules does not find."""
        return tuple(name for name in self._wanted_rows if name == NOUN_PHRASES and self.annotator == "rules")

    @property
    def _wanted_rows(self) -> tuple[str, ...]:
        if "own" in self.tables:
            return self.rows
        of_tables = dict.fromkeys(name for table in self.tables for name in TABLE_ROWS[table])
        return tuple(name for name in of_tables if name in self.rows) if self.rows else tuple(of_tables)

    @property
    def all_columns(self) -> list[Column]:
        """All data sets that are given."""
        columns = [column for name in PROGRAMS for column in parse_columns(name, getattr(self, name))]
        columns += [] if self.glue_dir is None else glue_columns(Path(self.glue_dir))
        return columns + (embedded_columns(self.folder / "tasks") if self.embedded_tasks else [])

    @property
    def columns(self) -> list[Column]:
        """The data sets to fine-tune on: those whose files exist."""
        return [column for column in self._wanted_columns if not self._missing_files(column)]

    @property
    def columns_without_files(self) -> dict[str, list[str]]:
        """The data sets that are left out, and which of their files do not exist."""
        missing = {column.name: self._missing_files(column) for column in self._wanted_columns}
        return {name: files for name, files in missing.items() if files}

    @property
    def _wanted_columns(self) -> list[Column]:
        return [column for column in self.all_columns if not self.tasks or column.name in self.tasks]

    def _missing_files(self, column: Column) -> list[str]:
        made_here = self.embedded_tasks and column in embedded_columns(self.folder / "tasks")
        return [] if made_here else column.missing_files()
