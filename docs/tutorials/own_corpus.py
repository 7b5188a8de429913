# %% [markdown]
# # From your own corpus to an encoder
#
# Raw text becomes a pre-trained encoder, and the encoder a better classifier. The corpus is the documentation that
# ships with Python; put your own file in its place. The script takes about three minutes on two cores.

# %%
import json
import pydoc_data.topics
import random
import re
from pathlib import Path

import keras

import spanbert_keras
from spanbert_keras.pretrain import Config, pretrain

FOLDER = Path("runs/tutorials/own_corpus")
FOLDER.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## A corpus
#
# JSON lines with a `text` field are one of the forms that programs read; `.txt`, folders, Parquet and compressed files
# are others ([pre-training](../pretraining.md#prepare-the-text)).

# %%
topics = {name: text for name, text in sorted(pydoc_data.topics.topics.items())}
corpus = FOLDER / "corpus.jsonl"
corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in topics.values()), encoding="utf-8")
print(f"{len(topics)} documents, {corpus.stat().st_size:,} bytes")

# %% [markdown]
# ## Pre-training
#
# The settings are the flags of `python -m spanbert_keras.pretrain`. The run trains a vocabulary first, scores held-out
# text, writes checkpoints, and continues if it is started again. `tensorboard --logdir runs/` shows its curves.

# %%
config = Config(
    corpus=str(corpus),
    train_vocabulary=4000,
    output_dir=str(FOLDER / "pretraining"),
    architecture="tiny",
    max_sequence_length=64,
    batch_tokens=4096,
    steps=600,
    learning_rate=2e-3,
    warmup_steps=60,
    evaluate_every=300,
)
assert pretrain(config) == 0

# %% [markdown]
# ## What it has learnt
#
# The masked-LM head fills the text; `.spans` of the result has the prediction and the score of both heads.

# %%
pretrainer = keras.saving.load_model(FOLDER / "pretraining" / "pretrainer.keras")
for text in ("The [MASK] [MASK] must be a string.", "Raises an [MASK] if the object is not a [MASK]."):
    print(pretrainer.fill_spans(text))

# %% [markdown]
# ## A better score
#
# A task with few labels: which of four topics does a sentence come from? The same classifier is trained from the
# pre-trained encoder and from random weights, with three seeds each. The sentences are part of the corpus, as with
# your own texts, but pre-training has not seen their labels.

# %%
NAMES = ("specialnames", "typesseq", "compound", "import")
sentences = {}
for name in NAMES:
    plain = re.sub(r"\s+", " ", topics[name])
    sentences[name] = [one for one in re.split(r"(?<=[.:]) ", plain) if 40 < len(one) < 200]
print({name: len(found) for name, found in sentences.items()})


# %%
def examples(seed, labelled):
    """Returns `labelled` sentences of each topic for training, and all others for the test."""
    draw = random.Random(seed)
    train, test = [], []
    for name, found in sentences.items():
        shuffled = draw.sample(found, len(found))
        train += [(one, name) for one in shuffled[:labelled]]
        test += [(one, name) for one in shuffled[labelled : labelled + 60]]
    draw.shuffle(train)
    return train, test


def accuracy(encoder, seed):
    """Returns the share of the test sentences whose topic a classifier over this encoder finds."""
    train, test = examples(seed, labelled=20)
    classifier = spanbert_keras.SpanBertTextClassifier(encoder, labels=NAMES)
    classifier.compile(optimizer=keras.optimizers.Adam(5e-4))
    classifier.fit([text for text, _ in train], [name for _, name in train], epochs=15, batch_size=16, verbose=0)
    found = classifier.classify([text for text, _ in test])
    return sum(one.label == name for one, (_, name) in zip(found, test, strict=True)) / len(test)


SEEDS = (1, 2, 3)
trained, fresh = [], []
for seed in SEEDS:
    keras.utils.set_random_seed(seed)
    encoder = keras.saving.load_model(FOLDER / "pretraining" / "encoder.keras")
    trained.append(accuracy(encoder, seed))
    preset = str(FOLDER / "pretraining" / "encoder_preset")
    fresh.append(accuracy(spanbert_keras.SpanBertEncoder.from_preset(preset, load_weights=False), seed))
for name, scores in (("pre-trained", trained), ("random weights", fresh)):
    print(f"{name}: {sum(scores) / len(SEEDS):.0%} correct ({', '.join(f'{score:.0%}' for score in scores)})")
assert sum(trained) > sum(fresh)

# %% [markdown]
# ## From here
#
# - Larger corpora: `prepare` writes shards once, and `configs/small.flags` and `configs/base.flags` are the next sizes.
# - Several devices and machines: [distributed training](../distributed.md).
# - Continue from published weights: `configs/continue_base.flags`, or `init_checkpoint=` in place of `architecture` and
#   `train_vocabulary` (extra `torch`).
# - Compare maskings on your own tasks: [ablations](../ablations.md).
