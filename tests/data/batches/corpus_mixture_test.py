"""Tests of the corpora of a run: what --corpus means, and streams over prepared folders."""

import shutil

import numpy as np
import pytest

from spanbert_keras.data.batches.corpus_mixture import is_prepared, open_corpora, parse_corpora
from spanbert_keras.data.corpus.prepare_corpus import PreparationSettings, prepare_corpus
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.masking.span_masker import SpanMasker

ROW_LENGTH, ROWS = 32, 4


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


def stream_of(corpora, split, seed=(1, 2), scheme="span"):
    masker = SpanMasker(tokenizer=corpora.tokenizer, scheme=scheme)
    return corpora.stream(split, masker, ROW_LENGTH, "word", ROWS, seed)


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
        assert placed + corpora.left_out_pieces(split, ROW_LENGTH, "word") == pieces > 0


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
    assert len(list((tmp_path / "cache").iterdir())) == 2
