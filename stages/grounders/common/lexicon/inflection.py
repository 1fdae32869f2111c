"""Plural -> singular, as candidates to look up."""

from functools import lru_cache

IRREGULAR = {
    "people": "person",
    "children": "child",
    "mice": "mouse",
    "geese": "goose",
    "feet": "foot",
    "teeth": "tooth",
    "oxen": "ox",
    "dice": "die",
    "cacti": "cactus",
}


@lru_cache(maxsize=65536)
def singulars(word: str) -> tuple[str, ...]:
    """The word as it stands, then what it may be the plural of; some are no words at all.

    Made for looking up in a vocabulary, which needs no decision between them, and works where
    spaCy's lemma does not: on capitalised words, which it takes for names.

    >>> singulars("knives")
    ('knives', 'knive', 'kniv', 'knif', 'knife')
    >>> singulars("skateboarders"), singulars("women"), singulars("dog")
    (('skateboarders', 'skateboarder'), ('women', 'woman'), ('dog',))
    """
    forms = [word]
    if word in IRREGULAR:
        forms.append(IRREGULAR[word])
    elif word.endswith("men"):
        forms.append(word[:-2] + "an")
    elif word.endswith("s") and len(word) > 2:
        forms.append(word[:-1])
        if word.endswith("es") and len(word) > 3:
            forms.append(word[:-2])
        if word.endswith("ies"):
            forms.append(word[:-3] + "y")
        if word.endswith("ves"):
            forms += [word[:-3] + "f", word[:-3] + "fe"]
    return tuple(forms)
