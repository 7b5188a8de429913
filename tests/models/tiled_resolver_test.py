"""TiledResolver: a list against one by one, tiles, the model's own call, limits, shapes, memory.

The words are of letters a to h, a piece each; L 16, W 4, A 5. Weights are noise, large enough for links.
"""

import functools
import tracemalloc

import keras
import numpy as np
import pytest
from keras import ops

from spanbert_keras import Document, ResolvedDocument, SpanBertCoreferenceResolver, SpanBertEncoder
from spanbert_keras.errors import InputError
from spanbert_keras.models import tiled_resolver
from spanbert_keras.models.compiled_call import CompiledCall
from spanbert_keras.models.tiled_resolver import Links, TiledResolver
from tests.models.conftest import make_document, same, scores_of, words

BACKEND = keras.backend.backend()
SETTINGS = {
    "segment_length": 16,
    "max_span_width": 4,
    "max_antecedents": 5,
    "feature_dim": 4,
    "hidden_dim": 9,
    "dropout": 0.0,
}


@pytest.fixture(scope="module")
def make_resolver(tokenizer, randomize):
    """Function that makes a small resolver full of noise; arguments are the resolver's."""

    def make(seed=2, scale=0.3, **settings):
        encoder = SpanBertEncoder(21, 1, 2, 10, 14, 0.0, max_sequence_length=32, num_segments=4, tokenizer=tokenizer)
        resolver = SpanBertCoreferenceResolver(encoder, **(SETTINGS | settings))
        randomize(resolver, seed, scale)
        return resolver

    return make


@pytest.fixture(scope="module")
def resolver(make_resolver):
    return make_resolver()


def cut(resolver, document):
    return resolver.segments.cut(document.tokens, document.sentences, document.speakers)


def links_of(resolver, documents, batch_size=4, stages=None):
    rows = [resolver.genre_row(document.genre) for document in documents]
    if stages is None:
        stages = resolver._tiled_resolver = resolver._tiled_resolver or TiledResolver(resolver)  # once: it compiles
    return stages.links([cut(resolver, document) for document in documents], rows, batch_size)


@pytest.fixture(scope="module")
def documents():
    """Documents of 1 to 150 words: 1 to about 30 segments."""
    genres = ("nw", "bc", "tc", "pt")
    return [make_document(n, n, genres[n % 4]) for n in (1, 2, 30, 7, 150, 4, 61, 90)]


@pytest.fixture(scope="module")
def alone(resolver, documents):
    """The links of every document by itself."""
    found = [links_of(resolver, [document])[0] for document in documents]
    best = np.concatenate([links.best() for links in found])
    assert 0.2 < (best >= 0).mean() < 0.9 and len(best) > 150  # so that differences would show
    return found


def test_documents_together_are_as_each_alone(resolver, documents, alone):
    for order in (range(8), range(7, -1, -1)):
        for number, links in zip(order, links_of(resolver, [documents[i] for i in order]), strict=True):
            same(links, alone[number])
            assert links.antecedents.max(initial=-1) < len(links.starts)


def test_mentions_that_are_given_are_the_only_ones(resolver, documents, alone):
    cuts = [cut(resolver, document) for document in documents]
    kept = [
        [one.words_of(int(start), int(end)) for start, end in zip(links.starts, links.ends, strict=True)]
        for one, links in zip(cuts, alone, strict=True)
    ]
    rows = [resolver.genre_row(document.genre) for document in documents]
    # The spans that it would choose anyway, in any order and more than once: nothing changes.
    given = [[*reversed(spans), *spans[:3]] for spans in kept]
    for links, expected in zip(resolver._tiled_resolver.links(cuts, rows, 4, given), alone, strict=True):
        same(links, expected)
    # Every third of them, one that is too wide and one across sentences; or none.
    document, few = documents[4], kept[4][::3]
    across = (document.sentences[0][1] - 1, document.sentences[0][1] + 1)
    found = resolver.resolve(document, mentions=[(0, len(document.tokens)), across, *few])
    assert {mention for cluster in found.token_clusters for mention in cluster} <= set(few)
    assert resolver.resolve(document, mentions=[]).token_clusters == ()
    mentions = [spans[::3] for spans in kept]
    together = resolver.resolve(documents, mentions=mentions)
    assert [one.token_clusters for one in together] == [
        resolver.resolve(document, mentions=spans).token_clusters
        for document, spans in zip(documents, mentions, strict=True)
    ]
    assert sum(len(one.token_clusters) for one in together) > 3


