"""The batch on which pre-training steps are raced; the steps themselves are in `pretraining_test.py`."""

from benchmarks.shared.pretraining_sides import Sizes, random_batch

SIZES = Sizes(vocabulary_size=40, num_layers=1, num_heads=2, hidden_dim=8, sequence_length=16, batch_rows=2)


def test_a_batch_masks_15_percent_of_each_row_once():
    batch = random_batch(SIZES)
    assert batch["token_ids"].shape == (2, 16) and batch["mask_positions"].shape == (2, 3)
    for row in batch["mask_positions"]:
        assert len(set(row.tolist())) == 3 and 0 < row.min() and row.max() < 15
