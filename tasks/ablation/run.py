"""Pre-trains and fine-tunes what the paper's Tables 6 and 7 compare, and writes the tables.

python -m tasks.ablation.run --flagfile=configs/ablation_small.flags --tables=6,7 --output_dir=runs/ablation

Every pre-training and every fine-tuning run is a process with its own folder. The same command continues after an
interruption: what is finished is not done again.
"""

import sys

from absl import logging

from spanbert_keras import program
from spanbert_keras.files.folder_lock import FolderLock
from spanbert_keras.files.json_files import write_json
from spanbert_keras.files.writing import input_error_if_unwritable, write_text
from spanbert_keras.program import InputError
from tasks.ablation import pictures, results
from tasks.ablation.config import Config
from tasks.ablation.plan import Plan, log_plan
from tasks.ablation.stage_runner import LEFT_OUT, Stopped, run_stages


def main(config: Config) -> None:
    """Runs or prints everything; ends with exit code 1 if a stage failed."""
    plan = Plan(config)
    plan.check_results()
    if config.jobs == "print":
        print_jobs(plan)
        return
    pictures.need_library()
    with FolderLock(plan.folder):
        run_plan(plan)


def run_plan(plan: Plan) -> None:
    """Runs all stages and writes the tables.

    Raises:
        InputError: stages failed; what finished is in the tables.
    """
    log_plan(plan)
    failed: dict[str, str] = {}
    # Nothing is fine-tuned on pre-trainings that cannot be compared.
    for is_fine_tuning in (False, True):
        results.check_alike(plan)
        part = [stage for stage in plan.stages if stage.name.startswith("finetune/") == is_fine_tuning]
        try:
            run_stages(part, plan.folder, failed)
        except Stopped as stopped:
            logging.info("Stopped with exit code %d. The same command continues.", stopped.code)
            sys.exit(stopped.code)
    write(plan, failed)
    if failed:
        causes = [f"{name} {sentence}" for name, sentence in failed.items() if not sentence.startswith(LEFT_OUT)]
        waiting = len(failed) - len(causes)
        raise InputError(
            "\n  ".join([f"{len(causes)} of {len(plan.stages)} stages failed, and their cells are empty:", *causes])
            + (f"\n{waiting} stages that need their results were left out." if waiting else "")
            + "\nCorrect the cause and give the same command again: finished stages are kept."
        )


def print_jobs(plan: Plan) -> None:
    """Prints the commands of the stages that are not finished, each with its name and those it has to wait for."""
    waiting = [stage for stage in plan.stages if not stage.is_finished()]
    names = {stage.name for stage in waiting}
    for stage in waiting:
        after = [name for name in stage.after if name in names]
        print(f"{stage.command}  # {stage.name}; after: {', '.join(after) or 'nothing'}")


def write(plan: Plan, failed: dict[str, str]) -> None:
    """Writes the tables, the pictures and `ablation.json`; cells of failed stages are empty."""
    found = results.gather(plan, failed)
    folder = plan.folder
    with input_error_if_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "ablation.json", found.to_json(), checksum=True)
        for table in plan.config.tables:
            text = results.markdown(found, table)
            write_text(folder / f"table{table}.md", text)
            pictures.draw_table(folder / f"table{table}.png", found, table)
            print(text)
        pictures.draw_curves(folder / "curves.png", plan)


if __name__ == "__main__":
    program.run(main, Config)
