"""Tests of the import of optional libraries."""

import math
import sys

import pytest

from spanbert_keras.program import InputError
from tasks.shared.extras import load


def test_a_module_is_imported_by_its_full_name():
    assert load("math", "classification") is math
    assert load("os.path", "classification") is sys.modules["os.path"]


def test_a_missing_module_is_reported_with_the_extra_that_installs_it():
    with pytest.raises(InputError) as caught:
        load("surely_absent.part", "classification")
    assert str(caught.value) == (
        "surely_absent cannot be imported: No module named 'surely_absent'. "
        'Install the extra: pip install "spanbert-keras[classification]".'
    )


def test_a_module_that_fails_during_its_import_is_reported_with_the_reason(tmp_path, monkeypatch):
    (tmp_path / "half_there.py").write_text("import surely_absent_too")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        InputError, match=r"half_there cannot be imported: No module named 'surely_absent_too'\. .*\[x\]"
    ):
        load("half_there", "x")
