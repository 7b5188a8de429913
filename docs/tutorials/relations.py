# %% [markdown]
# # Relations from spaCy documents
#
# spaCy finds entities, a relation extractor relates them. The script takes about a minute on two cores, makes its
# sentences itself and needs the extra `linguistic` (spaCy), but none of spaCy's models.

# %%
import random

import keras
import spacy

import spanbert_keras

keras.utils.set_random_seed(1)

# %% [markdown]
# ## Examples
#
# An example names the words of subject and object, their types and the relation.

# %%
NAMES = "Ann Bob Cleo Dan Eve Finn Gus Hana Ivo June Kim Leo Mia Ned Ola Pia Ron Sue Tom Una".split()
CITIES = "Oslo Rome Bonn Lima Cairo Delhi Kyoto Paris Quito Turin".split()
FIRMS = "Acme Borealis Corvus Dynamo Elbrus Fjord Granit Helios".split()
PATTERNS = [
    ("{s} was born in {o} .", "CITY", "born_in"),
    ("{o} is the city where {s} was born .", "CITY", "born_in"),
    ("{s} works for {o} .", "FIRM", "employee_of"),
    ("At {o} they know {s} , who works there .", "FIRM", "employee_of"),
    ("{s} once flew to {o} .", "CITY", "none"),
    ("{s} wrote a letter to {o} .", "FIRM", "none"),
]


def example(draw):
    pattern, kind, label = draw.choice(PATTERNS)
    person, other = draw.choice(NAMES), draw.choice(CITIES if kind == "CITY" else FIRMS)
    tokens = pattern.format(s=person, o=other).split()
    subject, target = tokens.index(person), tokens.index(other)
    types = {"subject_type": "PERSON", "object_type": kind}
    return {
        "tokens": tokens,
        "subject": (subject, subject + 1),
        "object": (target, target + 1),
        "label": label,
        **types,
    }


draw = random.Random(1)
train = [example(draw) for _ in range(600)]
dev = [example(draw) for _ in range(100)]
print(train[0])

# %% [markdown]
# ## Training
#
# Subject and object are replaced by tokens for their types, so the model learns from what stands around them and not
# from names. These tokens take the places of `[unused1]` and so on.

# %%
words = sorted({word for one in train for word in one["tokens"]})
unused = [f"[unused{number}]" for number in range(1, 9)]
tokenizer = spanbert_keras.SpanBertTokenizer(["[PAD]", *unused, "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])
encoder = spanbert_keras.SpanBertEncoder(
    vocabulary_size=tokenizer.vocabulary_size(),
    num_layers=2,
    num_heads=4,
    hidden_dim=64,
    intermediate_dim=128,
    max_sequence_length=32,
    tokenizer=tokenizer,
)
extractor = spanbert_keras.SpanBertRelationExtractor(
    encoder, labels=["none", "born_in", "employee_of"], subject_types=["PERSON"], object_types=["CITY", "FIRM"]
)
extractor.compile(optimizer=keras.optimizers.Adam(1e-3), metrics=["accuracy"])
extractor.fit(train, epochs=5, batch_size=32, verbose=2)
accuracy = extractor.evaluate(dev, return_dict=True, verbose=0)["accuracy"]
print(f"accuracy on held-out sentences: {accuracy:.2f}")
assert accuracy > 0.9

# %% [markdown]
# ## From raw text
#
# Any spaCy pipeline with sentences and entities will do. This one knows the names from lists; for real text take
# `en_core_web_sm` and an extractor that was fine-tuned on TACRED, whose types `extract_document` knows.

# %%
pipeline = spacy.blank("en")
pipeline.add_pipe("sentencizer")
ruler = pipeline.add_pipe("entity_ruler")
for kind, names in (("PERSON", NAMES), ("CITY", CITIES), ("FIRM", FIRMS)):
    ruler.add_patterns([{"label": kind, "pattern": name} for name in names])
document = pipeline("Mia was born in Turin. She knows Leo. Leo works for Helios. Ann once flew to Lima.")
found = extractor.extract_document(document, types={"PERSON": "PERSON", "CITY": "CITY", "FIRM": "FIRM"})
relations = [(s.text, one.label, o.text) for s, o, one in found if one.label != "none"]
for relation in relations:
    print(*relation)
assert relations == [("Mia", "born_in", "Turin"), ("Leo", "employee_of", "Helios")]

# %% [markdown]
# [Relation extraction](../relation_extraction.md) has the program for TACRED and for files of your own.
