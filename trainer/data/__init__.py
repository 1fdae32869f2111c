"""Shards as training data: an index built once, examples by number, batches in a reproducible order."""
