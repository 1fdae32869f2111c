"""Duplicates, exact and near: what makes two images or captions the same, and which of them stays."""
