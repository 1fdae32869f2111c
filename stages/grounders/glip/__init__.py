"""GLIP in plain PyTorch, reading the official checkpoints by their own parameter names."""
