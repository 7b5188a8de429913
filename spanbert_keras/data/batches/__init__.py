"""Shards to batches: blocks, packing, mixtures, and batch k as a function of (seed, k)."""
