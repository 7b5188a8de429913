"""Tests of the fine-tuning program for coreference: files in, a resolver out, rates of two groups, bad input."""

import json
import pathlib

import keras
import pytest

import spanbert_keras
from spanbert_keras import program
from spanbert_keras.program import InputError
from tasks.coreference import finetune
from tests.tasks.coreference.conftest import record

SMALL = ["--segment_length=12", "--max_training_segments=3", "--max_span_width=3", "--hidden_dim=6", "--feature_dim=2"]


@pytest.fixture
def fine_tune(encoder_path, tmp_path):
    """Function of flags that runs the program and returns its output directory."""

    def run(*flags, name="run"):
        folder = tmp_path / name
        finetune.main(settings_of(encoder_path, f"--output_dir={folder}", *flags))
        return folder

    return run


def settings_of(encoder_path, *flags):
    always = ["--output_dir=o", "--epochs=1", "--evaluations_per_epoch=1", *SMALL]
    return program.parse(finetune.Config, [f"--encoder={encoder_path}", *always, *flags])


def read_json(path):
    return json.loads(pathlib.Path(path).read_text())


def test_documents_are_memorised_by_a_model_that_comes_out_and_resolves(fine_tune, documents_file):
    dev, test = documents_file("dev.jsonl"), documents_file("test.jsonl", first=8, count=1)
    files = [f"--train_file={documents_file()}", f"--dev_file={dev}", f"--test_file={test}"]
    rates = ["--learning_rate=3e-3", "--task_learning_rate=1e-2", "--task_dropout=0", "--dropout=0"]
    folder = fine_tune(*files, *rates, "--epochs=60", "--max_training_segments=9")
    resolver = keras.saving.load_model(folder / "coreference_resolver.keras")
    assert resolver.max_span_width == 3 and resolver.pair_scorer.max_segment_distance == 9
    documents = spanbert_keras.read_documents(dev).documents
    found = [resolver.resolve(document).token_clusters for document in documents]
    scores = read_json(folder / "run.json")["scores"]
    assert scores["dev"]["average_f1"] > 95.0
    assert scores["dev"]["documents"] == 3 and scores["test"]["documents"] == 1
    written = spanbert_keras.read_conll(folder / "dev" / "predictions.conll").documents
    assert [sorted(map(sorted, d.clusters)) for d in written] == [sorted(map(sorted, c)) for c in found]


@pytest.mark.slow
def test_the_tasks_layers_have_a_rate_of_their_own(fine_tune, documents_file, encoder_path):
    files = [f"--train_file={documents_file()}", f"--dev_file={documents_file('dev.jsonl')}"]
    before = keras.saving.load_model(encoder_path).token_embedding.get_weights()[0]
    still = fine_tune(*files, "--learning_rate=1e-30", "--weight_decay=0", "--task_learning_rate=1e-2", name="still")
    model = keras.saving.load_model(still / "coreference_resolver.keras")
    assert (model.encoder.token_embedding.get_weights()[0] == before).all()
    other = fine_tune(*files, "--learning_rate=1e-2", "--task_learning_rate=1e-30", name="other")
    moved = keras.saving.load_model(other / "coreference_resolver.keras")
    assert abs(moved.encoder.token_embedding.get_weights()[0] - before).max() > 1e-3
    assert abs(moved.span_refinement.gate.kernel - model.span_refinement.gate.kernel).numpy().max() > 1e-4


def test_bad_documents_are_rejected_or_left_out(fine_tune, documents_file, tmp_path, eagerly):
    empty = tmp_path / "empty.jsonl"
    empty.write_text(json.dumps({"tokens": [], "name": "nothing"}) + "\n")
    with pytest.raises(InputError, match=r"empty.jsonl"):
        fine_tune(f"--train_file={empty}", f"--dev_file={documents_file()}")
    bad = documents_file("bad.jsonl", records=[record(0), record(1) | {"clusters": [[[3, 99]]]}])
    with pytest.raises(InputError, match=r"bad.jsonl, line 2.*--skip_bad_examples"):
        fine_tune(f"--train_file={bad}", f"--dev_file={documents_file()}")
    folder = fine_tune(f"--train_file={bad}", f"--dev_file={documents_file()}", "--skip_bad_examples")
    assert (folder / "coreference_resolver.keras").exists()


def test_an_unknown_genre_names_the_flag(fine_tune, encoder_path, documents_file):
    files = [f"--train_file={documents_file(genre='zz')}", f"--dev_file={documents_file('dev.jsonl')}"]
    with pytest.raises(InputError, match="--genres"):
        fine_tune(*files)
    task = finetune.CoreferenceResolution(settings_of(encoder_path, *files, "--genres=zz,nw"))
    assert task.make_model().genres == ("zz", "nw")


