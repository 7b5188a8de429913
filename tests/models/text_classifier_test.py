"""The classifier of texts and pairs: BERT's numbers, counts, errors, losses, pairs."""

import keras
import numpy as np
import pytest

from spanbert_keras import Classification, SpanBertEncoder, SpanBertTextClassifier, SpanBertTokenizer
from spanbert_keras.errors import InputError

WORDS = ["Ann", "Bob", "wrote", "ate", "it", "the", "a", "book", "pie", "red", "old", "?", "."]
LABELS = ("contradiction", "entailment", "neutral")
BACKEND = keras.backend.backend()


@pytest.fixture(scope="module")
def make_classifier(randomize):
    """Function that makes a classifier of rows of 24 pieces full of noise; arguments are the classifier's."""

    def make(labels=LABELS, scale=0.4, dtype=None, **settings):
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
        encoder = SpanBertEncoder(
            len(pieces),
            1,
            2,
            10,
            18,
            max_sequence_length=24,
            dtype=dtype,
            dropout=0.0,
            tokenizer=SpanBertTokenizer(pieces),
        )
        classifier = SpanBertTextClassifier(encoder, labels, **settings)
        randomize(classifier, scale=scale)
        return classifier

    return make


@pytest.fixture(scope="module")
def classifier(make_classifier):
    model = make_classifier()
    given = pairs(11)
    bias = model.head.classifier.bias  # so that no label always wins
    mean = model.logits_of(model.pairs.rows(*zip(*given, strict=True))).mean(0)
    bias.assign(keras.ops.convert_to_numpy(bias) - mean)
    return model


def texts(count, seed=0, longest=40):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, longest))) for _ in range(count)]


def pairs(count, seed=0):
    return list(zip(texts(count, seed), texts(count, seed + 1), strict=True))


def alone(classifier, first, second=None):
    """The oracle: a text's row by hand, unpadded, and a softmax in float64; pieces are popped from the longer text."""
    a, b = classifier.tokenizer(first), classifier.tokenizer(second) if second is not None else []
    room = classifier.row_length - (2 if second is None else 3)
    while len(a) + len(b) > room:
        (a if len(a) > len(b) else b).pop()
    ids = [2, *a, 3, *b, 3] if second is not None else [2, *a, 3]
    row = np.array([ids], "int32")
    segments = (np.arange(len(ids)) >= len(a) + 2).astype("int32")[None]
    out = classifier({"token_ids": row, "segment_ids": segments, "padding_mask": np.ones_like(row)})
    logits = keras.ops.convert_to_numpy(out["logits"])[0].astype("float64")
    if classifier.problem_type == "multi_label":
        return 1 / (1 + np.exp(-logits))
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum() if classifier.labels else logits


@pytest.mark.parametrize("kind", ["texts", "pairs"])
def test_labels_have_the_probabilities_of_each_row_alone(classifier, kind):
    given = texts(11) if kind == "texts" else pairs(11)
    for batch_size in (1, 4, 32):
        found = classifier.classify(given, batch_size=batch_size)
        for one, mine in zip(given, found, strict=True):
            expected = alone(classifier, *([one] if kind == "texts" else one))
            assert list(mine.scores) == list(LABELS) and mine.label == LABELS[int(expected.argmax())]
            np.testing.assert_allclose(list(mine.scores.values()), expected, atol=1e-5)
            assert mine.score == mine.scores[mine.label] == max(mine.scores.values())
            assert sum(mine.scores.values()) == pytest.approx(1.0)
    assert np.std([one.score for one in found]) > 0.01
    assert kind == "texts" or len({one.label for one in found}) > 1


def test_one_text_or_pair_gives_one_and_a_list_a_list(classifier):
    one = classifier.classify("Ann ate a pie .")
    assert isinstance(one, Classification) and classifier.classify(["Ann ate a pie ."]) == [one]
    pair = classifier.classify(("Ann ate .", "Bob ate ."))
    assert classifier.classify([["Ann ate .", "Bob ate ."]]) == [pair] != [one]
    assert classifier.classify(("Bob ate .", "Ann ate .")) != pair
    assert classifier.classify([]) == []
    assert isinstance(classifier.classify(("", "Ann")), Classification)  # one of the two may be empty


