"""Token shards, corpora, and the function from (seed, step) to batch."""
