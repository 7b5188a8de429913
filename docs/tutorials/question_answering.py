# %% [markdown]
# # A SQuAD reader
#
# From questions in SQuAD's form to answers from raw text, in about a minute on two cores. Nothing is downloaded: the
# script makes its questions, and the encoder starts from random weights. The last section says what changes with real
# data.

# %%
import random

import keras

import spanbert_keras

keras.utils.set_random_seed(1)

# %% [markdown]
# ## Questions
#
# Each example has a context, a question, and the answer with the character at which it starts; this is a row of SQuAD
# as the `datasets` package returns it. Every fourth question has no answer in its context, as in SQuAD 2.0: it has an
# empty list of answers.

# %%
NAMES = "Ann Bob Cleo Dan Eve Finn Gus Hana Ivo June Kim Leo Mia Ned Ola Pia Ron Sue Tom Una".split()
CITIES = "Oslo Rome Bonn Lima Cairo Delhi Kyoto Paris Quito Turin".split()
TITLES = "Harbour Winter Orchard Lantern River Mirror Garden Compass".split()


def question(number, draw):
    name, other = draw.sample(NAMES, 2)
    city, year, title = draw.choice(CITIES), str(draw.randint(1900, 1999)), draw.choice(TITLES)
    context = f"The {title} was written by {name} in {year}. {other} printed it in {city}."
    asked, answer = draw.choice(
        [
            ("Who wrote it?", name),
            ("When was it written?", year),
            ("Where was it printed?", city),
            ("Who printed it?", other),
        ]
    )
    if number % 4 == 0:
        asked, answer = "Who sold it?", ""
    found = {"text": [answer], "answer_start": [context.index(answer)]} if answer else {"text": [], "answer_start": []}
    return {"question": asked, "context": context, "answers": found}


draw = random.Random(1)
train = [question(number, draw) for number in range(800)]
dev = [question(number, draw) for number in range(100)]
print(train[1])

# %% [markdown]
# ## A vocabulary and an encoder
#
# Words and single digits are enough here. A published encoder brings both:
# `SpanBertQuestionAnswerer.from_preset("hf://SpanBERT/spanbert-base-cased")` (extra `torch`).

# %%
words = sorted(
    {word for example in train for text in (example["context"], example["question"]) for word in text.split()}
)
pieces = sorted({word.strip(".?") for word in words if not word.strip(".?").isdigit()})
digits = [str(digit) for digit in range(10)]
vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *pieces, *digits, *(f"##{d}" for d in digits)]
encoder = spanbert_keras.SpanBertEncoder(
    vocabulary_size=len(vocabulary),
    num_layers=2,
    num_heads=4,
    hidden_dim=128,
    intermediate_dim=256,
    max_sequence_length=64,
    tokenizer=spanbert_keras.SpanBertTokenizer(vocabulary),
)
reader = spanbert_keras.SpanBertQuestionAnswerer(encoder)

# %% [markdown]
# ## Training
#
# `fine_tune` raises the learning rate gradually, keeps the model that is best on the validation questions, writes
# checkpoints and TensorBoard curves to its folder, and continues there if you stop it and run this script again.


# %%
def score(model):
    answers = model.answer([one["question"] for one in dev], [one["context"] for one in dev])
    gold = [one["answers"]["text"][0] if one["answers"]["text"] else "" for one in dev]
    return {"exact_match": 100 * sum(a.text == b for a, b in zip(answers, gold, strict=True)) / len(dev)}


reader.no_answer_threshold = 0.0  # answer "" where "no answer" has the higher logit
run = spanbert_keras.fine_tune(
    reader,
    train,
    dev,
    "runs/tutorials/question_answering",
    learning_rate=1e-3,
    epochs=8,
    batch_size=32,
    evaluate=score,
)
print(run.scores)
assert run.scores["exact_match"] > 90

# %% [markdown]
# ## Answers
#
# The saved file holds weights, tokenizer and threshold. An answer has its place in the text, and a probability.

# %%
reader = keras.saving.load_model(run.path)
context = "The Compass was written by Hana in 1923. Leo printed it in Lima."
for asked in ("Who wrote it?", "When was it written?", "Who printed it?", "Who sold it?"):
    answer = reader.answer(asked, context)
    print(asked, repr(answer.text), (answer.start, answer.end), f"{answer.score:.2f}")
best, second = reader.answer("Who wrote it?", context, n_best=2)
assert best.text == context[best.start : best.end] == "Hana"

# %% [markdown]
# ## With SQuAD itself
#
# The program reads SQuAD's files, fits the threshold on dev and scores as the official script does; `convert` makes
# `encoder.keras` from published weights:
#
#     python -m spanbert_keras.convert --source=SpanBERT/spanbert-base-cased --destination=encoder.keras
#     python -m tasks.question_answering.finetune --flagfile=configs/squad_v2.flags --encoder=encoder.keras \
#         --train_file=train-v2.0.json --dev_file=dev-v2.0.json --output_dir=runs/squad
#
# The page on [question answering](../question_answering.md) has its options.
