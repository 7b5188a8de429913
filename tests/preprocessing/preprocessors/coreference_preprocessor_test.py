"""Documents for the resolver: what may be given, clusters as targets, settings and errors. L 8, W 2."""

import keras
import numpy as np
import pytest

from spanbert_keras import Document, SpanBertCoreferenceResolver, SpanBertEncoder
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.preprocessors.coreference_preprocessor import SpanBertCoreferencePreprocessor

WORDS = ("w3", "w4", "w5", "w6")
CHAIN = (((0, 1), (2, 3)),)
WITH, WITHOUT = Document(WORDS, clusters=CHAIN), Document(WORDS)
SETTINGS = {"segment_length": 8, "max_span_width": 2, "max_segments": 2}


@pytest.fixture
def make(toy_tokenizer):
    """Function of settings that returns a preprocessor with a tokenizer."""
    return lambda **settings: SpanBertCoreferencePreprocessor(toy_tokenizer, **(SETTINGS | settings))


@pytest.fixture(scope="module")
def make_resolver(toy_tokenizer):
    """Function of a resolver's arguments that returns a small one."""

    def make(**settings):
        keras.utils.set_random_seed(1)
        encoder = SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=24, tokenizer=toy_tokenizer)
        sizes = {"segment_length": 8, "max_span_width": 2, "hidden_dim": 4, "feature_dim": 2}
        return SpanBertCoreferenceResolver(encoder, **(sizes | settings))

    return make


def mentions(y):
    """Returns {(row, first piece, width - 1): cluster} of targets."""
    grid = y["span_clusters"]
    return {tuple(map(int, place)): int(grid[tuple(place)]) for place in np.argwhere(grid)}


def test_documents_with_clusters_are_inputs_and_targets(make):
    x, y = make()([WITH, WITHOUT])
    assert x["token_ids"].shape == (2, 16) and x["genres"].shape == (2, 1) and list(y) == ["span_clusters"]
    assert y["span_clusters"].shape == (2, 16, 2)
    assert mentions(y) == {(0, 1, 0): 1, (0, 3, 0): 1}  # after [CLS]; the second document has none


@pytest.mark.parametrize("given", [WITHOUT, [WITHOUT], (WITHOUT, WITHOUT, WITHOUT), np.array([WITHOUT] * 2, object)])
def test_documents_without_clusters_are_inputs_alone(make, given):
    rows = make().rows(given)
    assert rows.target_keys == () and len(rows) == (1 if given is WITHOUT else len(given))
    batch = rows.packed(np.arange(len(rows)), 16)
    assert set(batch) == set(SpanBertCoreferenceResolver.input_keys)


def test_texts_are_cut_by_the_rules_of_the_models_language_or_an_own_one(make, make_resolver):
    pytest.importorskip("spacy")
    text = "w3 3. w5"
    words = {"de": Document(("w3", "3.", "w5")), "en": Document(("w3", "3", ".", "w5"), ((0, 3), (3, 4)))}
    for language, document in words.items():
        expected = make()(document)["start_groups"].tolist()
        resolver = make_resolver(language=language, preprocessor=SpanBertCoreferencePreprocessor(max_segments=2))
        for own in (make(language=language), resolver.preprocessor):
            assert own(text)["start_groups"].tolist() == expected
            assert own.get_config()["language"] == language
    assert make()(text)["start_groups"].tolist() == expected  # English
    with pytest.raises(ValueError, match="must agree. Expected: language='de'"):
        assert make_resolver(language="de", preprocessor=SpanBertCoreferencePreprocessor(language="en")).preprocessor
    with pytest.raises(InputError, match="`language` must be the code of a language"):
        make(language="de-AT")


def test_texts_are_cut_into_words(make):
    pytest.importorskip("spacy")
    x = make()(["w3 w4 w5 w6", WITHOUT])
    assert x["token_ids"][0].tolist() == x["token_ids"][1].tolist()


