"""Boxes on which several grounders agree."""
