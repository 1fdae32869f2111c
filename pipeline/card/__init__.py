"""A finished dataset's card, as the Hub shows it, and its description in Croissant.

write_card(Store("out/grit"))   # README.md and croissant.json, beside the shards
"""

from pipeline.card.write import CARD, CROISSANT, write_card

__all__ = ["CARD", "CROISSANT", "write_card"]