def test_clusters_may_be_given_apart_and_replace_the_documents(make):
    for y in ([[[(1, 2), (3, 4)]], [[(0, 2)]]], [np.array([[[1, 2], [3, 4]]]), [[[0, 2]]]]):
        found = make()([WITH, WITHOUT], y)[1]
        assert mentions(found) == {(0, 2, 0): 1, (0, 4, 0): 1, (1, 1, 1): 1}
    assert mentions(make()([WITH], [[]])[1]) == {}
    assert make()([], [])[1]["span_clusters"].shape == (0, 16, 2)
    assert mentions(make()(WITHOUT, [[(1, 2)]])[1]) == {(0, 2, 0): 1}  # one document, and its clusters


def test_weights_are_those_of_the_documents(make):
    x, y, weight = make()([WITH, WITHOUT], None, [0.5, 2.0])
    assert weight.tolist() == [0.5, 2.0] and weight.dtype == np.float32 and list(y) == ["span_clusters"]
    x, y, weight = make()([WITHOUT], sample_weight=[3.0])
    assert y is None and weight.tolist() == [3.0] and "token_ids" in x


def test_rows_are_equally_long_whatever_is_in_them(make):
    for documents in ([WITH], [Document(WORDS * 30, clusters=CHAIN)], [WITH] * 3, []):
        preprocessor = make()
        assert preprocessor.row_length_for(preprocessor.rows(documents)) == 16
        packed = preprocessor(documents)
        x = packed if isinstance(packed, dict) else packed[0]
        assert x["token_ids"].shape == (len(documents), 16)


def test_another_seed_draws_other_windows(make):
    long = [Document(tuple(f"w{i % 40}" for i in range(90)), [(i, i + 3) for i in range(0, 90, 3)], clusters=CHAIN)]
    found = [make(seed=seed)(long * 4)[0]["token_ids"] for seed in (None, 0, 1)]
    assert (found[0] == found[1]).all() and (found[0] != found[2]).any()


def test_a_model_gives_its_settings(make_resolver):
    genres = ["x", "y"]
    model = make_resolver(genres=genres, default_genre="y", top_span_ratio=0.25, max_segment_distance=5)
    preprocessor = model.preprocessor
    assert isinstance(preprocessor, SpanBertCoreferencePreprocessor) and preprocessor.tokenizer is model.tokenizer
    wanted = {
        "segment_length": 8,
        "candidates": "words",
        "max_span_width": 2,
        "top_span_ratio": 0.25,
        "default_genre": "y",
        "genres": genres,
    }
    assert {name: preprocessor.settings[name] for name in wanted} == wanted and preprocessor.max_segments == 5
    x, _ = preprocessor([WITH, Document(WORDS, genre="x")])
    assert x["token_ids"].shape == (2, 40) and x["genres"].tolist() == [[1], [0]]
    assert x["span_limits"].tolist() == [[model.span_limit(6)]] * 2 == [[1]] * 2
    model.max_span_width, model.top_span_ratio = 1, 0.9  # may be set later
    x, y = model.preprocessor([WITH])
    assert y["span_clusters"].shape == (1, 40, 1) and x["span_limits"].tolist() == [[5]]
    model = make_resolver(candidates="pieces")
    assert model.preprocessor.settings["candidates"] == "pieces"
    groups = model.preprocessor([WITH])[0]["start_groups"][0]
    assert groups[0] == groups[1]  # [CLS] may begin a span


def test_a_model_trains_on_what_its_preprocessor_makes(make_resolver):
    model = make_resolver(max_segment_distance=1)
    documents = [WITH, Document(WORDS, clusters=(((1, 2), (3, 4)),))]
    batch = model.preprocessor.rows(documents).batch(np.arange(2), 8)
    batch = {key: keras.ops.convert_to_tensor(values) for key, values in batch.items()}
    expected = keras.ops.convert_to_numpy(model.example_losses(model(batch), batch))
    model.compile("sgd")
    packed = model.preprocessor(documents, sample_weight=[1.0, 3.0])
    found = model.evaluate(*packed[:2], sample_weight=packed[2], verbose=0)
    assert found == pytest.approx((expected[0] + 3 * expected[1]) / 2, rel=1e-4) and expected.min() > 0
    assert np.isfinite(model.fit(*packed[:2], verbose=0).history["loss"][0])


