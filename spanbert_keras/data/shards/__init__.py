"""The format of token shards, and reading them."""
