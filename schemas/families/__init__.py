"""What is particular to a family of vision-language models, for those who train it and those who ask it.

Its words, its picture, its chat format, and what transformers has wrong about it. How it spells boxes is
its dialect (`schemas/dialects`).
"""