@pytest.mark.parametrize("batch_size", [1, 3, 40])
def test_the_number_of_segments_encoded_at_once_changes_nothing(resolver, documents, alone, batch_size):
    for links, expected in zip(links_of(resolver, documents, batch_size), alone, strict=True):
        same(links, expected)


@pytest.mark.parametrize("pieces, spans, earlier", [(5, 3, (7, 20)), (16, 1, ()), (33, 64, (64,)), (400, 7, (8, 300))])
def test_the_sizes_of_tiles_change_nothing(resolver, documents, alone, monkeypatch, pieces, spans, earlier):
    monkeypatch.setattr(tiled_resolver, "PIECES_PER_TILE", pieces)
    monkeypatch.setattr(tiled_resolver, "SPANS_PER_TILE", spans)
    monkeypatch.setattr(tiled_resolver, "COMPARED_SIZES", earlier)
    found = links_of(resolver, documents[2:5], stages=TiledResolver(resolver))
    for links, expected in zip(found, alone[2:5], strict=True):
        same(links, expected)


def called(resolver, document):
    """Returns the links that the model's own call gives, with its arrays of pieces x widths and spans x spans."""
    found, length = cut(resolver, document), resolver.segments.segment_length
    ids = np.zeros((len(found.segments), length), "int32")
    mask = np.zeros_like(ids)
    for row, pieces in enumerate(found.segments):
        ids[row, : len(pieces)], mask[row, : len(pieces)] = pieces, 1
    inputs = {"token_ids": ids.reshape(1, -1), "padding_mask": mask.reshape(1, -1)}
    filled = {"start_groups": -1, "end_groups": -2, "speakers": 0, "segment_numbers": 0}
    for name, fill in filled.items():
        inputs[name] = np.full((1, ids.size), fill, "int32")
        inputs[name][0, : len(found)] = getattr(found, name)
    inputs["piece_places"] = np.zeros((1, ids.size), "int32")
    inputs["piece_places"][0, : len(found)] = np.flatnonzero(mask)
    inputs["genres"] = np.array([[resolver.genre_row(document.genre)]], "int32")
    inputs["span_limits"] = np.array([[resolver.span_limit(len(found))]], "int32")
    compute = functools.partial(resolver, training=False)
    if BACKEND == "jax":  # operation by operation it takes long there
        import jax

        compute = jax.jit(compute)
    outputs = compute({name: ops.convert_to_tensor(values) for name, values in inputs.items()})
    out = {name: ops.convert_to_numpy(values)[0] for name, values in outputs.items()}
    kept = out["kept"] > 0
    scores = out["antecedent_scores"][kept][:, 1:].astype("float64")
    antecedents = np.where(scores > -1e8, out["antecedents"][kept], -1)
    scores = np.where(antecedents < 0, -np.inf, scores)
    return Links(out["starts"][kept], out["ends"][kept], out["mention_scores"][kept], antecedents, scores)


def test_the_models_own_call_finds_the_same(resolver, documents, alone):
    for number in (1, 3, 6):
        same(alone[number], called(resolver, documents[number]))


