"""The steps of a resolver for whole documents equal its tiles."""

import keras
import numpy as np
import pytest

from spanbert_keras import SpanBertCoreferenceResolver, SpanBertEncoder
from spanbert_keras.models.resolver_parts import resolver_parts
from spanbert_keras.preprocessing.document import GENRES


@pytest.mark.parametrize("count, refinements", [(40, 1), (2, 2)])
def test_mentions_spans_and_links_equal_those_of_the_tiles(toy_tokenizer, randomize, to_numpy, count, refinements):
    keras.utils.set_random_seed(4)
    encoder = SpanBertEncoder(64, 1, 2, 8, 12, max_sequence_length=16, tokenizer=toy_tokenizer)
    sizes = {"max_span_width": 3, "max_antecedents": 4, "antecedent_window": 6, "hidden_dim": 5, "feature_dim": 3}
    resolver = SpanBertCoreferenceResolver(encoder, refinements=refinements, **sizes)
    randomize(resolver)
    tokens = [f"w{i * i % 17}" for i in range(count)]
    cut = resolver.segments.cut(tokens, [(0, count)], ["Ann" if i % 3 else "Bob" for i in range(count)])
    genre = len(GENRES) - 1
    (links,) = resolver.links([cut], [genre], 4, [None])
    assert (len(links.starts) < 4) == (count == 2)  # fewer spans than antecedents
    (sequence,) = resolver._tiled()._encode([cut], 4)

    def run(part, inputs):
        assert set(part.specs) <= set(inputs)
        return to_numpy(part({name: keras.ops.convert_to_tensor(inputs[name]) for name in part.specs}))

    parts = resolver_parts(resolver)
    scores = run(parts["mentions"], {"sequence": sequence})["scores"]
    inside = np.arange(len(cut))[:, np.newaxis] + np.arange(3) < len(cut)  # others mean nothing
    np.testing.assert_allclose(scores[inside], resolver._tiled().mention_scores([cut], 4)[inside], atol=1e-5)
    spans = {
        "sequence": sequence,
        "starts": links.starts.astype(np.int32),
        "ends": links.ends.astype(np.int32),
        "speakers": cut.speakers[links.starts],
        "segments": cut.segment_numbers[links.starts],
        "genre": np.array([genre], np.int32),
    }
    spans |= run(parts["spans"], spans)
    np.testing.assert_allclose(spans["mention_scores"], links.mention_scores, atol=1e-5)
    found = run(parts["pairs"], spans)
    width = links.antecedents.shape[1]
    real = links.antecedents >= 0
    assert not (found["antecedents"][:, width:] >= 0).any()
    assert np.array_equal(found["antecedents"][:, :width][real], links.antecedents[real])
    np.testing.assert_allclose(found["scores"][:, :width][real], links.scores[real], atol=1e-5)
    assert (found["scores"][found["antecedents"] < 0] < -1e8).all()
