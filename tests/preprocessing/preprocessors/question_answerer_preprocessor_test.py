"""Questions to what the reader computes with: alone, in `tf.data`, with a model's settings, saved and loaded."""

import json

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertEncoder, SpanBertQuestionAnswerer
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.preprocessors.question_answerer_preprocessor import (
    SpanBertQuestionAnswererPreprocessor as Preprocessor,
)

CLS, SEP = 2, 3
CONTEXT = " ".join(f"w{i}" for i in range(9))  # w0 is piece 5; "w4" stands at the characters 12 and 13
# Rows of 11: [CLS] w40 w41 [SEP] six pieces [SEP]; windows of the nine pieces begin at 0 and 2 and 4.
SMALL = {"window_length": 11, "max_question_pieces": 4, "stride": 2}
QUESTIONS = {"question": ["w40 w41", "w1"], "context": [CONTEXT, "w7 w8"]}
ANSWERS = {"answer_start": [12, -1], "answer_text": ["w4 w5", ""]}
SEVERAL = {"answer_start": [[18, 6, 9], []], "answer_text": [["w6", "w2", "w3"], []]}


@pytest.fixture
def make(toy_tokenizer):
    return lambda **settings: Preprocessor(toy_tokenizer, **(SMALL | settings))


def plain(packed):
    """The same structure with lists for arrays."""
    if isinstance(packed, tuple):
        return tuple(plain(part) for part in packed)
    return {key: plain(value) for key, value in packed.items()} if isinstance(packed, dict) else packed.tolist()


def test_a_question_is_read_in_windows_with_the_positions_of_its_answer(make):
    x, y, weights = make()(QUESTIONS | ANSWERS, sample_weight=[0.5, 2.0])
    assert plain(x) == {
        "token_ids": [
            [CLS, 45, 46, SEP, 5, 6, 7, 8, 9, 10, SEP],
            [CLS, 45, 46, SEP, 7, 8, 9, 10, 11, 12, SEP],
            [CLS, 45, 46, SEP, 9, 10, 11, 12, 13, SEP, 0],
            [CLS, 6, SEP, 12, 13, SEP, 0, 0, 0, 0, 0],
        ],
        "segment_ids": [[0] * 4 + [1] * 7] * 2 + [[0] * 4 + [1] * 6 + [0], [0] * 3 + [1] * 3 + [0] * 5],
        "padding_mask": [[1] * 11, [1] * 11, [1] * 10 + [0], [1] * 6 + [0] * 5],
    }
    assert plain(y) == {
        "start_positions": [[8], [6], [4], [0]],
        "end_positions": [[9], [7], [5], [0]],
        "answer_weights": [[1.0]] * 4,
    }
    assert weights.tolist() == [0.5, 0.5, 0.5, 2.0]
    assert (
        {str(value.dtype) for value in x.values()}
        == {"int32"}
        == {str(y[f"{n}_positions"].dtype) for n in ("start", "end")}
    )
    assert y["answer_weights"].dtype == weights.dtype == np.float32


def test_as_much_comes_back_as_was_given(make):
    x = make()(QUESTIONS)
    assert set(x) == {"token_ids", "segment_ids", "padding_mask"}
    same, y = make()(QUESTIONS, ANSWERS)
    assert plain(same) == plain(x) and plain(y) == plain(make()(QUESTIONS | ANSWERS)[1])
    _, y, weights = make()(QUESTIONS, sample_weight=[1, 2])
    assert y is None and weights.tolist() == [1.0, 1.0, 1.0, 2.0]


def test_every_form_of_the_same_questions_gives_the_same(make):
    expected = plain(make()(QUESTIONS | ANSWERS))
    nested = {"answers": [{"text": ["w4 w5"], "answer_start": [12]}, {"text": [], "answer_start": []}]}
    both = QUESTIONS | ANSWERS
    for given in (
        QUESTIONS | nested,
        [{name: values[i] for name, values in both.items()} for i in range(2)],
        {name: np.array(values) for name, values in both.items()},
        {name: tuple(values) for name, values in both.items()} | {"id": ["a", "b"]},
    ):
        assert plain(make()(given)) == expected


def test_one_answer_or_all_are_targets_the_first_given_or_the_earliest(make):
    def starts(**settings):
        return make(**settings)(QUESTIONS | SEVERAL)[1]["start_positions"].tolist()

    assert starts() == [[0], [8], [6], [0]]  # w6 is not in the first window
    assert starts(first_answer="position") == [[6], [4], [0], [0]]  # w2 is not in the third
    assert starts(answers="all") == [[6, 7, 0], [8, 4, 5], [6, 0, 0], [0, 0, 0]]
    assert starts(answers="all", first_answer="position") == [[6, 7, 0], [4, 5, 8], [6, 0, 0], [0, 0, 0]]
    weights = make(answers="all")(QUESTIONS | SEVERAL)[1]["answer_weights"]
    assert weights.tolist() == [[1, 1, 0], [1, 1, 1], [1, 0, 0], [1, 0, 0]]