@pytest.mark.parametrize(
    "settings", [{"refinements": 0}, {"refinements": 3, "candidates": "pieces"}], ids=["none", "three"]
)
def test_the_models_own_call_finds_the_same_with_other_settings(make_resolver, settings, monkeypatch):
    resolver = make_resolver(antecedent_window=6, max_segment_distance=2, top_span_ratio=0.7, **settings)
    document = make_document(45, 3, "wb")
    expected = called(resolver, document)
    same(links_of(resolver, [document])[0], expected)
    monkeypatch.setattr(tiled_resolver, "SPANS_PER_TILE", 9)
    monkeypatch.setattr(tiled_resolver, "COMPARED_SIZES", (11,))
    same(links_of(resolver, [make_document(20), document], stages=TiledResolver(resolver))[1], expected)


@pytest.mark.parametrize("window", [1, 3, 20])
@pytest.mark.parametrize("spans", [4, 256])
def test_antecedents_come_from_the_window(make_resolver, documents, monkeypatch, window, spans):
    monkeypatch.setattr(tiled_resolver, "SPANS_PER_TILE", spans)
    resolver = make_resolver(antecedent_window=window)
    (links,) = links_of(resolver, [documents[6]])
    for i, row in enumerate(links.antecedents):
        earlier = sorted(row[row >= 0].tolist())
        assert len(earlier) == min(i, 5, window) and all(i - window <= j < i for j in earlier)


def test_speakers_and_the_genre_matter(resolver, documents, alone):
    first, before = documents[6], scores_of(alone[6])
    for other in (
        Document(first.tokens, first.sentences, genre=first.genre),
        Document(first.tokens, first.sentences, first.speakers, "mz"),
    ):
        (links,) = links_of(resolver, [other])
        assert links.starts.tolist() == alone[6].starts.tolist()  # mentions do not depend on either
        scores = scores_of(links)
        assert max(abs(scores[pair] - before[pair]) for pair in scores.keys() & before.keys()) > 1e-3


def test_a_list_is_resolved_as_its_members_one_by_one(resolver, documents):
    expected = [resolver.resolve(document) for document in documents]
    assert {type(found) for found in expected} == {ResolvedDocument}
    assert sum(map(bool, (found.token_clusters for found in expected))) >= 4
    for batch_size in (1, 2, 16):  # groups of 4, 8 and 64 segments
        assert resolver.resolve(documents, batch_size=batch_size) == expected
    assert resolver.resolve(documents[::-1]) == expected[::-1] and resolver.resolve([]) == []
    assert resolver.resolve(iter(documents[:2])) == expected[:2]


def test_clusters_are_what_the_best_links_make(resolver, documents, alone):
    for document, links in zip(documents, alone, strict=True):
        found, best = cut(resolver, document), links.best()
        label = list(range(len(best)))
        for i, j in enumerate(best):
            label[i] = label[j] if j >= 0 else i
        spans = [found.words_of(int(s), int(e)) for s, e in zip(links.starts, links.ends, strict=True)]
        expected = {}
        for i, head in enumerate(label):
            expected.setdefault(head, set()).add(spans[i])
        expected = sorted(tuple(sorted(cluster)) for cluster in expected.values() if len(cluster) > 1)
        assert list(resolver.resolve(document).token_clusters) == expected


def test_texts_and_their_words_have_the_same_clusters_and_mentions_are_at_their_places(resolver):
    text = "  " + " ".join(words(60, 8)) + "\n\n" + "\t".join(words(30, 9)) + " 😀 e\u0301 " + " ".join(words(20, 8))
    found = resolver.resolve(text)
    mentions = [mention for cluster in found.clusters for mention in cluster]
    assert len(mentions) > 5 and all(text[m.start : m.end] == m.text != "" for m in mentions)
    again = resolver.resolve(tokens=found.tokens, sentences=[(0, 60), (60, len(found.tokens))])
    assert again.token_clusters == found.token_clusters and again.text is None
    assert resolver.resolve([text]) == [found]


