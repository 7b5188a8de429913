"""Settings of an ablation: what is left out, and contradictions."""

import pytest

from spanbert_keras.errors import InputError


def test_rows_are_those_of_the_tables_each_once(make_plan):
    assert len(make_plan().config.row_names) == 7
    assert make_plan("--tables=7").config.row_names == ("span_2seq", "span_1seq", "span_1seq_sbo")
    assert make_plan("--rows=span_1seq,span_2seq").config.row_names == ("span_2seq", "span_1seq")
    own = make_plan("--tables=own", "--rows=span_1seq,subword_1seq").config
    assert own.row_names == ("span_1seq", "subword_1seq")


def test_the_annotator_by_rules_leaves_noun_phrases_out(make_plan):
    config = make_plan("--annotator=rules").config
    assert "noun_phrase_2seq" not in config.row_names and "named_entity_2seq" in config.row_names
    assert config.rows_without_mentions == ("noun_phrase_2seq",)


def test_data_sets_whose_files_do_not_exist_are_left_out(make_plan, tmp_path):
    (tmp_path / "dev").touch()
    task = f"{tmp_path / 'task.flags'} --train_file={tmp_path / 'dev'} --dev_file={tmp_path / 'dev'}"
    config = make_plan(f"--coreference=Here:{task},Gone:{task} --train_file=nowhere", "--embedded_tasks").config
    assert [column.name for column in config.columns[:1]] == ["Here"] and len(config.columns) == 4
    assert config.columns_without_files == {"Gone": ["nowhere"]}
    (tmp_path / "more.flags").write_text("--train_file=nowhere\n--dev_file=neither\n")
    inside = make_plan(f"--coreference=Gone:{tmp_path / 'more.flags'}", "--embedded_tasks").config
    assert inside.columns_without_files == {"Gone": ["nowhere", "neither"]}
    only = make_plan(f"--coreference=Here:{task}", "--embedded_tasks", "--tasks=Here").config
    assert [column.name for column in only.columns] == ["Here"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--sweep"], "--sweep tries one seed for each combination. Received: --seeds=3"),
        (["--step=21"], "--step=21 is after the last step of .*recipe.flags, 20"),
        (
            ["--fine_tune_untrained"],
            "--fine_tune_untrained needs an --init_checkpoint in .*recipe.flags. Received: none",
        ),
        (["--tasks=SQuAD"], "--tasks=SQuAD is not among the given data sets. Expected: one that a flag names"),
        (["--tables=8"], "--tables must be one of 6, 7, main, own. Received: 8"),
        (["--tables="], "--tables names no table"),
        (
            ["--corpus=embedded,more"],
            "--corpus=embedded,more mixes corpora, of which embedded is not prepared. Prepare it",
        ),
        (
            ["--rows=subword_1seq"],
            "--rows=subword_1seq: --tables=6,7 has none of these rows. Expected: rows of the tables",
        ),
        (["--rows=noun_phrase_2seq", "--annotator=rules"], "has none of these rows with --annotator=rules"),
        (["--tables=own"], "--tables=own needs --rows. Received: no rows"),
        (["--rows=span"], "--rows must be one of subword_2seq, "),
        (
            ["--pretrain_recipe=nowhere.flags"],
            "--pretrain_recipe=nowhere.flags cannot be used: --flagfile=nowhere.flags",
        ),
    ],
)
def test_contradictions_are_rejected_by_a_sentence(make_plan, flags, sentence):
    with pytest.raises(InputError, match=sentence):
        make_plan(*flags)


def test_a_flag_that_a_program_does_not_take_is_rejected_at_once(make_plan, tmp_path):
    (tmp_path / "task.flags").write_text("--no_such_flag=1\n")
    with pytest.raises(InputError, match="The flags of A, --flagfile=.*task.flags, cannot be used: .*no_such_flag"):
        make_plan(f"--coreference=A:{tmp_path / 'task.flags'}")
