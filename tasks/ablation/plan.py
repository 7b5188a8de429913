"""The stages of an ablation, in an order in which they can run."""

import functools
from pathlib import Path
from typing import Any

from absl import logging

from spanbert_keras.data.batches.corpus_mixture import is_prepared, parse_corpora
from spanbert_keras.files.json_files import read_json
from spanbert_keras.pretrain import Config as PretrainingConfig
from tasks.ablation import embedded_tasks, stage_runner
from tasks.ablation.column import PROGRAMS, Column
from tasks.ablation.config import Config
from tasks.ablation.pretrainings import ANNOTATIONS, METHODS, PRETRAININGS, flags_of, to_arguments
from tasks.ablation.stage import Stage, record_of, scored_record
from tasks.glue.report import COLUMN_SCORES
from tasks.shared.ablation_tables import UNTRAINED, title_of

DATASETS = {"Coreference": "OntoNotes"}  # names in Tables 1 to 5 of columns of Tables 6 and 7
FIRST_SEED = 42  # of fine-tuning


class Plan:
    """All stages of an ablation, and where their results are.

    Args:
        config: `Config`.

    Attributes:
        config: `Config`.
        folder: `Path`. The output directory.
    """

    def __init__(self, config: Config):
        self.config = config
        self.folder = config.folder

    @functools.cached_property
    def stages(self) -> list[Stage]:
        """All stages, each after those whose results it reads."""
        stages = self._text_stages()
        text = tuple(stage.name for stage in stages)
        for row in self.config.row_names:
            stages += [self._pretraining(row, seed, text) for seed in self.pretraining_seeds]
        if self.config.embedded_tasks:
            stages.append(self._embedded_tasks())
        for row in self.rows:
            for column in self.config.columns:
                stages += self._cell_stages(row, column)
        return stages

    def check_results(self) -> None:
        """Raises `InputError` if finished stages were run with other settings, or on other text, than this plan."""
        for stage in self.stages:
            if stage.is_finished():
                stage.check_settings()
                stage_runner.check_arguments(stage, self.folder)

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows whose encoders are fine-tuned."""
        return (*self.config.row_names, *([UNTRAINED] if self.config.fine_tune_untrained else []))

    @property
    def pretraining_seeds(self) -> range:
        """Seeds of pre-training."""
        return range(self.config.recipe.seed, self.config.recipe.seed + self.config.pretrain_seeds)

    def evaluated_segments(self, row: str) -> list[str]:
        """Returns the numbers of segments of the held-out rows, those of training first; one if all rows have it."""
        every = {str(PRETRAININGS[name]["segments"]) for name in self.config.row_names}
        return sorted(every, key=lambda number: (number != str(PRETRAININGS[row]["segments"]), number))

    def pretraining_folder(self, row: str, seed: int) -> Path:
        """Returns the folder of a pre-training; with several seeds each has its own."""
        folder = self.folder / "pretrain" / row
        return folder if self.config.pretrain_seeds == 1 else folder / f"seed_{seed}"

    def cell_folders(self, row: str, column: Column) -> list[tuple[int, Path]]:
        """Returns the seed of pre-training and the folder of each fine-tuning run of a cell."""
        return [(seed, self._cell_folder(row, column, seed, run)) for seed in self._seeds_of(row) for run in self._runs]

    # --- text

    @property
    def corpus(self) -> str:
        """What pre-training reads: prepared shards, or raw text that is prepared with a checkpoint's vocabulary."""
        recipe = self.config.recipe
        if all(is_prepared(path) for path, _ in parse_corpora(recipe.corpus)):
            return recipe.corpus
        has_vocabulary = recipe.vocabulary is not None or recipe.train_vocabulary is not None
        return str(self.folder / "shards") if has_vocabulary else recipe.corpus

    def _text_stages(self) -> list[Stage]:
        """Returns the stages that prepare raw text and annotate it."""
        recipe, stages = self.config.recipe, []
        if self.corpus != recipe.corpus:
            arguments = [f"--input={recipe.corpus}", f"--output_dir={self.corpus}"]
            arguments.append(f"--heldout_share={recipe.heldout_share:g}")
            arguments += ["--lowercase"] if recipe.lowercase else []
            if recipe.vocabulary:
                arguments.append(f"--vocabulary={recipe.vocabulary}")
            elif recipe.train_vocabulary:
                arguments.append(f"--train_vocabulary={recipe.train_vocabulary}")
            done = functools.partial(is_prepared, self.corpus)
            stages.append(Stage("shards", "spanbert_keras.prepare", tuple(arguments), is_finished=done))
        names = [ANNOTATIONS[row] for row in self.config.row_names if row in ANNOTATIONS]
        if names and self.config.annotator:
            for number, (path, _) in enumerate(parse_corpora(self.corpus)):
                stages.append(self._annotation(f"annotate_{number}" if number else "annotate", path, names, stages))
        return stages

    def _annotation(self, name: str, corpus: str, names: list[str], before: list[Stage]) -> Stage:
        arguments = [f"--corpus={corpus}", f"--annotations={','.join(names)}", f"--annotator={self.config.annotator}"]
        text = self.config.recipe.corpus if corpus == str(self.folder / "shards") else ",".join(self.config.text)
        if text:
            arguments.append(f"--input={text}")
        done = functools.partial(_is_annotated, Path(corpus), names)
        after = tuple(stage.name for stage in before)
        return Stage(name, "spanbert_keras.annotate", tuple(arguments), after, done)

    def _embedded_tasks(self) -> Stage:
        folder = self.folder / "tasks"
        done = functools.partial(_has_files, folder)
        return Stage("tasks", "tasks.ablation.embedded_tasks", (f"--output_dir={folder}",), is_finished=done)

    # --- pre-training

    def _pretraining(self, row: str, seed: int, after: tuple[str, ...]) -> Stage:
        config, folder = self.config, self.pretraining_folder(row, seed)
        arguments = [
            f"--flagfile={config.pretrain_recipe}",
            f"--corpus={self.corpus}",
            f"--output_dir={folder}",
            f"--cache_dir={self.folder / 'cache'}",
            f"--seed={seed}",
            "--eval_schemes=span,subword",
            f"--eval_segments={','.join(self.evaluated_segments(row))}",
            *to_arguments(flags_of(row, config.recipe)),
        ]
        if config.pair_units != "line" and "2" in self.evaluated_segments(row):  # all rows are scored on the same pairs
            arguments.append(f"--pair_units={config.pair_units}")
        if config.step is not None:
            arguments.append(f"--keep_every={config.step}")
        name = str(folder.relative_to(self.folder))
        done = functools.partial(_is_pretrained, folder, config.recipe.steps)
        return Stage(name, "spanbert_keras.pretrain", tuple(arguments), after, done, folder, PretrainingConfig)

    # --- fine-tuning

    @property
    def _runs(self) -> list[str]:
        """Names of the fine-tuning runs of a cell."""
        if self.config.sweep:
            return ["sweep"]
        return [f"seed_{seed}" for seed in range(FIRST_SEED, FIRST_SEED + self.config.seeds)]

    def _seeds_of(self, row: str) -> range:
        """Returns the seeds of pre-training whose encoders a row has."""
        return self.pretraining_seeds if row != UNTRAINED else self.pretraining_seeds[:1]

    def _cell_folder(self, row: str, column: Column, seed: int, run: str) -> Path:
        folder = self.folder / "finetune" / row / column.folder
        return (folder if self.config.pretrain_seeds == 1 else folder / f"pretrain_{seed}") / run

    def _cell_stages(self, row: str, column: Column) -> list[Stage]:
        """Returns the fine-tuning runs of a row on one data set."""
        config, stages = self.config, []
        for seed in self._seeds_of(row):
            pretraining = self.pretraining_folder(row, seed)
            after = [] if row == UNTRAINED else [str(pretraining.relative_to(self.folder))]
            if config.embedded_tasks and any(str(self.folder / "tasks") in argument for argument in column.arguments):
                after.append("tasks")
            for run in self._runs:
                folder = self._cell_folder(row, column, seed, run)
                arguments = [
                    *column.arguments,
                    f"--encoder={self._encoder(row, pretraining)}",
                    f"--output_dir={folder}",
                    f"--method={METHODS.get(row, title_of(row))}",
                    "--sweep" if config.sweep else f"--seed={run.removeprefix('seed_')}",
                ]
                if column.program != "classification" or column.name in COLUMN_SCORES:
                    arguments.append(f"--dataset={DATASETS.get(column.name, column.name)}")
                name = str(folder.relative_to(self.folder))
                done = functools.partial(_is_fine_tuned, folder)
                module, given = PROGRAMS[column.program], tuple(arguments)
                stages.append(Stage(name, module, given, tuple(after), done, folder, column.settings))
        return stages

    def _encoder(self, row: str, pretraining: Path) -> str:
        if row == UNTRAINED:
            return str(self.config.recipe.init_checkpoint)
        if self.config.step is None:
            return str(pretraining / "encoder.keras")
        return str(pretraining / "checkpoints" / f"step_{self.config.step:08d}")