def test_single_mentions_are_chains_on_demand(resolver, documents, alone):
    for document, links in list(zip(documents, alone, strict=True))[2:6]:
        plain, more = resolver.resolve(document), resolver.resolve(document, singletons=True)
        assert tuple(c for c in more.token_clusters if len(c) > 1) == plain.token_clusters
        assert list(more.token_clusters) == sorted(more.token_clusters)
        found, linked = cut(resolver, document), {span for cluster in plain.token_clusters for span in cluster}
        likely = [
            found.words_of(int(s), int(e))
            for s, e, score in zip(links.starts, links.ends, links.mention_scores, strict=True)
            if score > 0
        ]
        assert [c[0] for c in more.token_clusters if len(c) == 1] == [s for s in sorted(likely) if s not in linked]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"texts": "a b", "genre": "xx"}, "genre 'xx' is not one of the model's.*'bc'"),
        ({"texts": Document(("a",), genre="news")}, "genre 'news'"),
        (
            {"texts": "a b", "batch_size": 0},
            "`batch_size` must be a whole number of at least 1. Received: batch_size=0",
        ),
        ({"texts": ["a", ""]}, "Document 1 has no words"),
        ({"texts": None}, "either"),
    ],
)
def test_invalid_documents_are_rejected_and_not_counted(resolver, arguments, message):
    before = dict(resolver.counts)
    with pytest.raises(InputError, match=message):
        resolver.resolve(**arguments)
    assert resolver.counts == before


def test_the_given_genre_takes_precedence_over_the_documents_and_that_over_the_default(make_resolver):
    resolver = make_resolver(default_genre="tc")
    assert [resolver.genre_row(genre) for genre in (None, "", "tc", "bc")] == [5, 5, 5, 0]
    (links,) = links_of(resolver, [make_document(30, 30, "pt")])
    asked = []
    resolver._tiled_resolver.links = lambda cuts, genres, size, mentions: asked.append([*genres]) or [links] * len(cuts)
    for genre in (None, "pt"):
        resolver.resolve([Document(("a",) * 99), Document(("a",) * 99, genre="wb")], genre=genre)
    assert asked == [[5, 6], [4, 4]]


def test_a_thousand_speakers(resolver):
    tokens = words(1000, 3)
    found = resolver.resolve(tokens=tokens, sentences=[(0, 1000)], speakers=[f"speaker {i}" for i in range(1000)])
    again = resolver.resolve(tokens=tokens, sentences=[(0, 1000)], speakers=[str(i) for i in range(1000)])
    assert found == again and found.token_clusters
    assert found != resolver.resolve(tokens=tokens, sentences=[(0, 1000)])


def test_words_that_are_longer_than_a_segment_are_counted(make_resolver):
    resolver = make_resolver()
    tokens = [*words(9), "a" * 100_000, *words(9, 1), "b" * 90, *words(4, 2), "c" * 14]
    found = resolver.resolve(tokens=tokens, sentences=[(0, len(tokens))])
    assert resolver.counts == {"documents": 1, "words_cut": 1} and found.tokens == tuple(tokens)
    text = " ".join(tokens)
    assert resolver.resolve([text, "a"])[0].text == text
    assert resolver.counts == {"documents": 3, "words_cut": 2}


def test_a_document_without_candidates_has_no_chains(resolver):
    """Every word has more pieces than a span."""
    long = Document(("abcdefgh", "hgfedcba") * 10)
    assert resolver.resolve(long, singletons=True).token_clusters == ()
    with_others = resolver.resolve([long, make_document(30, 30), long])
    assert with_others[1] == resolver.resolve(make_document(30, 30)) and with_others[0].token_clusters == ()


def test_weights_that_change_are_used(make_resolver, randomize):
    resolver, document = make_resolver(), make_document(60, 6)
    first = resolver.resolve(document)
    randomize(resolver, 10, 0.3)
    second = resolver.resolve(document)
    assert second == make_resolver(seed=10).resolve(document) != first
    randomize(resolver, 2, 0.3)
    assert resolver.resolve(document) == first


def test_what_is_changed_before_compile_is_used(make_resolver, monkeypatch):
    resolver, document = make_resolver(), make_document(20, 6)
    before = resolver.mention_scores(document)
    call = type(resolver.encoder).call
    monkeypatch.setattr(
        type(resolver.encoder), "call", lambda *args, **kwargs: {k: -v for k, v in call(*args, **kwargs).items()}
    )
    resolver.compile()
    assert abs(resolver.mention_scores(document) - before).max() > 1e-3


