"""What the page embeds: sentences, spans in UTF-16 units, and which entities both sides have."""

from spanbert_keras import Entity
from tasks.named_entities import data, page


def test_rows_are_sentences_with_spans_of_their_own():
    example = data.Example(
        "a", ("\U0001f600", "Ann", "x", "the", "king"), ((1, 2, "PER"), (3, 5, "PER")), ((0, 3), (3, 5))
    )
    found = [[Entity("", "PER", 1, 2, 1.0), Entity("", "LOC", 3, 5, 1.0), Entity("", "PER", 4, 5, 1.0)]]
    made = page.entity_data([example], found, {"model": "m"})
    assert made["facts"] == [["model", "m"]] and [row["text"] for row in made["rows"]] == [
        "\U0001f600 Ann x",
        "the king",
    ]
    first, second = made["rows"]
    assert first["gold"] == first["predicted"] == [[3, 6, "PER", True]]
    assert second["gold"] == [[0, 8, "PER", False]]
    assert second["predicted"] == [[0, 8, "LOC", False], [4, 8, "PER", False]]


def test_texts_have_places_of_characters():
    text = "\U0001f600 Ann slept."
    made = page.entity_data([data.Example("a", text, ((2, 5, "PER"),))], [[]], {})
    assert made["rows"][0]["gold"] == [[3, 6, "PER", False]] and made["rows"][0]["predicted"] == []
    assert page.entity_data([data.Example("a", text, ())], [[]], {})["rows"] == []


def test_the_page_is_whole_and_shows_markup_as_text(tmp_path):
    example = data.Example("<b>", ("</script>", "Ann"), ((1, 2, "PER"),), ((0, 2),))
    page.write_page(tmp_path / "p.html", "T", [example], [[]], {"f1": "0.0"})
    written = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert '"</script>' not in written and "\\u003c/script\\u003e" in written
    assert "namedEntities" in written and written.rstrip().endswith("</html>")