@pytest.mark.parametrize(
    "flags, genre",
    [
        ((), "nw"),
        (("--genres=zz,nw",), "nw"),
        (("--genres=zz,yy",), "zz"),
        (("--genres=zz,yy", "--default_genre=yy"), "yy"),
    ],
)
def test_documents_without_a_genre_have_the_default_one_of_the_given(encoder_path, documents_file, flags, genre):
    records = [record(number) | {"genre": ""} for number in range(2)]
    files = [f"--{part}_file={documents_file(f'{part}.jsonl', records=records)}" for part in ("train", "dev")]
    task = finetune.CoreferenceResolution(settings_of(encoder_path, *files, *flags))
    assert task.make_model().default_genre == genre


def test_a_model_remembers_its_language(encoder_path, documents_file):
    files = [f"--train_file={documents_file()}", f"--dev_file={documents_file('dev.jsonl')}"]
    for flags, language in (((), "en"), (("--language=de",), "de")):
        task = finetune.CoreferenceResolution(settings_of(encoder_path, *files, *flags))
        assert task.make_model().get_config()["language"] == language
    with pytest.raises(InputError, match="--language=zz cannot be used"):
        settings_of(encoder_path, *files, "--language=zz")


def config(*flags):
    return program.parse(finetune.Config, ["--encoder=e", "--train_file=t", "--dev_file=d", "--output_dir=o", *flags])


def test_the_grid_is_that_of_the_paper_and_the_released_code():
    grid = config().sweep_grid()
    assert len(grid) == 2 * 3 * 4
    assert {(one["learning_rate"], one["task_learning_rate"]) for one in grid} == {
        (rate, other) for rate in (1e-5, 2e-5) for other in (1e-4, 2e-4, 3e-4)
    }
    segments = [(one["segment_length"], one["max_training_segments"]) for one in grid[:4]]
    assert segments == [(128, 11), (256, 5), (384, 3), (512, 3)]


@pytest.mark.parametrize("segments", ["384", "384:3:1", "a:3", "384:0", "-384:3", ""])
def test_segments_of_a_sweep_that_are_not_pairs_are_rejected(segments):
    with pytest.raises(InputError, match="--sweep_segments must be pairs"):
        config(f"--sweep_segments={segments}").sweep_grid()


@pytest.mark.slow
def test_a_sweep_compares_segments_and_rates_and_keeps_the_best(fine_tune, documents_file):
    files = [f"--train_file={documents_file()}", f"--dev_file={documents_file('dev.jsonl')}"]
    grid = ["--sweep_learning_rates=1e-3", "--sweep_task_learning_rates=1e-3,1e-2", "--sweep_segments=12:3,20:2"]
    folder = fine_tune(*files, "--sweep", *grid)
    result = read_json(folder / "sweep.json")
    tried = {
        (one["task_learning_rate"], one["segment_length"], one["max_training_segments"]) for one in result["trials"]
    }
    assert tried == {(1e-3, 12, 3), (1e-3, 20, 2), (1e-2, 12, 3), (1e-2, 20, 2)}
    best = max(result["trials"], key=lambda one: one["dev"])
    chosen = read_json(folder / result["folder"] / "run.json")["flags"]
    for name in ("task_learning_rate", "segment_length", "max_training_segments"):
        assert chosen[name] == result["chosen"][name] == best[name]
    model = keras.saving.load_model(folder / "coreference_resolver.keras")
    assert model.segments.segment_length == chosen["segment_length"]


@pytest.mark.parametrize(
    "flag",
    [
        "task_learning_rate=-1",
        "top_span_ratio=0",
        "max_training_segments=0",
        "max_antecedents=0",
        "max_span_width=0",
        "hidden_dim=0",
        "feature_dim=0",
        "task_dropout=1.5",
        "segment_length=2",
    ],
)
def test_numbers_out_of_range_are_rejected_by_their_flag(fine_tune, documents_file, flag):
    name, _, value = flag.partition("=")
    with pytest.raises(InputError, match=rf"--{name} must be .*Received: {value}"):
        fine_tune(f"--train_file={documents_file()}", f"--dev_file={documents_file('dev.jsonl')}", f"--{flag}")


def test_files_without_clusters_are_rejected_before_training(fine_tune, documents_file):
    bare = documents_file("bare.jsonl", records=[record(0) | {"clusters": []}])
    for train, dev, flag in ((bare, documents_file(), "train_file"), (documents_file(), bare, "dev_file")):
        with pytest.raises(InputError, match=f"--{flag} has no clusters"):
            fine_tune(f"--train_file={train}", f"--dev_file={dev}")


def test_words_and_speakers_with_blanks_cost_no_model(fine_tune, documents_file, eagerly):
    odd = record(5) | {"name": "a b", "speakers": ["Ann Lee"] * 40}
    odd["tokens"][0] = "New York"
    dev = documents_file("dev.jsonl", records=[odd, odd | {"name": "a_b"}])
    folder = fine_tune(f"--train_file={documents_file()}", f"--dev_file={dev}")
    written = spanbert_keras.read_conll(folder / "dev" / "predictions.conll").documents
    assert [document.name for document in written] == ["a_b", "a_b_2"]
    assert written[0].tokens[0] == "New_York" and set(written[0].speakers) == {"Ann_Lee"}
    assert (folder / "coreference_resolver.keras").exists()
