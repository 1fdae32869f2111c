"""Readers of formats that others defined, shared by sources, `convert` and evaluation."""