def test_without_labels_it_gives_numbers(make_classifier):
    model = make_classifier(labels=())
    given = pairs(5)
    for one, found in zip(given, model.classify(given, batch_size=2), strict=True):
        assert (found.label, found.scores) == (None, {})
        assert found.score == pytest.approx(float(alone(model, *one)[0]), abs=1e-5)
    assert model.output["logits"].shape == (None, 1)
    with pytest.raises(ValueError, match="several different names, or none for regression"):
        make_classifier(labels=("one",))


@pytest.mark.parametrize("labels", [LABELS, ("one",)])
def test_with_several_labels_per_text_every_label_has_its_own_probability(make_classifier, labels):
    model = make_classifier(labels, scale=0.9, pooler=True, problem_type="multi_label", threshold=0.49)
    given = texts(9, seed=2)
    bias = model.head.classifier.bias
    bias.assign(keras.ops.convert_to_numpy(bias) - model.logits_of(model.pairs.rows(given)).mean(0))
    sizes = set()
    for text, found in zip(given, model.classify(given, batch_size=4), strict=True):
        expected = alone(model, text)
        assert list(found.scores) == list(labels)
        np.testing.assert_allclose(list(found.scores.values()), expected, atol=1e-5)
        assert found.label == labels[int(expected.argmax())] and found.score == found.scores[found.label]
        assert found.labels == tuple(label for label, p in zip(labels, expected, strict=True) if p >= 0.49)
        sizes.add(len(found.labels))
    assert len(sizes) > 1
    model.threshold = 0.0
    assert model.classify(given[0]).labels == labels


@pytest.mark.parametrize("labels", [("valence", "arousal"), ("score",)])
def test_a_regression_of_named_numbers_gives_each_of_them(make_classifier, labels):
    model = make_classifier(labels, problem_type="regression", scale=0.8)
    given = pairs(4)
    for one, found in zip(given, model.classify(given), strict=True):
        row = model.pairs.rows([one[0]], [one[1]])
        expected = model.logits_of(row)[0].tolist()
        assert (found.label, found.labels) == (None, ()) and list(found.scores) == list(labels)
        assert list(found.scores.values()) == pytest.approx(expected, abs=1e-5)
        assert found.score == (pytest.approx(expected[0], abs=1e-5) if len(labels) == 1 else None)


def test_texts_and_cuts_are_counted(make_classifier):
    model = make_classifier(row_length=10)
    assert model.counts == {"texts": 0, "texts_cut": 0}
    model.classify([" ".join(["Ann"] * n) for n in (1, 8, 9, 30)])
    assert model.counts == {"texts": 4, "texts_cut": 2}
    model.classify([("Ann Bob Ann", "it it it it"), ("Ann Bob Ann", "it it it it it")])
    assert model.counts == {"texts": 6, "texts_cut": 3}


@pytest.mark.parametrize(
    "given, message",
    [
        ("", "Text 0 has no words. Expected: text. Received: ''."),
        (["Ann", " \x00"], "Text 1 has no words"),
        ([("Ann", "Bob"), ("", " ")], "Text 1 has no words"),
        (["Ann", ("Ann", "Bob")], "cannot be classified together. Expected: one kind. Received: 1 texts and 1 pairs."),
        (("Ann", "Bob", "it"), "Text 0 must be a str or a pair of them"),
        (None, "`texts` must be a str, a pair of them, or a list of either. Received: None."),
        (5, "`texts` must be a str, a pair of them, or a list of either. Received: 5."),
        (["Ann", None], "Text 1 must be a str or a pair of them. Received: None."),
        ([("Ann", 3)], r"Text 0 must be a str or a pair of them. Received: \('Ann', 3\)."),
        ([["Ann"]], r"Text 0 must be a str or a pair of them. Received: \['Ann'\]."),
    ],
)
def test_invalid_texts_are_rejected_with_a_message(classifier, given, message):
    before = dict(classifier.counts)
    with pytest.raises(InputError, match=message):
        classifier.classify(given)
    assert classifier.counts == before


