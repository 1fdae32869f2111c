"""A byte-level BPE vocabulary, trained on a few sentences: small, and able to spell everything."""

import json

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

SENTENCES = [
    "Find the small red circle in the image.",
    "Where in the picture can the large blue square be seen?",
    "Give the box of the green triangle, the yellow star and the purple ring.",
    'Caption: "a white cross above a black heart" Ground the phrase "a black heart".',
    "What is shown in the region? An orange hexagon to the left of a pink diamond.",
    'Which region does "a small red ball" describe?',
    "You are a helpful assistant.",
    "user, assistant, system",
    '[{"bbox_2d": [12, 34, 56, 78]}]',
]


def trained_bpe(special: list[str], size: int = 640) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges; the special tokens have the first ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]
