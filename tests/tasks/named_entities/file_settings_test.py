"""Files are read as the settings say."""

import pytest

from spanbert_keras.program import InputError
from tasks.named_entities.file_settings import FileSettings


def test_columns_and_context_reach_the_reader(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("Ann B-NP B-PER\n\nBob B-NP O\n")
    assert [one.entities for one in FileSettings().read(path).examples] == [((0, 1, "NP"), (0, 1, "PER"), (1, 2, "NP"))]
    sentences = FileSettings(tag_column=3, context="sentence").read(path).examples
    assert [one.entities for one in sentences] == [((0, 1, "PER"),), ()]
    assert FileSettings().read(path, gold=False).examples[0].entities == ()


def test_settings_are_checked():
    for wrong in ({"tag_column": -1}, {"context": "book"}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            FileSettings(**wrong)