def test_with_the_pooler_it_is_the_bert_of_transformers(make_classifier, as_bert):
    """An independent `BertForSequenceClassification` of the same weights; as_bert skips where it is not installed."""
    model = make_classifier(pooler=True)
    bert = as_bert(model.encoder)
    import torch
    import transformers

    bert.config.num_labels = len(LABELS)
    oracle = transformers.BertForSequenceClassification(bert.config).eval()
    state = {f"bert.{name}": value for name, value in bert.state_dict().items()}
    for name, dense in (("bert.pooler.dense", model.head.pooler_dense), ("classifier", model.head.classifier)):
        state[f"{name}.weight"] = torch.tensor(keras.ops.convert_to_numpy(dense.kernel)).T
        state[f"{name}.bias"] = torch.tensor(keras.ops.convert_to_numpy(dense.bias))
    assert not oracle.load_state_dict(state, strict=False).unexpected_keys
    rows = model.pairs.rows(*zip(*pairs(6, seed=4), strict=True))
    with torch.no_grad():
        expected = [
            oracle(torch.tensor(row.token_ids[None]).long(), token_type_ids=torch.tensor(row.segment_ids[None]).long())
            .logits[0]
            .numpy()
            for row in rows
        ]
    found = model.logits_of(rows, batch_size=4)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert np.std(expected, axis=0).min() > 0.05


def batch_of(model, given, targets):
    rows = model.pairs.rows(given)
    from spanbert_keras.preprocessing.piece_row import pad_rows

    return pad_rows(rows, model.row_length) | {"label_targets": np.asarray(targets, "float32")}


@pytest.mark.parametrize(
    "labels, kind",
    [(LABELS, None), ((), None), (LABELS, "multi_label"), (LABELS, "regression")],
    ids=["classes", "regression", "several labels", "several numbers"],
)
def test_the_loss_is_that_of_the_problem_type_and_of_the_rows_weights(make_classifier, labels, kind):
    model, given = make_classifier(labels, scale=0.3, pooler=True, dropout=0.0, problem_type=kind), texts(6, seed=5)
    targets = np.eye(3)[[0, 1, 2, 0, 1, 2]] if labels else np.array([[0.0], [1], [2], [3], [4], [5]])
    if kind:
        targets[:3] = 1 - targets[:3]
    batch = batch_of(model, given, targets)
    expected = []
    for text, target in zip(given, targets, strict=True):
        found = alone(model, text)
        if kind == "multi_label":
            expected.append(-np.log(np.where(target > 0, found, 1 - found)).mean())
        elif kind == "regression" or not labels:
            found = model.logits_of(model.pairs.rows([text]))[0]
            expected.append(((found - target) ** 2).mean())
        else:
            expected.append(-np.log(found) @ target)
    model.compile("sgd", run_eagerly=BACKEND == "tensorflow")
    first = model.evaluate(batch, batch_size=6, verbose=0)
    assert first == pytest.approx(np.mean(expected), rel=1e-4)
    rows = {key: value for key, value in batch.items() if key != "label_targets"}
    weights = np.array([1.0, 0, 0, 0, 0, 3.0])
    found = model.evaluate(rows, {"label_targets": batch["label_targets"]}, 6, 0, sample_weight=weights)
    assert found == pytest.approx((expected[0] + 3 * expected[5]) / 6, rel=1e-4)


def test_a_model_of_pairs_rejects_single_texts_and_the_other_way_round(make_classifier):
    given = {True: pairs(2), False: texts(2)}
    for takes_pairs, kinds in ((True, ("pairs of texts", "single texts")), (False, ("single texts", "pairs of texts"))):
        model = make_classifier(takes_pairs=takes_pairs)
        assert len(model.classify(given[takes_pairs])) == 2 and model.classify([]) == []
        with pytest.raises(InputError, match=f"This model classifies {kinds[0]}. Received: {kinds[1]}."):
            model.classify(given[not takes_pairs][0])


@pytest.mark.parametrize("labels, kind", [(LABELS, "single_label"), ((), "regression")])
def test_a_configuration_of_an_earlier_version_is_read(make_classifier, labels, kind):
    config = make_classifier(labels).get_config()
    for key in ("problem_type", "threshold", "encoder"):
        config.pop(key)
    again = SpanBertTextClassifier.from_config(config | {"encoder": make_classifier().encoder})
    assert (again.labels, again.problem_type, again.threshold) == (labels, kind, 0.5)


@pytest.mark.parametrize(
    "labels, kind",
    [(("one",), "multi_label"), (("x", "y"), "regression"), (("x",), "regression"), ((), "regression")],
)
def test_the_configuration_keeps_every_problem_type(make_classifier, labels, kind):
    config = make_classifier(labels, problem_type=kind, takes_pairs=False).get_config()
    again = SpanBertTextClassifier.from_config(config)
    assert again.get_config() == config and again.takes_pairs is False
    assert (again.labels, again.problem_type) == (labels, kind)
