"""Keeps what a model will be tested on out of what it is trained on."""
