"""Tests of the corpora of a run: what --corpus means, and streams over prepared folders."""

import dataclasses
import shutil

import numpy as np
import pytest

from spanbert_keras.data.batches import corpus_mixture
from spanbert_keras.data.batches.corpus_mixture import is_prepared, open_corpora, parse_corpora
from spanbert_keras.data.batches.row_settings import RowSettings
from spanbert_keras.data.corpus.prepare_corpus import PreparationSettings, prepare_corpus
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker

ROW_LENGTH, ROWS = 32, 4
BLOCKS = RowSettings(ROW_LENGTH)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, toy_pieces):
    """Folder with two prepared corpora of one vocabulary, a and b, and c of another."""
    folder = tmp_path_factory.mktemp("corpora")
    random = np.random.default_rng(0)
    for name, documents in (("a", 40), ("b", 25), ("c", 9)):
        pieces = toy_pieces if name != "c" else [*toy_pieces, "w99"]
        (folder / f"{name}.vocab").write_text("".join(f"{piece}\n" for piece in pieces))
        texts = [" ".join(f"w{i}" for i in random.integers(0, 45, random.integers(5, 60))) for _ in range(documents)]
        (folder / f"{name}.txt").write_text("\n\n".join(texts))
        settings = PreparationSettings(
            input=(str(folder / f"{name}.txt"),),
            output_dir=str(folder / name),
            vocabulary=str(folder / f"{name}.vocab"),
            heldout_share=0.2,
            workers=1,
        )
        prepare_corpus(settings)
    return folder


@pytest.fixture
def opened(prepared, tmp_path):
    """Function that opens --corpus with `{}` for the prepared folder."""
    return lambda text: open_corpora(
        text.format(prepared, prepared), tmp_path / "cache", lambda path: pytest.fail(path)
    )


def stream_of(corpora, split, seed=(1, 2), scheme="span", rows=BLOCKS):
    masker = SpanMasker(tokenizer=corpora.tokenizer, scheme=scheme)
    return corpora.stream(split, masker, rows, ROWS, seed)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a", [("a", 1.0)]),
        ("a:0.7,b:0.3", [("a", 0.7), ("b", 0.3)]),
        (" a:2 , b", [("a", 2.0), ("b", 1.0)]),
        ("c:/data,", [("c:/data", 1.0)]),
        ("embedded", [("embedded", 1.0)]),
    ],
)
def test_the_flag_names_corpora_and_weights(text, expected):
    assert parse_corpora(text) == expected


@pytest.mark.parametrize("text", ["", " , ", "a:0", "a:-1,b", "a:nan,b:1", "a:inf,b:1", ":0.5"])
def test_unusable_corpora_are_rejected(text):
    with pytest.raises(InputError, match="--corpus"):
        parse_corpora(text)


def test_prepared_folders_are_recognised(prepared, tmp_path):
    assert is_prepared(str(prepared / "a"))
    assert not is_prepared(str(prepared / "a.txt"))
    assert not is_prepared(str(prepared))
    assert not is_prepared("embedded")
    (tmp_path / "part-0-of-2").mkdir()
    (tmp_path / "part-0-of-2" / "manifest.json").write_text("{}")
    assert is_prepared(str(tmp_path))


def test_raw_text_is_prepared_first(prepared, tmp_path):
    asked = []
    corpora = open_corpora("raw.txt", tmp_path, lambda path: asked.append(path) or str(prepared / "a"))
    assert asked == ["raw.txt"]
    assert corpora.shards[0].directory == prepared / "a"


def test_corpora_of_different_vocabularies_are_rejected(opened):
    with pytest.raises(InputError, match="vocabular.*--vocabulary"):
        opened("{0}/a,{0}/c")


def test_a_damaged_shard_is_named(prepared, opened, tmp_path):
    shutil.copytree(prepared / "a", tmp_path / "a")
    (file,) = tmp_path.glob("a/train-*.pieces.npy")
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match=file.name):
        opened(f"{tmp_path}/a")


def test_unigram_counts_are_mixed_as_the_corpora_are(opened):
    one, two, both = opened("{0}/a"), opened("{0}/b"), opened("{0}/a:3,{0}/b:1")
    p, q = (c.unigram_counts / c.unigram_counts.sum() for c in (one, two))
    mixed = both.unigram_counts / both.unigram_counts.sum()
    np.testing.assert_allclose(mixed, 0.75 * p + 0.25 * q, atol=2e-3)
    assert both.unigram_counts.dtype == np.int64


def test_the_fingerprint_names_all_corpora_in_order(opened):
    one, two = opened("{0}/a").fingerprint, opened("{0}/b").fingerprint
    assert opened("{0}/b,{0}/a").fingerprint == f"{two}+{one}"
    assert one != two


