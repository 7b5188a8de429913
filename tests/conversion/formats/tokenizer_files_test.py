"""Tests of reading tokenizers: their ids are those of transformers and of the tokenizers library."""

import itertools
import json

import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from spanbert_keras.conversion.foreign_keys import read_settings
from spanbert_keras.conversion.formats.tokenizer_export import write_tokenizer_files
from spanbert_keras.conversion.formats.tokenizer_files import (
    looks_lowercased,
    read_lines,
    read_tokenizer_files,
)
from spanbert_keras.errors import InputError
from spanbert_keras.preprocessing.tokenizer import SpanBertTokenizer
from tests.conversion.conftest import bert_tokenizer_folder, ids, ours_of, theirs_of, write_tokenizer
from tests.hard_strings import hard_texts, pieces_of


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("ended", [True, False])
def test_each_line_is_a_piece(tmp_path, end, ended):
    content = end.join(["[PAD]", "#", "the"]) + end * ended
    (tmp_path / "vocab.txt").write_bytes(content.encode())
    assert read_lines(tmp_path / "vocab.txt") == ["[PAD]", "#", "the"]


def test_odd_characters_do_not_end_a_piece(tmp_path):
    pieces = ["a\u2028b", "\u0085", "\x0c", "##é"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    assert read_lines(tmp_path / "vocab.txt") == pieces


def vocabulary_and_case(folder):
    """Returns vocabulary and lower-casing, which most tests compare."""
    files = read_tokenizer_files(folder)
    return files.vocabulary, files.lowercase


def test_tokenizer_json_replaces_a_missing_vocab_txt(tmp_path):
    model = {"type": "WordPiece", "vocab": {"b": 1, "[PAD]": 0, "c": 2}}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model, "normalizer": {"lowercase": True}}))
    assert vocabulary_and_case(tmp_path) == (["[PAD]", "b", "c"], True)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert vocabulary_and_case(tmp_path) == (["[PAD]", "b", "c"], False)
    (tmp_path / "vocab.txt").write_text("x\n")
    with pytest.raises(InputError, match="hold different vocabularies: 'x' has the id 0 in the first and none in the"):
        read_tokenizer_files(tmp_path)
    (tmp_path / "vocab.txt").write_text("[PAD]\nb\nc\n")
    assert vocabulary_and_case(tmp_path) == (["[PAD]", "b", "c"], False)


def test_pieces_have_the_ids_of_the_file(tmp_path):
    model = {"type": "WordPiece", "vocab": {"a": 0, "b": 2}}
    whole = {"model": model, "added_tokens": [{"id": 1, "content": "[E1]"}, {"id": 2, "content": "b"}]}
    (tmp_path / "tokenizer.json").write_text(json.dumps(whole))
    assert vocabulary_and_case(tmp_path) == (["a", "[E1]", "b"], None)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model}))
    with pytest.raises(InputError, match="does not number its 2 tokens from 0 without a gap"):
        read_tokenizer_files(tmp_path)


def test_a_folder_without_vocabulary_has_none(tmp_path):
    assert vocabulary_and_case(tmp_path) == (None, None)


