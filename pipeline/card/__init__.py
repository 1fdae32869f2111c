"""A finished dataset's card, as the Hub shows it, and its description in Croissant.

write_card(Store("out/grit"))   # README.md, samples/*.jpg and croissant.json, beside the shards
"""

from gritmill.pipeline.card.pictures import PICTURES, is_picture
from gritmill.pipeline.card.write import CARD, CROISSANT, tells_of, write_card

__all__ = ["CARD", "CROISSANT", "PICTURES", "is_picture", "tells_of", "write_card"]