def _is_annotated(corpus: Path, names: list[str]) -> bool:
    folders = [corpus] if (corpus / "manifest.json").is_file() else sorted(corpus.glob("part-*-of-*"))
    try:
        return bool(folders) and all(
            set(names) <= set(read_json(one / "annotations.json", dict[str, Any])) for one in folders
        )
    except (OSError, ValueError):
        return False


def _has_files(folder: Path) -> bool:
    return all(
        (folder / f"{split}_{name}").is_file() for split in embedded_tasks.SPLITS for name in embedded_tasks.FILES
    )


def _is_pretrained(folder: Path, steps: int) -> bool:
    return record_of(folder).get("finished_steps") == steps


def _is_fine_tuned(folder: Path) -> bool:
    return bool(scored_record(folder))


def log_plan(plan: Plan) -> None:
    """Logs what is compared with what, and what is left out."""
    for row in plan.config.rows_without_mentions:
        logging.warning("%s is left out: --annotator=%s finds no noun phrases.", row, plan.config.annotator)
    for name, files in plan.config.columns_without_files.items():
        logging.warning("%s is left out: %s does not exist.", name, ", ".join(files))
    columns = ", ".join(column.name for column in plan.config.columns) or "none"
    logging.info("Rows: %s. Data sets: %s.", ", ".join(plan.rows), columns)
    logging.info("%d stages in %s.", len(plan.stages), plan.folder)
