"""The stages of an ablation: which, in which order, with which flags, and when they are finished."""

import json

import pytest

from spanbert_keras import pretrain, program
from spanbert_keras.errors import InputError
from tasks.shared.ablation_tables import UNTRAINED


def names(plan):
    return [stage.name for stage in plan.stages]


def stage_of(plan, name):
    (stage,) = (stage for stage in plan.stages if stage.name == name)
    return stage


@pytest.fixture
def plan_of_one(make_plan, tmp_path):
    """Function that makes a plan of table 7 and one data set."""
    (tmp_path / "dev").touch()
    files = f"--train_file={tmp_path / 'dev'} --dev_file={tmp_path / 'dev'}"
    data = f"--coreference=LitBank:{tmp_path / 'task.flags'} {files}"
    return lambda *flags: make_plan("--tables=7", "--seeds=2", data, *flags)


def test_everything_is_planned_once(plan_of_one):
    rows = ("span_2seq", "span_1seq", "span_1seq_sbo")
    expected = ["shards", *(f"pretrain/{row}" for row in rows)]
    expected += [f"finetune/{row}/litbank/seed_{seed}" for row in rows for seed in (42, 43)]
    assert names(plan_of_one()) == expected


def test_every_stage_comes_after_what_it_reads(plan_of_one):
    plan = plan_of_one("--tables=6,7", "--annotator=rules", "--embedded_tasks", "--pretrain_seeds=2")
    seen = set()
    for stage in plan.stages:
        assert set(stage.after) <= seen, stage
        seen.add(stage.name)
    assert stage_of(plan, "annotate").after == ("shards",)
    assert stage_of(plan, "pretrain/span_1seq/seed_2").after == ("shards", "annotate")
    folder = "finetune/span_1seq/missing_words_(embedded)/pretrain_2/seed_44"
    assert folder not in names(plan)  # two seeds: 42 and 43
    assert stage_of(plan, folder.replace("44", "43")).after == ("pretrain/span_1seq/seed_2", "tasks")


def test_pre_trainings_share_the_recipe_the_shards_and_the_held_out_masks(plan_of_one, tmp_path):
    plan = plan_of_one()
    for row in plan.config.row_names:
        config = program.parse(pretrain.Config, stage_of(plan, f"pretrain/{row}").arguments)
        assert (config.corpus, config.cache_dir) == (str(tmp_path / "out" / "shards"), str(tmp_path / "out" / "cache"))
        assert (config.steps, config.seed, config.eval_schemes) == (20, 1, ("span", "subword"))
        assert config.output_dir == str(tmp_path / "out" / "pretrain" / row)
    assert "--train_vocabulary=100" in stage_of(plan, "shards").arguments


def test_all_rows_are_scored_on_the_same_pairs_of_sentences(plan_of_one):
    plan = plan_of_one("--pair_units=sentence")
    for row in plan.config.row_names:
        config = program.parse(pretrain.Config, stage_of(plan, f"pretrain/{row}").arguments)
        assert config.pair_units == "sentence" and set(config.eval_segments) == {"1", "2"}
        assert config.eval_segments[0] == str(config.segments)
    alone = plan_of_one("--pair_units=sentence", "--rows=span_1seq,span_1seq_sbo")
    config = program.parse(pretrain.Config, stage_of(alone, "pretrain/span_1seq").arguments)
    assert (config.pair_units, config.eval_segments) == ("line", ("1",))


def test_a_prepared_corpus_needs_no_stage(plan_of_one, toy_shards):
    plan = plan_of_one(f"--corpus={toy_shards}")
    assert plan.corpus == str(toy_shards) and names(plan)[0] == "pretrain/span_2seq"


def test_raw_text_with_the_vocabulary_of_a_checkpoint_is_prepared_by_pre_training(plan_of_one, tmp_path):
    recipe = (tmp_path / "recipe.flags").read_text().replace("--train_vocabulary=100", "--init_checkpoint=minilm")
    (tmp_path / "recipe.flags").write_text(recipe)
    plan = plan_of_one()
    assert plan.corpus == "embedded" and names(plan)[0] == "pretrain/span_2seq"


