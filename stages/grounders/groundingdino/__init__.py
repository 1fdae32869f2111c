"""Grounding DINO as its authors published it: their package, their checkpoint files."""