def test_training_text_is_shuffled_and_held_out_text_is_fixed(opened):
    corpora = opened("{0}/a")
    train = [stream_of(corpora, "train", seed).batch(0) for seed in ((1, 2), (1, 3))]
    assert (train[0]["token_ids"] != train[1]["token_ids"]).any()
    heldout = [stream_of(corpora, "heldout", seed).batch(0) for seed in ((1, 2), (1, 3))]
    assert all((heldout[0][name] == heldout[1][name]).all() for name in heldout[0])


def test_held_out_rows_of_a_mixture_do_not_depend_on_the_seed(opened):
    corpora = opened("{0}/a:0.7,{0}/b:0.3")
    heldout = [stream_of(corpora, "heldout", seed).batch(0) for seed in ((1, 2), (1, 3))]
    assert all((heldout[0][name] == heldout[1][name]).all() for name in heldout[0])
    train = [stream_of(corpora, "train", seed).batch(0) for seed in ((1, 2), (1, 3))]
    assert (train[0]["token_ids"] != train[1]["token_ids"]).any()


def test_all_pieces_of_a_split_are_in_its_blocks(opened):
    corpora = opened("{0}/a")
    for split in ("train", "heldout"):
        plan = stream_of(corpora, split).sources[0].stream.plan
        placed = sum(int(c) * sum(t) for t, c in zip(plan.templates, plan.counts, strict=True))
        pieces = corpora.shards[0].split(split).num_pieces
        assert placed + corpora.left_out_pieces(split, BLOCKS) == pieces > 0


def test_held_out_and_training_text_are_apart(opened):
    corpora = opened("{0}/a")
    sets = []
    for split in ("train", "heldout"):
        stream = stream_of(corpora, split)
        batch = stream.rows(np.arange(stream.sources[0].stream.plan.rows))
        ids = np.where(batch["mask_weights"] > 0, batch["mask_ids"], corpora.tokenizer.cls_token_id)
        np.put_along_axis(batch["token_ids"], batch["mask_positions"], ids, axis=1)
        rows = zip(batch["token_ids"], batch["padding_mask"], strict=True)
        sets.append({tuple(row[mask == 1].tolist()) for row, mask in rows})
    assert not sets[0] & sets[1]


def test_the_index_is_cached_by_corpus_split_length_and_cut(opened, tmp_path):
    for _ in range(2):
        stream_of(opened("{0}/a"), "train")
        stream_of(opened("{0}/a"), "heldout")
    assert len(list((tmp_path / "cache").glob("*.blocks"))) == 2


PAIRS = RowSettings(ROW_LENGTH, segments=2)


@pytest.fixture(scope="module")
def sentences(tmp_path_factory, toy_pieces):
    """Folder with a prepared corpus, s, of documents of lines of three to nine words, and one, p, of one paragraph."""
    folder = tmp_path_factory.mktemp("sentences")
    random = np.random.default_rng(1)
    (folder / "vocab").write_text("".join(f"{piece}\n" for piece in [*toy_pieces, "W", "."]))
    lines = [
        [" ".join([*(f"w{i}" for i in random.integers(0, 45, random.integers(2, 8))), "."]) for _ in range(20)]
        for _ in range(60)
    ]
    (folder / "s.txt").write_text("\n\n".join("\n".join(document) for document in lines))
    (folder / "p.txt").write_text("\n\n".join("W " + " W ".join(document) for document in lines))
    for name in ("s", "p"):
        prepare_corpus(
            PreparationSettings(
                input=(str(folder / f"{name}.txt"),),
                output_dir=str(folder / name),
                vocabulary=str(folder / "vocab"),
                heldout_share=0.2,
                workers=1,
            )
        )
    return folder


@pytest.fixture
def opened_sentences(sentences, tmp_path):
    """Function that opens --corpus with `{}` for the folder of `sentences`."""
    return lambda text: open_corpora(text.format(sentences, sentences), tmp_path / "cache", pytest.fail)


def restored(batch):
    ids = batch["token_ids"].copy()
    for row, column in zip(*np.nonzero(batch["mask_weights"]), strict=True):
        ids[row, batch["mask_positions"][row, column]] = batch["mask_ids"][row, column]
    return ids


def segments_of(batch):
    """Yields (A, B, label) of every pair of a batch, as tuples of ids without specials."""
    ids = restored(batch)
    for row, place in zip(*np.nonzero(batch["pair_weights"]), strict=True):
        inside = batch["padding_mask"][row] == place + 1
        assert np.flatnonzero(inside)[0] == batch["pair_positions"][row, place]
        first, second = (tuple(ids[row][inside & (batch["segment_ids"][row] == s)].tolist()) for s in (0, 1))
        assert (first[0], first[-1], second[-1]) == (2, 3, 3)
        yield first[1:-1], second[:-1], int(batch["next_sentence_labels"][row, place])