@pytest.fixture
def seen(monkeypatch):
    """Every call of a stage: (its name, the shapes of its inputs, the most numbers in one array)."""
    calls = []
    original = tiled_resolver._Stage.predict_on_batch

    def predict_on_batch(self, batch):
        found = original(self, batch)
        arrays = [*batch.values(), *(found.values() if isinstance(found, dict) else [found])]
        shapes = tuple(sorted((name, values.shape) for name, values in batch.items()))
        calls.append((tuple(sorted(batch)), shapes, max(values.size for values in arrays)))
        return found

    monkeypatch.setattr(tiled_resolver._Stage, "predict_on_batch", predict_on_batch)
    encode = CompiledCall.__call__

    def call(self, batch):
        found = encode(self, batch)
        shapes = tuple(sorted((name, values.shape) for name, values in batch.items()))
        calls.append((tuple(sorted(batch)), shapes, max(values.size for values in [*batch.values(), *found.values()])))
        return found

    monkeypatch.setattr(CompiledCall, "__call__", call)
    return calls


def test_documents_of_many_lengths_have_few_shapes(make_resolver, seen):
    resolver = make_resolver(antecedent_window=400)
    for count in (*range(1, 40, 3), 150, 333, 700, 1500):
        resolver.resolve(tokens=words(count, count), sentences=[(0, count)], batch_size=8)
    shapes = {}
    for names, of_inputs, _ in seen:
        shapes.setdefault(names, set()).add(of_inputs)
    if BACKEND == "tensorflow":
        del shapes["padding_mask", "segment_ids", "token_ids"]  # one tracing of the encoder serves all
    counts = sorted(len(found) for found in shapes.values())
    assert len(counts) >= 4 and counts[0] == counts[1] == 1 and (counts[-1] <= 8 or BACKEND == "torch")
    if BACKEND == "tensorflow":
        stages = [getattr(resolver._tiled_resolver, name) for name in ("grid", "vectors", "coarse", "fine")]
        traced = [stage.predict_function.experimental_get_tracing_count() for stage in stages]
        assert max(traced) <= 3, traced


def test_memory_grows_with_the_length_not_with_its_square(make_resolver, seen):
    resolver = make_resolver(antecedent_window=300)
    asked = {count: words(count, 1, 1) for count in (5_000, 20_000)}
    resolver.resolve(tokens=asked[5_000], sentences=[(0, 5_000)])  # compiles
    peaks, largest = {}, {}
    for count, tokens in asked.items():
        seen.clear()
        tracemalloc.start()
        try:
            found = resolver.resolve(tokens=tokens, sentences=[(0, count)])
            peaks[count] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        largest[count] = max(size for *_, size in seen)
        assert len(found.tokens) == count and found.token_clusters
    assert largest[20_000] == largest[5_000]  # a stage's arrays do not grow with the document
    assert peaks[20_000] < 5 * peaks[5_000] and peaks[20_000] < 20_000 * 4_000


def test_mention_scores_of_all_spans_hold_those_of_the_kept_ones(make_resolver):
    resolver, document = make_resolver(), make_document(60, 6)
    found = resolver.mention_scores([document])
    cut = resolver.segments.cut(document.tokens, document.sentences, document.speakers)
    links = resolver.links([cut], [0], 4, [None])[0]
    assert found.shape == (len(cut), resolver.max_span_width)
    np.testing.assert_allclose(found[links.starts, links.ends - links.starts], links.mention_scores, atol=1e-5)


def test_a_short_document_is_encoded_alone_and_not_as_a_full_batch(make_resolver, seen):
    make_resolver().resolve(tokens=words(5, 5), sentences=[(0, 5)], batch_size=16)
    rows = [dict(shapes)["token_ids"][0] for names, shapes, _ in seen if "token_ids" in names]
    assert rows == [1]