def test_every_setting_of_the_windows_matters(make):
    def first_row(**settings):
        return make(**settings)(QUESTIONS)["token_ids"][0].tolist()

    assert first_row(input_order="passage_first") == [CLS, 5, 6, 7, 8, 9, 10, SEP, 45, 46, SEP]
    assert first_row(max_question_pieces=1) == [CLS, 45, SEP, 5, 6, 7, 8, 9, 10, 11, SEP]
    assert first_row(window_length=9) == [CLS, 45, 46, SEP, 5, 6, 7, 8, SEP]
    assert len(make(stride=1)(QUESTIONS)["token_ids"]) == 5
    assert not make(num_segments=1)(QUESTIONS)["segment_ids"].any()
    with_sep = {"question": "w1", "context": "w1 [SEP]"}
    assert make(special_tokens_in_text=True)(with_sep)["token_ids"][0].tolist()[:6] == [CLS, 6, SEP, 6, SEP, SEP]
    assert make(max_answer_pieces=1).rows(QUESTIONS | ANSWERS).counts.answers_too_long == 1
    assert make().rows(QUESTIONS | ANSWERS).counts.answers_too_long == 0


def test_rows_are_padded_to_one_of_four_lengths(make):
    preprocessor = make(window_length=64)
    for words, length in ((3, 16), (11, 16), (12, 32), (40, 48), (60, 64)):  # and five pieces more
        rows = preprocessor.rows({"question": "w1 w2", "context": " ".join(["w3"] * words)})
        assert preprocessor.row_length_for(rows) == length
    assert preprocessor({"question": [], "context": []})["token_ids"].shape == (0, 16)


def test_places_of_answers_that_are_known_are_taken_as_they_are(make):
    spans = [[(12, 17)], []]
    found = make().rows_of(*QUESTIONS.values(), spans, sample_weight=[1, 2])
    assert plain(found.packed(np.arange(4), 11)) == plain(make()(QUESTIONS | ANSWERS, sample_weight=[1, 2]))
    assert make().rows_of(*QUESTIONS.values(), None).target_keys == ()


def test_what_cannot_be_read_is_named(make):
    with pytest.raises(InputError, match="answer of example 1 does not stand .* Expected: 'w8' at 0. Received: 'w7'"):
        make()(QUESTIONS, {"answer_start": [12, 0], "answer_text": ["w4", "w8"]})
    with pytest.raises(InputError, match="Context 1 has no words"):
        make()({"question": "w1", "context": ["w1", "\x00"]})
    with pytest.raises(InputError, match="Question 1 has no words"):
        make()({"question": ["w1", " "], "context": "w1"})
    with pytest.raises(InputError, match=r"one number for each example. Expected: shape \(2,\)"):
        make()(QUESTIONS, sample_weight=[1.0])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"answers": "some"}, "`answers` must be one of one, all. Received: answers='some'"),
        ({"first_answer": "last"}, "`first_answer` must be one of file, position"),
        ({"input_order": "context_first"}, "`input_order` must be one of"),
        ({"stride": 0}, "`stride` must be a whole number of at least 1"),
        ({"window_length": 4}, "Received: window_length=4"),
    ],
)
def test_wrong_settings_are_rejected(settings, message):
    with pytest.raises(ValueError, match=message):
        Preprocessor(**settings)


# --- tf.data


@pytest.fixture
def in_graph():
    """Function of (preprocessor, what its call gets, examples in a batch): the batches of a dataset."""
    tf = pytest.importorskip("tensorflow")

    def run(preprocessor, *given, batch=2):
        dataset = tf.data.Dataset.from_tensor_slices(given).batch(batch).map(preprocessor)
        return dataset.element_spec, [tf.nest.map_structure(lambda one: one.numpy(), one) for one in dataset]

    return run


def test_in_tf_data_batches_are_the_same(make, in_graph):
    questions = {name: np.array(values, object) for name, values in QUESTIONS.items()}
    answers = {"answer_start": np.array([12, -1]), "answer_text": np.array(["w4 w5", ""], object)}
    weights = np.array([0.5, 2.0], "float32")
    _, (x,) = in_graph(make(), questions)
    assert plain(x) == plain(make()(QUESTIONS))
    for given in ((questions | answers,), (questions, answers)):
        spec, (found,) = in_graph(make(), *given)
        assert plain(found) == plain(make()(QUESTIONS | ANSWERS))
        assert {name: tuple(one.shape) for name, one in spec[1].items()} == dict.fromkeys(found[1], (None, 1))
        assert found[1]["start_positions"].dtype == np.int32 and found[1]["answer_weights"].dtype == np.float32
    _, parts = in_graph(make(), questions, answers, weights, batch=1)
    assert [len(part[0]["token_ids"]) for part in parts] == [3, 1]
    assert [part[2].tolist() for part in parts] == [[0.5, 0.5, 0.5], [2.0]]