def test_other_tokenizers_and_damaged_files_are_rejected(tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": {"a": 0}}}))
    with pytest.raises(InputError, match="model.type='BPE'. Expected: 'WordPiece'"):
        read_tokenizer_files(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(InputError, match=r"tokenizer_config\.json is damaged: "):
        read_tokenizer_files(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(InputError, match="must be a JSON object. Received: list"):
        read_settings(tmp_path / "tokenizer_config.json")
    (tmp_path / "vocab.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        read_lines(tmp_path / "vocab.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_lines(tmp_path / "absent.txt")


def test_normalization_that_is_neither_true_nor_false_is_rejected(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": "false"}')
    with pytest.raises(
        InputError, match="tokenizer_config.json sets do_lower_case='false'. Expected: true, false or n"
    ):
        read_tokenizer_files(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    content = {"model": {"type": "WordPiece", "vocab": {"a": 0}}, "normalizer": {"lowercase": "false"}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(
        InputError, match="tokenizer.json sets normalizer.lowercase='false'. Expected: true, false or nu"
    ):
        read_tokenizer_files(tmp_path)


def test_case_is_inferred_from_ordinary_pieces_only():
    assert looks_lowercased(["[CLS]", "[unused1]", "a", "##b", "é"])
    assert not looks_lowercased(["[CLS]", "a", "##B"])


# Comparisons with transformers and the tokenizers library, on 300 hard strings.


@pytest.fixture(scope="module")
def texts():
    """300 hard strings."""
    return hard_texts()


@pytest.fixture(scope="module")
def pieces(texts):
    """A vocabulary for them."""
    return pieces_of(texts)


NORMALIZERS = list(itertools.product((True, False), (None, True, False), (True, False), (True, False)))
SETTINGS = {
    "do_lower_case": (True, False),
    "strip_accents": (None, True, False),
    "tokenize_chinese_chars": (True, False),
}


@pytest.mark.parametrize("values", list(itertools.product(*SETTINGS.values())))
def test_every_normalization_gives_the_ids_of_transformers(tmp_path, transformers, texts, pieces, values):
    config = dict(zip(SETTINGS, values, strict=True)) | {"tokenizer_class": "BertTokenizer"}
    folder = write_tokenizer(tmp_path / "hf", pieces, config)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    assert ours_of(folder)(texts) == ids(theirs_of(transformers, folder), texts)


@pytest.mark.parametrize("values", NORMALIZERS)
def test_every_normalizer_of_a_tokenizer_json_gives_the_ids_of_tokenizers(tmp_path, texts, pieces, values):
    lowercase, strips, splits, cleans = values
    library = tokenizers.Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    library.normalizer = normalizers.BertNormalizer(
        clean_text=cleans, handle_chinese_chars=splits, strip_accents=strips, lowercase=lowercase
    )
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.save(str(tmp_path / "tokenizer.json"))
    expected = [encoding.ids for encoding in library.encode_batch(texts, add_special_tokens=False)]
    assert ours_of(tmp_path)(texts) == expected
    write_tokenizer(tmp_path, pieces)  # an equal vocabulary in a second file changes nothing
    assert ours_of(tmp_path)(texts) == expected


def test_text_is_unchanged_without_a_normalizer(tmp_path, texts, pieces):
    library = tokenizers.Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.save(str(tmp_path / "tokenizer.json"))
    expected = [encoding.ids for encoding in library.encode_batch(texts, add_special_tokens=False)]
    assert json.loads((tmp_path / "tokenizer.json").read_text())["normalizer"] is None
    assert ours_of(tmp_path)(texts) == expected


@pytest.mark.parametrize("strips", [None, True, False])
def test_the_configuration_takes_precedence_as_in_transformers(tmp_path, transformers, texts, pieces, strips):
    write_tokenizer_files(SpanBertTokenizer(pieces, lowercase=False, strip_accents=not strips), tmp_path, 512)
    config = {"do_lower_case": True, "strip_accents": strips, "tokenize_chinese_chars": True}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": "BertTokenizer"}))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert ours_of(tmp_path)(texts) == ids(theirs_of(transformers, tmp_path), texts)
    assert len([note for note in read_tokenizer_files(tmp_path).notes if "The first takes precedence" in note]) == 2


def test_japanese_stays_one_word_and_accents_are_removed_without_lower_casing(tmp_path, pieces):
    folder = write_tokenizer(tmp_path / "a", pieces, {"do_lower_case": False, "tokenize_chinese_chars": False})
    assert ours_of(folder)("日本語") == [pieces.index("日本語")]
    folder = write_tokenizer(tmp_path / "b", pieces, {"do_lower_case": False, "strip_accents": True})
    assert ours_of(folder)("Café") == [pieces.index("Cafe")]
    folder = write_tokenizer(tmp_path / "c", pieces, {"do_lower_case": True, "strip_accents": False})
    assert ours_of(folder)("CAFÉ") == [pieces.index("café")]


FLAGS = ("lstrip", "rstrip", "single_word", "normalized", "special")


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("flags", list(itertools.product((False, True), repeat=len(FLAGS))))
def test_added_tokens_with_every_flag_give_the_ids_of_transformers(
    tmp_path, transformers, texts, pieces, flags, lowercase
):
    flags = dict(zip(FLAGS, flags, strict=True))
    added = ["[E1]", "[/E1]", "covid-19", "Foo", "日本", "ba"]
    decoder = {str(len(pieces) + i): {"content": content, **flags} for i, content in enumerate(added)}
    config = {"do_lower_case": lowercase, "tokenizer_class": "BertTokenizer", "added_tokens_decoder": decoder}
    folder = write_tokenizer(tmp_path / "hf", pieces, config)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    ours, theirs = ours_of(folder), theirs_of(transformers, folder)
    assert ours.vocabulary_size() == len(theirs) == len(pieces) + 6
    assert ours(texts) == ids(theirs, texts)
    assert ours("[E1]") == [len(pieces)]


@pytest.mark.parametrize("special_map", [None, {"additional_special_tokens": ["[E1]", "[/E1]"]}])
def test_the_old_file_of_added_tokens_gives_the_ids_of_transformers(tmp_path, transformers, texts, pieces, special_map):
    added = {"[E1]": len(pieces), "[/E1]": len(pieces) + 1, "covid-19": len(pieces) + 2}
    folder = write_tokenizer(tmp_path / "hf", pieces, {"do_lower_case": True}, special_map, added)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    ours, theirs = ours_of(folder), theirs_of(transformers, folder)
    assert ours(texts) == ids(theirs, texts)
    assert ours.special_tokens[5:] == (["[E1]", "[/E1]"] if special_map else [])
    assert ours("on COVID-19")[-1] == len(pieces) + 2


def test_a_special_token_of_the_base_vocabulary_is_matched(tmp_path, transformers, texts, pieces):
    marked = [*pieces, "[unused1]", "<e>"]
    folder = write_tokenizer(
        tmp_path / "hf", marked, {"do_lower_case": False, "additional_special_tokens": ["[unused1]", "<e>"]}
    )
    (folder / "config.json").write_text('{"model_type": "bert"}')
    mixed = [f"{text}[unused1] <e>{text}" for text in texts[:50]]
    assert ours_of(folder)(mixed) == ids(theirs_of(transformers, folder), mixed)
    assert ours_of(folder)("[unused1]") == [len(pieces)]


def test_a_tokenizer_saved_by_transformers_with_added_tokens_is_read(tmp_path, transformers, texts, pieces):
    theirs = theirs_of(transformers, bert_tokenizer_folder(tmp_path / "hf", pieces))
    theirs.add_tokens(["covid-19", tokenizers.AddedToken("foo", single_word=True)])
    theirs.add_special_tokens({"additional_special_tokens": ["[E1]", "[/E1]"]})
    theirs.save_pretrained(tmp_path / "saved")
    assert ours_of(tmp_path / "saved")(texts) == ids(theirs, texts)
    assert ours_of(tmp_path / "saved")("food")[0] == pieces.index("foo")  # WordPiece still knows its own piece


@pytest.mark.parametrize(
    "file, change, name",
    [
        ("tokenizer_config.json", {"do_basic_tokenize": False}, "do_basic_tokenize=False"),
        ("tokenizer_config.json", {"never_split": ["a"]}, "never_split="),
        ("tokenizer_config.json", {"cls_token": "<s>"}, "cls_token='<s>'"),
        ("tokenizer_config.json", {"unk_token": {"content": "<unk>", "__type": "AddedToken"}}, "unk_token='<unk>'"),
        ("tokenizer_config.json", {"tokenizer_class": "BertJapaneseTokenizer"}, "tokenizer_class='BertJapanese"),
        ("tokenizer_config.json", {"word_tokenizer_type": "mecab"}, "word_tokenizer_type='mecab'"),
        ("tokenizer_config.json", {"wordpieces_prefix": "@@"}, "wordpieces_prefix='@@'"),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["x.Y", None]}}, "auto_map="),
        ("tokenizer_config.json", {"max_input_chars_per_word": 50}, "max_input_chars_per_word=50"),
        ("special_tokens_map.json", {"sep_token": "</s>"}, "sep_token='</s>'"),
        ("special_tokens_map.json", {"mask_token": {"content": "<mask>"}}, "mask_token='<mask>'"),
    ],
)
def test_settings_that_split_text_differently_are_rejected_by_name(tmp_path, pieces, file, change, name):
    write_tokenizer(tmp_path, pieces)
    (tmp_path / file).write_text(json.dumps(change))
    with pytest.raises(InputError, match=rf"{file} cannot be used: its configuration says {name}.*Expected: "):
        read_tokenizer_files(tmp_path)


@pytest.mark.parametrize(
    "change, name",
    [
        ({"normalizer": {"type": "Sequence", "normalizers": []}}, "normalizer.type='Sequence'"),
        ({"normalizer": {"type": "Lowercase"}}, "normalizer.type='Lowercase'"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "pre_tokenizer.type='Whitespace'"),
        ({"pre_tokenizer": None}, "pre_tokenizer=None"),
        ({"post_processor": {"type": "RobertaProcessing"}}, "RobertaProcessing"),
        (
            {
                "post_processor": {
                    "type": "TemplateProcessing",
                    "single": [{"Sequence": {"id": "A", "type_id": 0}}],
                    "pair": [],
                }
            },
            r"Received: \(\['A0'\], \[\]\)",
        ),
        ({"model": {"continuing_subword_prefix": "@@"}}, "model.continuing_subword_prefix='@@'"),
        ({"model": {"max_input_chars_per_word": 50}}, "model.max_input_chars_per_word=50"),
        ({"model": {"unk_token": "<unk>"}}, "model.unk_token='<unk>'"),
        ({"model": {"type": "WordLevel"}}, "model.type='WordLevel'"),
        ({"padding": {"pad_token": "<pad>"}}, "padding.pad_token='<pad>'"),
    ],
)
def test_parts_of_a_tokenizer_json_that_split_text_differently_are_rejected_by_name(tmp_path, pieces, change, name):
    write_tokenizer_files(SpanBertTokenizer(pieces), tmp_path, 512)
    path = tmp_path / "tokenizer.json"
    whole = json.loads(path.read_text())
    assert read_tokenizer_files(tmp_path).vocabulary == pieces
    for key, value in change.items():
        whole[key] = whole[key] | value if key == "model" else value
    path.write_text(json.dumps(whole))
    with pytest.raises(InputError, match=name):
        read_tokenizer_files(tmp_path)


def test_settings_that_are_not_followed_are_reported(tmp_path, pieces):
    config = {"do_lower_case": True, "padding_side": "left", "frobnicate": 3, "clean_up_tokenization_spaces": True}
    write_tokenizer_files(SpanBertTokenizer(pieces), tmp_path, 512)  # its tokenizer.json keeps case
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"entity_token": "<none>"}))
    files = read_tokenizer_files(tmp_path)
    assert files.lowercase is True  # as in transformers
    told = "\n".join(files.notes)
    assert "padding_side='left'" in told and "has unknown keys, which are ignored: frobnicate" in told
    assert "do_lower_case=True, the normalizer of tokenizer.json lowercase=False. The first takes precedence" in told
    assert "without an id, which are treated as ordinary text: <none>" in told and len(files.notes) == 4


def test_a_vocabulary_that_ends_too_early_is_rejected(tmp_path, pieces):
    write_tokenizer_files(SpanBertTokenizer(pieces), tmp_path, 512)
    (tmp_path / "vocab.txt").write_text("".join(f"{p}\n" for p in pieces[:-3]), encoding="utf-8", newline="\n")
    with pytest.raises(InputError, match=r"3 pieces of the second are not in the first, such as "):
        read_tokenizer_files(tmp_path)


def test_vocabularies_that_contradict_each_other_are_rejected(tmp_path, pieces):
    write_tokenizer_files(SpanBertTokenizer(pieces), tmp_path, 512)
    swapped = [*pieces[:-2], pieces[-1], pieces[-2]]
    (tmp_path / "vocab.txt").write_text("".join(f"{p}\n" for p in swapped), encoding="utf-8", newline="\n")
    with pytest.raises(InputError, match="vocab.txt and .*tokenizer.json hold different vocabularies"):
        read_tokenizer_files(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "added_tokens.json").write_text('{"foo": 999}')
    with pytest.raises(InputError, match="gives the token 'foo' two ids: .* and 999"):
        read_tokenizer_files(tmp_path)


@pytest.mark.parametrize(
    "file, change, message",
    [
        ("tokenizer.json", {"post_processor": "x"}, 'post_processor in .* must be a JSON object. Received: "x"'),
        (
            "tokenizer.json",
            {"post_processor": {"type": "TemplateProcessing", "single": "x"}},
            "single of post_processor",
        ),
        ("tokenizer.json", {"post_processor": {"type": "BertProcessing"}}, "does not build BERT's rows"),
        (
            "tokenizer.json",
            {"added_tokens": [{"content": "x"}]},
            "token 'x' needs an id, a whole number. Received: None",
        ),
        ("tokenizer.json", {"added_tokens": [3]}, "added_tokens in .*: each must be a JSON object. Received: 3"),
        ("tokenizer.json", {"added_tokens": {"x": 1}}, "added_tokens in .* must be a JSON array"),
        ("tokenizer.json", {"normalizer": "BertNormalizer"}, "normalizer in .* must be a JSON object"),
        ("tokenizer.json", {"pre_tokenizer": []}, "pre_tokenizer in .* must be a JSON object"),
        ("tokenizer.json", {"truncation": "x"}, "truncation in .* must be a JSON object"),
        (
            "tokenizer.json",
            {"model": {"type": "WordPiece", "vocab": {"a": "b"}}},
            "model.vocab in .* must hold ids. Received: 'a': 'b'",
        ),
        ("tokenizer_config.json", {"added_tokens_decoder": {"abc": {"content": "x"}}}, "needs an id.* Received: 'abc'"),
        ("tokenizer_config.json", {"added_tokens_decoder": []}, "added_tokens_decoder in .* must be a JSON object"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"40": "x"}}, "each token must be a JSON object"),
        ("tokenizer_config.json", {"additional_special_tokens": [1]}, "Special tokens .* must be strings. Received: 1"),
        ("tokenizer_config.json", {"additional_special_tokens": "[E1]"}, "must be a JSON array. Received: .*E1"),
        ("added_tokens.json", {"x": "40"}, "the added token 'x' needs an id, a whole number. Received: '40'"),
        ("added_tokens.json", {"x": None}, "needs an id, a whole number. Received: None"),
    ],
)
def test_malformed_files_give_an_error_of_one_sentence(tmp_path, pieces, file, change, message):
    write_tokenizer_files(SpanBertTokenizer(pieces), tmp_path, 512)
    path = tmp_path / file
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | change))
    with pytest.raises(InputError, match=message):
        read_tokenizer_files(tmp_path)


def test_differences_from_transformers_are_reported(tmp_path, pieces):
    write_tokenizer(tmp_path, pieces, {"tokenizer_class": "BertTokenizer"})
    assert (
        "no file sets do_lower_case, so lower-casing is inferred from the vocabulary"
        in read_tokenizer_files(tmp_path).notes[0]
    )
    write_tokenizer_files(SpanBertTokenizer(pieces, clean_text=False), tmp_path, 512)
    (tmp_path / "tokenizer_config.json").unlink()
    assert any("Here they are kept." in note for note in read_tokenizer_files(tmp_path).notes)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "do_lower_case": false}')
    assert any("Here they are removed." in note for note in read_tokenizer_files(tmp_path).notes)