def test_segments_and_seed_are_a_preprocessors_own(make_resolver):
    own = SpanBertCoreferencePreprocessor(max_segments=1, seed=4)
    model = make_resolver(preprocessor=own)
    assert model.preprocessor is own and model.preprocessor([WITH])[0]["token_ids"].shape == (1, 8)
    assert model.preprocessor.rows([WITH]).seed == 4
    with pytest.raises(ValueError, match="must agree. Expected: segment_length=8, as in the model. Received: segment"):
        make_resolver(preprocessor=SpanBertCoreferencePreprocessor(segment_length=9)).preprocessor  # noqa: B018


def test_the_defaults_are_the_resolvers(toy_tokenizer):
    preprocessor = SpanBertCoreferencePreprocessor(toy_tokenizer)
    model = SpanBertCoreferenceResolver(
        SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=512, tokenizer=toy_tokenizer), hidden_dim=4
    )
    assert preprocessor.settings | model.preprocessor_settings() == preprocessor.settings | {
        "genres": list(preprocessor.settings["genres"])
    }
    assert preprocessor([WITHOUT])["token_ids"].shape == (1, 3 * 512)


def test_a_config_makes_the_same_preprocessor(make):
    genres = ["nw", "x"]
    one = make(genres=genres, default_genre="x", candidates="pieces", top_span_ratio=0.3, seed=5)
    other = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(one))
    assert other.own_settings == one.own_settings and other.settings["genres"] == genres
    bare = SpanBertCoreferencePreprocessor()
    again = SpanBertCoreferencePreprocessor.from_config(bare.get_config())
    assert again.own_settings == {} and again.tokenizer is None


@pytest.mark.parametrize(
    "x, y, message",
    [
        (
            [Document(WORDS, genre="zz")],
            None,
            r"Document 0: The genre 'zz' is not one of the model's. Expected: one of",
        ),
        (
            [WITH, Document(WORDS, genre="zz", name="zz/a", part=2)],
            None,
            r"Document 1 \('zz/a', part 2\): The genre 'zz' is not one",
        ),
        ([WITH, Document((), name="empty")], None, "Document 1 has no words"),
        ([WITH, 5], None, "Document 1 must be a str or a `Document`. Received: int."),
        ({"a": WITH}, None, "`x` must be a `Document`, a text, or a list of either. Received: "),
        (None, None, "`x` must be a `Document`, a text, or a list of either. Received: None."),
        ([WITH], [CHAIN] * 2, "`y` must have a list of clusters for each document. Expected: 1. Received: 2."),
        ([WITH], 5, "`y` must be a list with the clusters of each document. Received: 5."),
        ([WITH], [[[(3, 5)]]], r"Document 0: clusters do not fit: .*Received: \[3, 5\)"),
        ([WITH], [[(0, 1)]], "Document 0: clusters do not fit: .*not a pair of whole numbers"),
        ([WITH], [None], "Document 0: clusters do not fit: .*is not a list"),
    ],
)
def test_what_cannot_be_read_is_named(make, x, y, message):
    with pytest.raises(InputError, match=message):
        make().rows(x, y)


def test_a_weight_belongs_to_each_document(make):
    with pytest.raises(
        InputError, match=r"`sample_weight` must have one number for each example. Expected: shape \(2,"
    ):
        make().rows([WITH] * 2, sample_weight=[1.0])


@pytest.mark.parametrize("count", [0, -1])
def test_a_row_has_at_least_one_segment(count):
    with pytest.raises(
        ValueError, match=f"`max_segments` must be a whole number of at least 1. Received: max_segments={count}."
    ):
        SpanBertCoreferencePreprocessor(max_segments=count)


def test_documents_are_not_tensors(make):
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices(["w3 w4"]).batch(1)
    message = r"(?s)Documents are not tensors.*Expected: a list of `Document`.*fit\(documents\)"
    with pytest.raises(InputError, match=message):
        make().target_spec(dataset, None)
    with pytest.raises(Exception, match=message):  # TensorFlow adds to the message, and changes the class
        dataset.map(make())