def test_in_tf_data_rows_of_answers_are_filled_up_with_empty_ones(make, in_graph):
    questions = {name: np.array(values, object) for name, values in QUESTIONS.items()}
    starts, texts = np.array([[18, 6, 9], [0, 0, 0]]), np.array([["w6", "w2", "w3"], [""] * 3], object)
    for answers, given in (
        ("all", questions | {"answers": {"answer_start": starts, "text": texts}}),
        ("one", questions | {"answer_start": starts, "answer_text": texts}),
    ):
        spec, (found,) = in_graph(make(answers=answers), given)
        assert plain(found) == plain(make(answers=answers)(QUESTIONS | SEVERAL))
        assert spec[1]["end_positions"].shape[1] == {"all": None, "one": 1}[answers]


def test_in_tf_data_texts_are_read_as_utf_8(in_graph):
    from spanbert_keras import SpanBertTokenizer

    preprocessor = Preprocessor(SpanBertTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "é", "中", "文"]))
    given = {"question": ["é"], "context": ["é 中文"], "answer_start": [3], "answer_text": ["文"]}
    _, ((x, y),) = in_graph(preprocessor, given, batch=1)
    assert x["token_ids"][0, :7].tolist() == [CLS, 5, SEP, 5, 6, 7, SEP] and y["start_positions"].tolist() == [[5]]


# --- of a model, and saved


@pytest.fixture
def reader(toy_tokenizer):
    encoder = SpanBertEncoder(64, 1, 1, 4, 4, max_sequence_length=11, num_segments=1, tokenizer=toy_tokenizer)
    return SpanBertQuestionAnswerer(
        encoder,
        input_order="passage_first",
        stride=2,
        max_question_pieces=3,
        max_answer_pieces=1,
        special_tokens_in_text=True,
    )


def test_a_models_preprocessor_has_its_settings(reader, make):
    expected = {
        "window_length": 11,
        "stride": 2,
        "max_question_pieces": 3,
        "input_order": "passage_first",
        "max_answer_pieces": 1,
        "special_tokens_in_text": True,
        "num_segments": 1,
        "answers": "one",
        "first_answer": "file",
    }
    assert reader.preprocessor.settings == expected and reader.preprocessor.tokenizer is reader.tokenizer
    (row,) = reader.windows.split(*(found[0] for found in ([np.array([6])], reader.windows.passages(["w7 w8"]))))
    x = reader.preprocessor({"question": "w1", "context": "w7 w8"})
    assert x["token_ids"][0, : len(row)].tolist() == row.token_ids.tolist()
    reader.preprocessor = Preprocessor(answers="all", first_answer="position")
    assert reader.preprocessor.settings == expected | {"answers": "all", "first_answer": "position"}
    starts = reader.preprocessor(QUESTIONS | SEVERAL)[1]["start_positions"]
    assert starts.shape[1] == 3
    reader.preprocessor = Preprocessor(stride=3)
    with pytest.raises(ValueError, match="Expected: stride=2, as in the model. Received: stride=3"):
        reader.preprocessor  # noqa: B018


def test_the_reader_is_trained_on_these_rows(reader):
    x, y = reader.preprocessor(QUESTIONS | ANSWERS)
    reader.compile(optimizer=keras.optimizers.Adam(0.01))
    losses = reader.fit(x, y, epochs=5, batch_size=4, verbose=0, shuffle=False).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]


def test_settings_that_were_given_come_back_from_the_config(make):
    given = {"answers": "all", "first_answer": "position", "input_order": "passage_first", **SMALL}
    preprocessor = make(**given)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(preprocessor)))
    loaded = keras.saving.deserialize_keras_object(config)
    assert isinstance(loaded, Preprocessor)
    assert loaded.settings == preprocessor.settings and loaded.own_settings == given
    assert Preprocessor.from_config(preprocessor.get_config()).settings == preprocessor.settings
    bare = Preprocessor.from_config(Preprocessor().get_config())
    assert bare.own_settings == {} and bare.tokenizer is None and bare.settings == Preprocessor.defaults


def test_a_saved_preprocessor_loads_with_its_vocabulary(make, tmp_path):
    preprocessor = make(answers="all")
    preprocessor.save_to_preset(str(tmp_path))
    config = json.loads((tmp_path / "preprocessor.json").read_text())
    loaded = keras.saving.deserialize_keras_object(config)
    loaded.load_preset_assets(str(tmp_path))
    assert plain(loaded(QUESTIONS | SEVERAL)) == plain(preprocessor(QUESTIONS | SEVERAL))
    assert "preprocessor.json" in json.loads((tmp_path / "checksums.json").read_text())["files"]
