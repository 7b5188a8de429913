"""The resolver against numbers of the released code, and against the mistakes that one could make.

Two synthetic documents with all weights; see the README beside them. Each mistake of their list is planted here, and
must show as far as it did where the list was made: so the comparison that passes is one that would have told.
"""

import json

import keras
import numpy as np
import pytest
from keras import ops
from safetensors.numpy import save_file

import spanbert_keras
from spanbert_keras.layers import functional
from spanbert_keras.layers.coreference import coarse_antecedents, pair_scorer, span_pruning
from spanbert_keras.models import coreference_resolver
from spanbert_keras.models.coreference_resolver import SpanBertCoreferenceResolver

WIDTH, LENGTH = 5, 20
SCORES, LOSS = 2e-5, 5e-5  # tolerances


@pytest.fixture(scope="module")
def golden(coreference_golden):
    return coreference_golden


@pytest.fixture(scope="module")
def encoder_folder(golden, tmp_path_factory):
    """Function that returns a Hugging Face folder with the encoder of a document."""

    def write(name):
        folder = tmp_path_factory.mktemp(f"encoder_{name}")
        weights = {k[7:]: np.ascontiguousarray(v) for k, v in golden.arrays[name].items() if k.startswith("w/bert/")}
        save_file(weights, folder / "model.safetensors")
        config = golden.facts["config_common"] | {"model_type": "bert", "hidden_act": "gelu"}
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(55))]
        (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", "utf-8")
        return folder

    return write


def fill_task_layers(model, arrays):
    """Puts the task's weights, kernels [in, out], into a resolver; each is used once."""
    rest = {key.removeprefix("w/task/"): value for key, value in arrays.items() if key.startswith("w/task/")}
    layers = {
        "head_attn": model.span_vectors.head_score,
        "mention_ffnn/hidden": model.mention_scorer.span_score.hidden,
        "mention_ffnn/out": model.mention_scorer.span_score.out,
        "width_prior/hidden": model.mention_scorer.width_score.hidden,
        "width_prior/out": model.mention_scorer.width_score.out,
        "coarse_src": model.coarse_antecedents.projection,
        "dist_prior/out": model.coarse_antecedents.distance_score,
        "fine_ffnn/hidden": model.pair_scorer.score.hidden,
        "fine_ffnn/out": model.pair_scorer.score.out,
        "gate": model.span_refinement.gate,
    }
    tables = {
        "span_width_emb": model.span_vectors.width_embeddings,
        "width_prior/emb": model.mention_scorer.width_embeddings,
        "dist_prior/emb": model.coarse_antecedents.distance_embeddings,
        "same_speaker_emb": model.pair_scorer.speaker_embeddings,
        "genre_emb": model.pair_scorer.genre_embeddings,
        "antecedent_distance_emb": model.pair_scorer.distance_embeddings,
        "segment_distance_emb": model.pair_scorer.segment_embeddings,
    }
    for name, layer in layers.items():
        layer.kernel.assign(rest.pop(f"{name}/kernel"))
        layer.bias.assign(rest.pop(f"{name}/bias"))
    for name, table in tables.items():
        table.assign(rest.pop(name))
    assert rest == {}


@pytest.fixture(scope="module")
def make_resolver(golden, encoder_folder):
    """Function that makes the resolver of a document."""
    folders = {}

    def make(name):
        if name not in folders:
            folders[name] = encoder_folder(name)
        model = SpanBertCoreferenceResolver(
            spanbert_keras.load_pretrained(str(folders[name]), "encoder"),
            segment_length=LENGTH,
            max_span_width=WIDTH,
            max_antecedents=6,
            feature_dim=4,
            hidden_dim=12,
            dropout=0.0,
            candidates="pieces",
            max_segment_distance=golden.facts["documents"][name]["config"]["max_training_segments"],
        )
        fill_task_layers(model, golden.arrays[name])
        return model

    return make


def difference(found, exact):
    """Returns the largest difference of final scores, by place in the coarse order; `None` if other spans were kept."""
    if found.spans != exact.spans:
        return None
    real = np.isfinite(exact.scores)
    return np.abs(found.scores[real] - exact.scores[real]).max()


def agree(found, exact):
    """Whether spans are the same, and scores and loss within the tolerance."""
    change = difference(found, exact)
    return change is not None and change < SCORES and abs(found.loss - exact.loss) < LOSS


@pytest.mark.parametrize("name", ["a", "b"])
def test_spans_antecedents_scores_and_loss_are_the_released_codes(golden, make_resolver, name):
    exact = golden.expected(golden.arrays[name])
    found = golden.computed(make_resolver(name), golden.make_batch(golden.arrays[name]))
    assert found.spans == exact.spans
    np.testing.assert_array_equal(found.antecedents, exact.antecedents)
    np.testing.assert_allclose(found.mentions, exact.mentions, atol=SCORES)
    np.testing.assert_allclose(found.scores, exact.scores, atol=SCORES)
    assert found.loss == pytest.approx(exact.loss, abs=LOSS)
    assert agree(found, exact)


@pytest.mark.parametrize("name", ["a", "b"])
def test_predicted_antecedents_and_clusters_are_the_released_codes(golden, make_resolver, name):
    found = golden.computed(make_resolver(name), golden.make_batch(golden.arrays[name]))
    predicted, clusters = [], []
    for span, antecedents, scores in zip(found.spans, found.antecedents, found.scores, strict=True):
        best = [-1, *antecedents.tolist()][int(np.argmax(scores))]
        predicted.append(best)
        if best >= 0:
            before = found.spans[best]
            cluster = next((c for c in clusters if before in c), None)
            if cluster is None:
                cluster = [before]
                clusters.append(cluster)
            cluster.append(span)
    assert predicted == golden.arrays[name]["out/predicted_antecedents"].tolist()
    of_file = golden.facts["documents"][name]["predicted_clusters"]
    assert sorted(map(sorted, clusters)) == sorted(sorted(map(tuple, cluster)) for cluster in of_file)


@pytest.mark.parametrize("name", ["a", "b"])
def test_every_number_of_the_task_has_its_place(golden, make_resolver, name):
    model = make_resolver(name)
    weights = {key: value.size for key, value in golden.arrays[name].items() if key.startswith("w/")}
    task = sum(size for key, size in weights.items() if key.startswith("w/task/"))
    assert sum(layer.count_params() for layer in model.task_layers) == task
    assert model.encoder.count_params() == sum(weights.values()) - task
    assert model.count_params() == sum(weights.values())


# --- mistakes: each takes the model, the batch and `monkeypatch`, and spoils something


def silence(*layers):
    for layer in layers:
        layer.kernel.assign(np.zeros(layer.kernel.shape))
        layer.bias.assign(np.zeros(layer.bias.shape))


def other_feature_order(model, batch, patch):
    kernel = ops.convert_to_numpy(model.pair_scorer.score.hidden.kernel)
    model.pair_scorer.score.hidden.kernel.assign(np.concatenate([kernel[:-8], kernel[-4:], kernel[-8:-4]]))


def different_speakers(model, batch, patch):
    table = ops.convert_to_numpy(model.pair_scorer.speaker_embeddings)
    model.pair_scorer.speaker_embeddings.assign(table[[0, 0]])


def swapped_gate(model, batch, patch):
    gate = model.span_refinement.gate  # sigmoid(-x) = 1 - sigmoid(x)
    gate.kernel.assign(-ops.convert_to_tensor(gate.kernel))
    gate.bias.assign(-ops.convert_to_tensor(gate.bias))


def no_dummy_in_the_attention(model, batch, patch):
    def call(self, queries, scores, vectors):
        attended = ops.einsum("bqa,bqag->bqg", ops.softmax(scores[:, :, 1:], axis=-1), vectors)
        attended = ops.where(scores[:, :, 1:2] > -1e8, attended, 0.0)  # 0 without an antecedent
        gate = self.gate(ops.concatenate([queries, attended], axis=-1))
        return gate * attended + (1.0 - gate) * queries

    patch.setattr(type(model.span_refinement), "call", call)


def crossing_spans(model, batch, patch):
    patch.setattr(span_pruning, "_best_crossing", lambda grid: ops.full_like(grid, span_pruning.NO_RANK))


def projected_antecedents(model, batch, patch):
    """g_i . (W g_j + b) = (W^T g_i) . g_j + g_i . b"""
    layer, choose = model.coarse_antecedents, type(model.coarse_antecedents).call
    kernel, bias = (ops.convert_to_numpy(weight) for weight in (layer.projection.kernel, layer.projection.bias))
    layer.projection.kernel.assign(kernel.T)
    layer.projection.bias.assign(0 * bias)

    def call(self, queries, query_scores, *others, **kwargs):
        return choose(self, queries, query_scores + ops.matmul(queries, bias), *others, **kwargs)

    patch.setattr(type(layer), "call", call)


def buckets(patch, function):
    for module in (coarse_antecedents, pair_scorer):
        patch.setattr(module, "distance_buckets", function)


def edges_off_by_one(distances):
    above = sum(ops.cast(distances >= first, "int32") for first in (5, 9, 17, 32, 64))
    return ops.minimum(distances, 4) + above


def without_coarse_score(model, batch, patch):
    choose = type(model.coarse_antecedents).call

    def call(self, *args, **kwargs):
        scores, antecedents, real = choose(self, *args, **kwargs)
        return ops.zeros_like(scores), antecedents, real

    patch.setattr(type(model.coarse_antecedents), "call", call)


def large_epsilon(model, batch, patch):
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.LayerNormalization)]
    assert len(norms) == 5
    for norm in norms:
        norm.epsilon = 1e-5


