"""Models of transformers, and what each family needs to know about conversations with boxes."""
