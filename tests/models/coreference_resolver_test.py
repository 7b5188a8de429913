"""The resolver: sizes, padding, training. B 2, L 10, W 3; documents of two and of four segments."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras import SpanBertEncoder, SpanBertTokenizer
from spanbert_keras.errors import InputError
from spanbert_keras.fine_tuning.objective import ExampleObjective
from spanbert_keras.models.coreference_resolver import GENRES, SpanBertCoreferenceResolver
from spanbert_keras.training.backend import make_step
from spanbert_keras.training.steps.objective import StepSettings, seed_generators

SPANS = {"segment_length": 10, "max_span_width": 3, "max_antecedents": 4}
SETTINGS = SPANS | {"feature_dim": 4, "hidden_dim": 7, "dropout": 0.0}
SIZES = "max_span_width max_antecedents hidden_dim feature_dim antecedent_window max_segment_distance".split()
FILL = {"start_groups": -1, "end_groups": -2}


@pytest.fixture(scope="module")
def make_resolver(toy_tokenizer, randomize):
    """Function that makes a small resolver full of noise; arguments are the resolver's and the encoder's."""

    def make(scale=0.4, encoder_dropout=0.0, dtype=None, **settings):
        encoder = SpanBertEncoder(
            64, 1, 2, 8, 12, encoder_dropout, max_sequence_length=16, tokenizer=toy_tokenizer, dtype=dtype
        )
        resolver = SpanBertCoreferenceResolver(encoder, **(SETTINGS | settings))
        randomize(resolver, scale=scale)
        return resolver

    return make


@pytest.fixture(scope="module")
def resolver(make_resolver):
    return make_resolver()


def document(resolver, seed, words):
    """Returns a random document in segments, its genre, and gold clusters by (first, last) piece."""
    rng = np.random.default_rng(seed)
    tokens = [f"w{a}" + "e1" * b for a, b in zip(rng.integers(0, 45, words), rng.integers(0, 2, words), strict=True)]
    middle = words // 2
    speakers = rng.choice(["Ann", "Bob"], words).tolist()
    found = resolver.segments.cut(tokens, [(0, middle), (middle, words)], speakers)
    spans = {found.pieces_of(w, w + 1): int(rng.integers(0, 4)) for w in range(words)}
    return found, int(rng.integers(0, 7)), {span: c for span, c in spans.items() if span[1] - span[0] < 3}


def make_batch(resolver, documents, segments):
    """Returns inputs and gold clusters of documents, each padded to a number of segments; int32."""
    length, width = resolver.segments.segment_length, resolver.max_span_width
    size = segments * length
    names = (*resolver.input_keys[:-2], "genres", "span_limits")
    rows = {name: np.full((len(documents), size), FILL.get(name, 0), "int32") for name in names[:-2]}
    rows["genres"] = np.array([[genre] for _, genre, _ in documents], "int32")
    rows["span_limits"] = np.array([[int(0.4 * len(found))] for found, *_ in documents], "int32")
    rows["span_clusters"] = np.zeros((len(documents), size, width), "int32")
    for b, (found, _, clusters) in enumerate(documents):
        for n, ids in enumerate(found.segments):
            rows["token_ids"][b, n * length : n * length + len(ids)] = ids
            rows["padding_mask"][b, n * length : n * length + len(ids)] = 1
        count = len(found)
        rows["piece_places"][b, :count] = np.flatnonzero(rows["padding_mask"][b])
        for name in ("start_groups", "end_groups", "speakers", "segment_numbers"):
            rows[name][b, :count] = getattr(found, name)
        for (first, last), cluster in clusters.items():
            rows["span_clusters"][b, first, last - first] = cluster
    return rows


@pytest.fixture(scope="module")
def documents(resolver):
    """Two documents, of 9 words in two segments and of 20 in four or more."""
    found = [document(resolver, 1, 9), document(resolver, 2, 20)]
    assert len(found[0][0].segments) == 2 and len(found[1][0].segments) >= 4
    return found


def run(resolver, tensors, **kwargs):
    outputs = resolver(tensors, **kwargs)
    return outputs, resolver.example_losses(outputs, tensors)


@functools.cache
def function(resolver):
    """Returns `run` of a resolver, compiled on JAX, where it takes minutes operation by operation."""
    if keras.backend.backend() != "jax":
        return functools.partial(run, resolver)
    import jax

    return jax.jit(functools.partial(run, resolver))


def compute(resolver, batch, **kwargs):
    """Returns for every document what was found, without padding, and the losses."""
    tensors = {key: ops.convert_to_tensor(value) for key, value in batch.items()}
    outputs, losses = function(resolver)(tensors) if not kwargs else run(resolver, tensors, **kwargs)
    found = {key: ops.convert_to_numpy(ops.cast(value, "float32")) for key, value in outputs.items()}
    rows = []
    for b in range(len(batch["token_ids"])):
        kept = found["kept"][b] > 0
        rows.append({key: found[key][b][kept] for key in ("starts", "ends", "mention_scores")})
        real = found["antecedent_scores"][b][kept] > -1e8
        assert real[:, 0].all() and not found["antecedent_scores"][b][kept][:, 0].any()
        rows[-1]["scores"] = {
            (i, int(found["antecedents"][b, i, a])): float(found["antecedent_scores"][b, i, a + 1])
            for i, a in zip(*np.nonzero(real[:, 1:]), strict=True)
        }
    return rows, ops.convert_to_numpy(losses)


def same(found, expected, atol=2e-5):
    assert found["starts"].tolist() == expected["starts"].tolist()
    assert found["ends"].tolist() == expected["ends"].tolist()
    np.testing.assert_allclose(found["mention_scores"], expected["mention_scores"], atol=atol)
    assert found["scores"].keys() == expected["scores"].keys()
    for pair, score in expected["scores"].items():
        assert found["scores"][pair] == pytest.approx(score, abs=atol)


@pytest.mark.parametrize("width, heads, expected", [(768, 12, 44_416_209), (1024, 16, 66_112_465)])
def test_the_tasks_parameters_are_the_released_codes(toy_tokenizer, width, heads, expected):
    encoder = SpanBertEncoder(64, 1, heads, width, 8, max_sequence_length=512, tokenizer=toy_tokenizer)
    resolver = SpanBertCoreferenceResolver(encoder)
    assert sum(layer.count_params() for layer in resolver.task_layers) == expected
    assert resolver.count_params() - encoder.count_params() == expected
    assert len({id(weight) for weight in resolver.weights}) == len(resolver.weights)
    config = resolver.get_config()
    config.pop("encoder"), config.pop("dtype"), config.pop("name")
    assert config == {
        "trainable": True,
        "segment_length": 512,
        "max_span_width": 30,
        "top_span_ratio": 0.4,
        "max_antecedents": 50,
        "antecedent_window": 3900,
        "refinements": 1,
        "feature_dim": 20,
        "hidden_dim": 3000,
        "dropout": 0.3,
        "genres": ["bc", "bn", "mz", "nw", "pt", "tc", "wb"],
        "default_genre": "nw",
        "max_segment_distance": 3,
        "candidates": "words",
        "language": "en",
    }


def test_spans_are_candidates_in_order_within_the_limit_and_antecedents_come_before(resolver, documents):
    rows, _ = compute(resolver, make_batch(resolver, documents, 6))
    for row, (found, _, _) in zip(rows, documents, strict=True):
        spans = list(zip(row["starts"].astype(int), row["ends"].astype(int), strict=True))
        assert 3 < len(spans) <= int(0.4 * len(found)) and spans == sorted(set(spans))
        for s, e in spans:
            assert e - s < 3 and found.start_groups[s] == found.end_groups[e]
        assert {pair for pair in row["scores"] if pair[1] >= pair[0]} == set()
        counts = np.bincount([i for i, _ in row["scores"]], minlength=len(spans))
        assert counts.tolist() == [min(i, 4) for i in range(len(spans))]


def test_more_segments_than_a_document_has_change_nothing(resolver, documents):
    expected = [compute(resolver, make_batch(resolver, [one], len(one[0].segments))) for one in documents]
    rows, losses = compute(resolver, make_batch(resolver, documents, 6))
    for (row,), row_together in zip([rows for rows, _ in expected], rows, strict=True):
        same(row_together, row)
    np.testing.assert_allclose(losses, [loss[0] for _, loss in expected], rtol=1e-5)
    assert (losses > 0.1).all()


def test_a_document_does_not_depend_on_the_others_or_on_padding(resolver, documents):
    batch = make_batch(resolver, documents, 6)
    expected, losses = compute(resolver, batch)
    swapped, swapped_losses = compute(resolver, {key: value[::-1].copy() for key, value in batch.items()})
    for row, other in zip(expected, swapped[::-1], strict=True):
        same(row, other)
    np.testing.assert_allclose(losses, swapped_losses[::-1], rtol=1e-5)
    changed = {key: value.copy() for key, value in batch.items()}
    changed["token_ids"][batch["padding_mask"] == 0] = 9
    for b, (found, _, _) in enumerate(documents):
        changed["speakers"][b, len(found) :] = 2
        changed["segment_numbers"][b, len(found) :] = 5
        changed["piece_places"][b, len(found) :] = 3
    for row, other in zip(expected, compute(resolver, changed)[0], strict=True):
        same(row, other)


def test_a_document_of_one_word_and_one_without_a_span(resolver):
    short = document(resolver, 3, 1)
    batch = make_batch(resolver, [short, short], 1)
    batch["span_limits"][1] = 0
    rows, losses = compute(resolver, batch)
    assert [len(row["starts"]) for row in rows] == [1, 0] and rows[0]["scores"] == {}
    np.testing.assert_allclose(losses, [0.0, 0.0], atol=1e-6)


def test_the_window_limits_antecedents_to_the_spans_just_before(make_resolver, documents):
    near = make_resolver(antecedent_window=2)
    for row in compute(near, make_batch(near, documents, 6))[0]:
        count = len(row["starts"])
        assert set(row["scores"]) == {(i, j) for i in range(count) for j in range(max(0, i - 2), i)}


def test_speakers_genres_segments_and_refinements_count(make_resolver, resolver, documents):
    batch = make_batch(resolver, documents, 6)
    exact = compute(resolver, batch)[0]

    def change(found):
        return max(
            abs(row["scores"][p] - other["scores"][p])
            for row, other in zip(found, exact, strict=True)
            for p in row["scores"]
        )

    for name in ("speakers", "segment_numbers"):
        assert change(compute(resolver, batch | {name: np.zeros_like(batch[name])})[0]) > 1e-3
    assert change(compute(resolver, batch | {"genres": (batch["genres"] + 1) % 7})[0]) > 1e-3
    found = {number: compute(make_resolver(refinements=number), batch)[0] for number in (0, 1, 2)}
    assert change(found[0]) > 1e-3 and change(found[2]) > 1e-3 and change(found[1]) == 0


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"segment_length": 17}, "at most the encoder's 16 positions.*segment_length=17"),
        ({"segment_length": 2}, "segment_length=2"),
        ({"top_span_ratio": 0.0}, "top_span_ratio=0.0"),
        ({"top_span_ratio": 1.1}, "top_span_ratio=1.1"),
        ({"refinements": -1}, "refinements=-1"),
        ({"default_genre": "xx"}, r"`default_genre` must be one of \['bc'.*'xx'"),
        ({"genres": ("a", "b")}, r"must be one of \['a', 'b'\].*'nw'"),
        ({"candidates": "spans"}, "candidates='spans'"),
    ],
)
def test_invalid_settings_are_rejected(resolver, settings, message):
    with pytest.raises(ValueError, match=message):
        SpanBertCoreferenceResolver(resolver.encoder, **settings)


def test_segments_are_as_long_as_the_encoder_reads_by_default(resolver):
    assert SpanBertCoreferenceResolver(resolver.encoder, hidden_dim=3).segments.segment_length == 16
    assert len(GENRES) == resolver.pair_scorer.num_genres == 7


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_tasks_layers_have_its_settings_and_compute_in_float32_under_every_policy(make_resolver, policy):
    resolver = make_resolver(dtype=policy, dropout=0.25, genres=["x", "y"], default_genre="y")
    assert {layer.compute_dtype for layer in resolver.task_layers} == {"float32"}
    assert [layer.dropout for layer in resolver.task_layers[:4]] == [0.25] * 4
    assert resolver.pair_scorer.num_genres == 2


def test_spans_are_chosen_without_dropout_and_scored_with_it(make_resolver, documents):
    resolver = make_resolver(dropout=0.5)
    batch = make_batch(resolver, documents, 6)
    exact, losses = compute(resolver, batch)
    again, same_losses = compute(resolver, batch, training=False)
    np.testing.assert_allclose(losses, same_losses, rtol=1e-5)
    for _ in range(4):
        found, other_losses = compute(resolver, batch, training=True)
        for row, other in zip(found, exact, strict=True):
            assert row["starts"].tolist() == other["starts"].tolist()
            assert row["ends"].tolist() == other["ends"].tolist()
            assert np.abs(row["mention_scores"] - other["mention_scores"]).max() > 1e-3
        assert np.abs(other_losses - losses).max() > 1e-3


# --- training


def values(model):
    return {v.path: np.array(ops.convert_to_numpy(v.value), "float64") for v in model.trainable_variables}


def make_trainer(model, batch, rate):
    """Returns a function that makes one update by plain gradient descent and returns its results."""
    optimizer = keras.optimizers.SGD(rate)
    optimizer.build(model.trainable_variables)
    step = make_step(model, optimizer, StepSettings(objective=ExampleObjective(model), clip_norm=None))
    batch = batch | {"example_weights": np.ones(len(batch["token_ids"]), np.float32)}
    seeds = np.zeros((1, 1, 1, len(seed_generators(model)), 2), np.uint32)
    return lambda: step.to_numpy(step.train({key: value[None] for key, value in batch.items()}, seeds, 1.0, 0))


def test_a_step_lowers_the_loss_by_its_gradient_which_reaches_every_weight(make_resolver, documents):
    """To first order the loss falls by rate x |gradient|^2, which no wrong gradient does."""
    rate, model = 1e-4, make_resolver(scale=0.25)
    batch = make_batch(model, documents, 6)
    _, losses = compute(model, batch)
    train, before = make_trainer(model, batch, rate), values(model)
    first = train()
    assert first["loss"][0] == pytest.approx(losses.mean(), rel=1e-5)
    moved = {path: value - before[path] for path, value in values(model).items()}
    norm = np.sqrt(sum((change**2).sum() for change in moved.values())) / rate
    assert first["gradient_norm"][0] == pytest.approx(norm, rel=1e-2)
    still = {path for path, change in moved.items() if np.abs(change).max() < 1e-5 * rate * norm}
    # A constant added to all scores does not change a softmax.
    assert {path.split("/", 1)[-1] for path in still} <= {"head_score/bias", "attention/key/bias"}
    second = train()
    assert first["loss"][0] - second["loss"][0] == pytest.approx(rate * norm**2, rel=0.1)


def test_a_setting_that_is_assigned_is_checked_and_saved(make_resolver):
    resolver = make_resolver()
    resolver.refinements, resolver.default_genre = 2, "tc"
    assert {"refinements": 2, "default_genre": "tc"}.items() <= resolver.get_config().items()
    with pytest.raises(ValueError, match="`default_genre` must be one of"):
        resolver.default_genre = "xx"
    assert resolver.default_genre == "tc" and resolver.genre_row(None) == 5
    resolver.resolve("a b a b")
    resolver.antecedent_window = 1
    assert resolver._tiled_resolver is None  # compiled with the former window


def test_raw_text_is_in_the_models_language_or_in_the_calls(make_resolver):
    pytest.importorskip("spacy")
    text, rules = "w1 am 3. w2", {"de": ("w1", "am", "3.", "w2"), "en": ("w1", "am", "3", ".", "w2")}
    german, english = make_resolver(language="de"), make_resolver()
    assert SpanBertCoreferenceResolver.from_config(german.get_config()).language == "de"
    for model, own in ((german, "de"), (english, "en")):
        for language in (None, "de", "en"):
            assert model.resolve(text, language=language).tokens == rules[language or own]
    with pytest.raises(InputError, match="language='zz'"):
        german.mention_scores(text, language="zz")
    english.language = "de"
    assert english.resolve([text])[0].tokens == rules["de"] and english.get_config()["language"] == "de"
    with pytest.raises(InputError, match="language='zz'"):
        german.resolve(text, language="zz")
    for wrong in ("zz", ""):
        with pytest.raises(InputError, match="language="):
            german.language = wrong
    assert german.language == "de"
    with pytest.raises(InputError, match="must be the code of a language"):
        german.resolve(text, language="")
    with pytest.raises(ValueError, match="must be the code of a language"):
        make_resolver(language=None)


def test_added_tokens_of_the_tokenizer_stay_whole_in_raw_text(toy_tokenizer):
    tokenizer = SpanBertTokenizer(toy_tokenizer.get_vocabulary(), added_tokens=["[E1]", "[/E1]"])
    encoder = SpanBertEncoder(66, 1, 2, 8, 12, max_sequence_length=16, tokenizer=tokenizer)
    found = SpanBertCoreferenceResolver(encoder, **SETTINGS).resolve(["[E1] a w1 [/E1] w2", "w1[E1]."])
    assert [list(one.tokens) for one in found] == [["[E1]", "a", "w1", "[/E1]", "w2"], ["w1", "[E1]", "."]]


@pytest.mark.parametrize("settings", [*({name: 0} for name in SIZES), {"feature_dim": -1}, {"genres": ("nw", "nw")}])
def test_invalid_sizes_are_rejected_by_name(make_resolver, settings):
    with pytest.raises(ValueError, match=f"`{next(iter(settings))}` must be"):
        make_resolver(**settings)


@pytest.mark.parametrize("form", ["tf_saved_model", "onnx", "litert"])
def test_the_error_of_an_export_names_what_can_be_exported(resolver, tmp_path, form):
    with pytest.raises(
        ValueError,
        match=f"A coreference resolver cannot be exported.*--format=onnx_parts.*`resolver.encoder.export`.*{form}",
    ):
        resolver.export(str(tmp_path / "x"), format=form)
    with pytest.raises(ValueError, match="Received: format='tf_saved_model'"):
        resolver.export(str(tmp_path / "x"))
    assert list(tmp_path.iterdir()) == []
