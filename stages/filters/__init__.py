"""Stages that measure a sample and drop those out of bounds, one file each."""
