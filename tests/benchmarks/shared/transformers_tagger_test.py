"""Tags of tokens by `transformers`: tokens without a target change nothing, and it learns."""

import numpy as np

from benchmarks.shared.transformers_tagger import IGNORED, TransformersTagger


def test_it_learns_the_tokens_that_have_a_target(bert_folder):
    tagger = TransformersTagger(bert_folder, 2, 5e-3, 5e-3, 60, batch_size=4, max_length=16, seed=0)
    rng = np.random.default_rng(0)
    size = tagger.model.config.vocab_size
    ids = [rng.integers(5, size, length).tolist() for length in (4, 7, 5, 9)]
    encoded = {
        "input_ids": ids,
        "token_type_ids": [[0] * len(one) for one in ids],
        "attention_mask": [[1] * len(one) for one in ids],
    }
    wanted = [np.array(one) % 2 for one in ids]
    given = [np.where(np.arange(len(one)) == 0, IGNORED, one) for one in wanted]
    losses = [tagger.train_on(encoded, given, rows) for _ in range(60) for rows in tagger.epoch(encoded)]
    found = tagger.classes_of(encoded)
    assert losses[-1] < 0.2 * losses[0] and [len(one) for one in found] == [4, 7, 5, 9]
    assert all((one[1:] == other[1:]).all() for one, other in zip(found, wanted, strict=True))