def test_two_segments_give_pairs_of_the_split_and_nothing_of_the_other(opened_sentences):
    corpora = opened_sentences("{0}/s")
    for split in ("train", "heldout"):
        stream = stream_of(corpora, split, rows=PAIRS)
        batch = stream.rows(np.arange(stream.sources[0].stream.plan.rows))
        texts = [" ".join(map(str, part)) + " " for part in np.split(*documents_of(corpora, split))]
        found, labels = 0, []
        for first, second, label in segments_of(batch):
            one, two = (" " + " ".join(map(str, part)) + " " for part in (first, second))
            own = [text for text in texts if one in f" {text}"]
            assert own and any(two in f" {text}" for text in texts)
            found += label == 0 and any(one + two[1:] in f" {text}" for text in own)
            labels.append(label)
        assert 0.35 < np.mean(labels) < 0.65
        assert found > 0.4 * labels.count(0)  # the others were truncated between the segments


def documents_of(corpora, split):
    part = corpora.shards[0].split(split)
    assert len(part.pieces) == 1
    return part.pieces[0], part.document_starts[0][1:-1]


def test_pairs_have_the_keys_of_blocks_and_three_more(opened_sentences):
    corpora = opened_sentences("{0}/s")
    blocks, pairs = (stream_of(corpora, "train", rows=rows).batch(0) for rows in (BLOCKS, PAIRS))
    assert set(pairs) - set(blocks) == {"pair_positions", "next_sentence_labels", "pair_weights"}
    assert set(blocks) <= set(pairs)
    assert not blocks["segment_ids"].any() and pairs["segment_ids"].any()
    assert all(pairs[name].shape[0] == ROWS and pairs[name].dtype == blocks[name].dtype for name in blocks)


def test_held_out_pairs_do_not_depend_on_the_seed_or_the_copies(opened_sentences):
    corpora = opened_sentences("{0}/s")
    many = dataclasses.replace(PAIRS, pair_copies=3, mask_copies=2)
    batches = [
        stream_of(corpora, "heldout", seed, rows=rows).batch(0)
        for seed, rows in (((1, 2), PAIRS), ((1, 3), PAIRS), ((1, 2), many))
    ]
    for other in batches[1:]:
        assert all((batches[0][name] == other[name]).all() for name in batches[0])


def test_a_split_of_one_document_has_no_pairs(prepared, sentences, tmp_path):
    (tmp_path / "two.txt").write_text("w1 .\n\nw2 .")
    settings = PreparationSettings(
        input=(str(tmp_path / "two.txt"),),
        output_dir=str(tmp_path / "two"),
        vocabulary=str(sentences / "vocab"),
        heldout_share=0.5,
        workers=1,
    )
    prepare_corpus(settings)
    corpora = open_corpora(str(tmp_path / "two"), tmp_path / "cache", pytest.fail)
    for split in ("train", "heldout"):
        with pytest.raises(InputError, match=f"{split} split .*two has one document, but next-sentence pairs need two"):
            stream_of(corpora, split, rows=PAIRS)


def test_paragraphs_are_rejected_and_their_sentences_accepted(opened_sentences):
    corpora = opened_sentences("{0}/p")
    with pytest.raises(InputError, match=r"corpus .*p .*lines have 1\d\d pieces.*--pair_units=sentence"):
        corpora.check_pair_shares("train", PAIRS)
    sentences = dataclasses.replace(PAIRS, pair_units="sentence")
    corpora.check_pair_shares("train", sentences)
    (lines,), (cut,) = (corpora.pair_shares("train", rows) for rows in (PAIRS, sentences))
    assert lines.random == 1.0 and cut.random < 0.6
    assert 5 < cut.unit_pieces < 9 and lines.unit_pieces == pytest.approx(20 * cut.unit_pieces)
    opened_sentences("{0}/s").check_pair_shares("train", PAIRS)


def test_every_corpus_has_its_own_shares(opened_sentences):
    shares = opened_sentences("{0}/s:0.7,{0}/p:0.3").pair_shares("train", PAIRS)
    assert [one.random > 0.9 for one in shares] == [False, True]


def test_pairs_cut_long_words_so_that_no_piece_is_left_out(opened_sentences):
    assert opened_sentences("{0}/s").left_out_pieces("train", PAIRS) == 0