def test_a_step_chooses_the_checkpoint_and_keeps_it(plan_of_one):
    plan = plan_of_one("--step=10")
    assert "--keep_every=10" in stage_of(plan, "pretrain/span_1seq").arguments
    (encoder,) = (
        a for a in stage_of(plan, "finetune/span_1seq/litbank/seed_42").arguments if a.startswith("--encoder")
    )
    assert encoder.endswith("pretrain/span_1seq/checkpoints/step_00000010")


def test_a_sweep_is_one_run_of_a_cell(plan_of_one):
    plan = plan_of_one("--seeds=1", "--sweep")
    assert "--sweep" in stage_of(plan, "finetune/span_1seq/litbank/sweep").arguments


def test_the_untrained_encoder_is_fine_tuned_without_pre_training(plan_of_one, tmp_path):
    with open(tmp_path / "recipe.flags", "a") as file:
        file.write("--init_checkpoint=minilm\n")
    plan = plan_of_one("--fine_tune_untrained")
    stage = stage_of(plan, f"finetune/{UNTRAINED}/litbank/seed_42")
    assert stage.after == () and "--encoder=minilm" in stage.arguments
    assert f"pretrain/{UNTRAINED}" not in names(plan)


def test_a_stage_is_finished_when_its_results_are_whole(plan_of_one, write_record, tmp_path):
    plan = plan_of_one()
    folder = tmp_path / "out" / "pretrain" / "span_1seq"
    folder.mkdir(parents=True)
    pretraining = stage_of(plan, "pretrain/span_1seq")
    for finished, expected in ((None, False), (19, False), (20, True)):
        (folder / "run.json").write_text(json.dumps({"finished_steps": finished}))
        assert pretraining.is_finished() is expected
    fine_tuning = stage_of(plan, "finetune/span_1seq/litbank/seed_42")
    assert not fine_tuning.is_finished()
    write_record(tmp_path / "out" / "finetune" / "span_1seq" / "litbank" / "seed_42", {"average_f1": 3.0})
    assert fine_tuning.is_finished()


def test_finished_runs_of_other_settings_are_rejected_before_anything_starts(plan_of_one, write_record, tmp_path):
    folder = tmp_path / "out" / "pretrain" / "span_1seq"
    plan = plan_of_one()
    flags = program.to_flags(program.parse(pretrain.Config, stage_of(plan, "pretrain/span_1seq").arguments))
    write_record(folder, {}, flags=flags, finished_steps=20)
    plan.check_results()
    write_record(folder, {}, flags=flags | {"log_every": 3}, finished_steps=20)
    plan.check_results()
    write_record(folder, {}, flags=flags | {"learning_rate": 0.5}, finished_steps=20)
    with pytest.raises(InputError, match="span_1seq are of other settings: --learning_rate was 0.5 and is 0.0001 now"):
        plan.check_results()
    write_record(folder, {}, flags=flags | {"learning_rate": 0.5}, finished_steps=10)
    plan.check_results()  # not finished: the program itself rejects it


def test_fine_tuning_runs_of_another_encoder_are_rejected(plan_of_one, write_record, tmp_path):
    name = "finetune/span_1seq/litbank/seed_42"
    stage = stage_of(plan_of_one(), name)
    flags = program.to_flags(program.parse(stage.settings, stage.arguments))
    write_record(tmp_path / "out" / name, {"average_f1": 1.0}, flags=flags)
    plan_of_one().check_results()
    with pytest.raises(InputError, match="seed_42 are of other settings: --encoder was"):
        plan_of_one("--step=10").check_results()


def test_an_annotation_is_finished_when_every_part_has_every_name(make_plan, toy_shards, tmp_path):
    plan = make_plan(f"--corpus={toy_shards}", "--annotator=spacy:x", f"--output_dir={tmp_path / 'o'}")
    stage = stage_of(plan, "annotate")
    assert "--annotations=entities,noun_phrases" in stage.arguments and not stage.is_finished()


def test_the_flags_of_fine_tuning_are_those_of_its_program(plan_of_one):
    from tasks.coreference.finetune import Config

    stage = stage_of(plan_of_one("--tables=main"), "finetune/subword_1seq/litbank/seed_42")
    config = program.parse(Config, stage.arguments)
    assert (config.method, config.dataset, config.seed) == ("Our BERT-1seq", "LitBank", 42)