def mean_loss(model, batch, patch):
    losses = coreference_resolver.antecedent_losses
    mean = lambda *given: losses(*given) / float(batch["span_limits"][0, 0])  # noqa: E731
    patch.setattr(coreference_resolver, "antecedent_losses", mean)


def tanh_gelu(x):
    return keras.activations.gelu(x, approximate=True)


MISTAKES = {
    "no refinement (depth 1)": lambda model, batch, patch: setattr(model, "refinements", 0),
    "two refinements (depth 3)": lambda model, batch, patch: setattr(model, "refinements", 2),
    "coref-hoi feature order (segment distance before rank distance)": other_feature_order,
    "gate swapped": swapped_gate,
    "dummy left out of the attention": no_dummy_in_the_attention,
    "crossing spans allowed": crossing_spans,
    "width prior missing": lambda model, batch, patch: silence(model.mention_scorer.width_score.out),
    "distance prior missing": lambda model, batch, patch: silence(model.coarse_antecedents.distance_score),
    "coarse projection on the antecedent side": projected_antecedents,
    "rank distance without buckets 8 -> clip 9": lambda model, batch, patch: buckets(
        patch, lambda d: ops.minimum(d, 9)
    ),
    "bucket edges 8/16 off by one": lambda model, batch, patch: buckets(patch, edges_off_by_one),
    "speaker ignored (always different)": different_speakers,
    "fine score without the coarse score": without_coarse_score,
    "tanh GELU": lambda model, batch, patch: patch.setattr(functional, "gelu", tanh_gelu),
    "layer norm eps 1e-5": large_epsilon,
    "no padding mask": lambda model, batch, patch: batch.update(padding_mask=np.ones_like(batch["padding_mask"])),
    "segment distance not taken (all 0)": lambda model, batch, patch: batch.update(
        segment_numbers=np.zeros_like(batch["segment_numbers"])
    ),
    "mean instead of sum loss": mean_loss,
}


def test_every_mistake_of_the_list_is_planted(golden):
    assert {"none (reload from the shipped files)", *MISTAKES} == set(golden.mistakes)


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_shows_where_the_list_expects_it(golden, make_resolver, monkeypatch, mistake, name):
    model, arrays = make_resolver(name), golden.arrays[name]
    batch, exact = golden.make_batch(arrays), golden.expected(arrays)
    MISTAKES[mistake](model, batch, monkeypatch)
    found, listed = golden.computed(model, batch), golden.mistakes[mistake][name]
    assert not agree(found, exact)
    assert (found.spans == exact.spans) == listed["same_top_spans"]
    assert abs(found.loss - exact.loss) == pytest.approx(listed["loss_diff"], abs=LOSS)
    if listed["same_top_spans"]:
        assert difference(found, exact) == pytest.approx(listed["score_diff"], abs=SCORES)
