"""Tests of the page of a scored file: what it embeds, and what a browser shows."""

import numpy as np
import pytest

from tasks.question_answering.page import PageRow, write_page

HOSTILE = "</script><script>alert(1)</script><!-- & \u2028\u2029 {{data}} <img src=x onerror=alert(2)>"
EMOJI = "Ev 😀😀 wrote 𝔘𝔫𝔦 in 1991. " + HOSTILE


def row(**changes):
    """A `PageRow` answered wrongly, with `changes`."""
    fields = dict(
        id="q1",
        question="Who wrote it?",
        context="Ann wrote it in Oslo.",
        article="Books",
        gold=("Ann",),
        gold_spans=((0, 3),),
        predicted="Oslo",
        start=16,
        end=20,
        score=0.75,
        no_answer_score=0.125,
        exact=False,
        f1=0.0,
        candidates=(("Oslo", 0.75), ("", 0.125)),
    )
    return PageRow(**fields | changes)


@pytest.fixture
def written(embedded):
    """Function that writes a page into a folder and returns its path and the data it carries."""

    def write(folder, rows, title="Title", facts=None):
        write_page(folder / "page.html", title, rows, facts or {})
        return folder / "page.html", embedded(folder / "page.html")

    return write


def slice_utf16(text, span):
    """What JavaScript's `text.slice(...span)` gives."""
    units = text.encode("utf-16-le", "surrogatepass")
    return units[2 * span[0] : 2 * span[1]].decode("utf-16-le", "surrogatepass")


def test_the_page_carries_its_data(tmp_path, written):
    _, data = written(tmp_path, [row()], facts={"F1": "0.00", "Model": "tiny"})
    assert data == {
        "facts": [["F1", "0.00"], ["Model", "tiny"]],
        "articles": ["Books"],
        "contexts": ["Ann wrote it in Oslo."],
        "rows": [
            {
                "id": "q1",
                "question": "Who wrote it?",
                "context": 0,
                "article": 0,
                "gold": ["Ann"],
                "gold_spans": [[0, 3]],
                "predicted": "Oslo",
                "predicted_span": [16, 20],
                "score": 0.75,
                "no_answer_score": 0.125,
                "exact": False,
                "f1": 0.0,
                "candidates": [["Oslo", 0.75], ["", 0.125]],
            }
        ],
    }


def test_marks_are_the_gold_and_the_predicted_text_after_emoji(tmp_path, written):
    gold, predicted = EMOJI.index("𝔘𝔫𝔦"), EMOJI.index("1991")
    made = row(context=EMOJI, gold_spans=((gold, gold + 3), (3, 5)), start=predicted, end=predicted + 4)
    _, data = written(tmp_path, [made])
    shown = data["rows"][0]
    assert [slice_utf16(EMOJI, span) for span in shown["gold_spans"]] == ["𝔘𝔫𝔦", "😀😀"]
    assert slice_utf16(EMOJI, shown["predicted_span"]) == "1991"


def test_a_context_that_questions_share_is_stored_once(tmp_path, written):
    rows = [row(id=str(i), context=f"Ann {i % 3} wrote it in Oslo.", article=f"A{i % 2}") for i in range(12)]
    path, data = written(tmp_path, rows)
    assert data["contexts"] == [f"Ann {i} wrote it in Oslo." for i in range(3)] and data["articles"] == ["A0", "A1"]
    assert [(data["contexts"][r["context"]], data["articles"][r["article"]]) for r in data["rows"]] == [
        (r.context, r.article) for r in rows
    ]
    assert path.read_text(encoding="utf-8").count("Ann 1 wrote") == 1


def test_scores_that_json_lacks_are_null_and_numpy_numbers_plain(tmp_path, written):
    made = row(
        score=float("-inf"),
        no_answer_score=float("nan"),
        exact=np.bool_(True),
        f1=np.float32(0.5),
        gold_spans=((np.int64(0), np.int32(3)),),
        candidates=(("Oslo", np.float32(0.25)), ("", float("inf"))),
    )
    shown = written(tmp_path, [made])[1]["rows"][0]
    assert (shown["score"], shown["no_answer_score"], shown["exact"], shown["f1"]) == (None, None, True, 0.5)
    assert shown["gold_spans"] == [[0, 3]] and shown["candidates"] == [["Oslo", 0.25], ["", None]]


def test_no_answer_and_no_place_have_no_mark(tmp_path, written):
    rows = [row(predicted="", start=None, end=None), row(gold=(), gold_spans=())]
    shown = written(tmp_path, rows)[1]["rows"]
    assert shown[0]["predicted_span"] is None and shown[1]["gold_spans"] == []


@pytest.mark.parametrize(
    "changes",
    [
        dict(start=16, end=99),
        dict(start=20, end=16),
        dict(start=None),
        dict(end=None),
        dict(gold_spans=((-1, 3),)),
        dict(gold_spans=((0, 3), (0, 22))),
    ],
)
def test_a_span_outside_its_context_is_rejected_with_its_question(tmp_path, changes):
    with pytest.raises(ValueError, match=r"Received: start=.*length=21, id='q1'"):
        write_page(tmp_path / "page.html", "Title", [row(**changes)], {})
    assert list(tmp_path.iterdir()) == []


def test_without_rows_there_is_a_page(tmp_path, written):
    path, data = written(tmp_path / "new" / "folder", [])
    assert data == {"facts": [], "articles": [], "contexts": [], "rows": []} and path.is_file()


def test_a_browser_marks_both_answers_and_keeps_to_the_filter(tmp_path, browser, written, texts_of):
    at = EMOJI.index("𝔘𝔫𝔦")
    emoji = row(context=EMOJI, question=HOSTILE, gold_spans=((at, at + 3),), start=at - 6, end=at + 3, f1=0.5)
    long = "Ann " + "word " * 50_000 + "Oslo"
    far = row(id="far", context=long, start=len(long) - 4, end=len(long))
    path, _ = written(tmp_path, [emoji, far, row(id="hit", exact=True, f1=1.0)])

    partly = texts_of(browser(f"{path.as_uri()}#show=partly"))
    in_context = [(a["class"], text) for a, text in partly["mark"] if a["class"] != "predicted first last"]
    assert [text for _, text in partly["h2"]] == [HOSTILE]
    assert [text for a, text in partly["b"]] == ["3", "1", "1", "1", "1"]
    assert ("predicted first", "wrote ") in in_context and ("gold predicted last", "𝔘𝔫𝔦") in in_context

    wrong = texts_of(browser(f"{path.as_uri()}#show=wrong"))
    contexts = [text for a, text in wrong["p"] if a.get("class") == "context"]
    assert len(contexts) == 1 and len(contexts[0]) < 2000 and "characters" in contexts[0]
    assert {("gold", "Ann"), ("predicted first last", "Oslo")} <= {(a["class"], text) for a, text in wrong["mark"]}
    assert "Show all" in [text for _, text in wrong["button"]]
