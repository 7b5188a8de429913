"""The tab of an entity recognizer: entities nest, a label has one colour."""

import dataclasses
import types

from spanbert_keras.demo_page.entity_tab import entity_tab, show_entities

TEXT = "The <Bank> of Norway & Ann Lee met.\n"


@dataclasses.dataclass
class Found:
    """An entity, with the attributes of the package's."""

    text: str
    label: str
    start: int
    end: int
    score: float


def found(text, label, score):
    return Found(text, label, TEXT.index(text), TEXT.index(text) + len(text), score)


ENTITIES = [found("The <Bank> of Norway", "ORG", 0.75), found("Norway", "GPE", 0.5), found("Ann Lee", "<PER>", 0.125)]


def test_the_text_is_whole_and_entities_nest(read_result):
    result = read_result(show_entities(ENTITIES, TEXT))
    assert result["sb-text"] == [TEXT]
    assert result["mark"] == ["The <Bank> of Norway", "Norway", "Ann Lee"]
    assert sorted(result["sub"]) == ["<PER>", "GPE", "ORG"]
    assert result["li"] == ["<PER> 1", "GPE 1", "ORG 1"] and "script" not in result
    assert result["td"][:3] == ["The <Bank> of Norway", "ORG", "75.0 %"]


def test_a_text_without_entities_is_shown(read_result):
    result = read_result(show_entities([], TEXT))
    assert result["sb-text"] == [TEXT] and result["sb-note"] == ["No entities are found."]


def test_the_recognizer_is_asked_for_the_text(read_result):
    tab = entity_tab(types.SimpleNamespace(recognize=lambda text: ENTITIES if text == TEXT else []))
    assert "mark" in read_result(tab.answer(TEXT)) and len(tab.example) == 1
    assert read_result(tab.answer(""))["sb-error"][0].startswith("The text is empty.")