def test_the_index_of_pairs_is_cached_by_all_that_it_depends_on(opened_sentences, tmp_path):
    settings = (
        PAIRS,
        dataclasses.replace(PAIRS, max_sequence_length=40),
        dataclasses.replace(PAIRS, short_sequence_rate=0.1),
        dataclasses.replace(PAIRS, pair_units="sentence"),
    )
    for _ in range(2):
        for rows in settings:
            stream_of(opened_sentences("{0}/s"), "train", rows=rows)
    entries = [entry.name for entry in (tmp_path / "cache").iterdir() if not entry.name.startswith("checked-")]
    names = sorted(name.partition("-")[2] for name in entries)
    assert names == [
        "train-32-line-0.0-copy0.pairs",
        "train-32-line-0.1-copy0.pairs",
        "train-32-sentence-0.0-copy0.pairs",
        "train-40-line-0.0-copy0.pairs",
        "train-line.units",
        "train-sentence.units",
    ]


@pytest.mark.parametrize("rows", [BLOCKS, PAIRS])
def test_without_packing_a_row_has_one_block_or_pair(opened_sentences, rows):
    batch = stream_of(opened_sentences("{0}/s"), "train", rows=dataclasses.replace(rows, packing=False)).batch(0)
    assert set(batch["padding_mask"].max(1).tolist()) == {1}
    if rows.segments == 2:
        assert batch["pair_positions"].shape == (ROWS, 1)


@pytest.mark.parametrize("rows", [BLOCKS, PAIRS])
def test_masks_repeat_after_mask_copies_epochs(opened_sentences, rows):
    rows = dataclasses.replace(rows, mask_copies=10)
    stream = stream_of(opened_sentences("{0}/s"), "train", rows=rows)
    count = stream.sources[0].stream.plan.rows

    def masks(epoch):
        """Returns the masked places of every block, by its pieces."""
        batch = stream.rows(np.arange(epoch * count, (epoch + 1) * count))
        ids, found = restored(batch), {}
        for row in range(count):
            for number in range(1, batch["padding_mask"][row].max() + 1):
                inside = np.flatnonzero(batch["padding_mask"][row] == number)
                hidden = batch["mask_positions"][row][batch["mask_weights"][row] > 0]
                places = tuple((hidden[np.isin(hidden, inside)] - inside[0]).tolist())
                found[tuple(ids[row][inside].tolist())] = (places, tuple(batch["token_ids"][row][inside].tolist()))
        return found

    first, next_one, again = masks(0), masks(1), masks(10)
    assert first == again
    assert first.keys() == next_one.keys()
    assert np.mean([first[block] != next_one[block] for block in first]) > 0.9


def test_annotations_are_opened_beside_the_pieces(sentences, opened_sentences, monkeypatch):
    corpora = opened_sentences(f"{sentences}/s")
    asked = []

    def open_mentions(shards, split, name, entity_labels):
        asked.append((shards, split, name, entity_labels))
        return [(np.asarray(pieces) % 2).astype(np.uint8) for pieces in shards.split(split).pieces]

    monkeypatch.setattr(corpus_mixture, "open_mentions", open_mentions)
    given = []

    class Noting(SpanMasker):
        def mask_ragged(self, pieces, row_starts, seeds, annotation=None):
            given.append((pieces, annotation))
            return super().mask_ragged(pieces, row_starts, seeds, annotation)

    for rows in (BLOCKS, PAIRS):
        masker = Noting(tokenizer=corpora.tokenizer, scheme="named_entity")
        corpora.stream("train", masker, rows, ROWS, (1, 2), ("PERSON",)).batch(0)
        pieces, annotation = given.pop()
        assert annotation.tolist() == np.where((pieces == 2) | (pieces == 3), 0, pieces % 2).tolist()
        assert asked.pop() == (corpora.shards[0], "train", "entities", ("PERSON",))
        corpora.stream("train", Noting(tokenizer=corpora.tokenizer), rows, ROWS, (1, 2)).batch(0)
        assert given.pop()[1] is None and not asked


@pytest.mark.parametrize("text", ["{0}/s", "{0}/s:0.6,{1}/p:0.4"])
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_batches_of_pairs_do_not_depend_on_workers_or_parts_of_a_step(opened_sentences, text, parts):
    rows = dataclasses.replace(PAIRS, pair_copies=2, mask_copies=3, short_sequence_rate=0.1)
    whole = stream_of(opened_sentences(text), "train", rows=rows)
    later = whole.sources[0].stream.plan.rows // ROWS  # the batch in which copy 1 begins
    for k in (0, later, 10**6):
        batch = whole.batch(k)
        fresh = stream_of(opened_sentences(text), "train", rows=rows)
        workers = [fresh.part(k, worker, parts) for worker in range(parts)]
        steps = [fresh.rows(positions) for positions in np.split(np.arange(k * ROWS, (k + 1) * ROWS), parts)]
        for name in batch:
            for split in (workers, steps):
                assert (np.concatenate([part[name] for part in split]) == batch[name]).all()
    padding = whole.rows(np.array([-1, 3]))
    assert not any(values[0].any() for values in padding.values()) and padding["pair_weights"][1].any()
