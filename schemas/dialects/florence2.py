"""Florence-2: four of 1,000 location tokens behind each phrase."""

from gritmill.schemas.dialects.markup import Markup
from gritmill.schemas.dialects.numbers import Coordinates

FLORENCE2 = Markup(
    name="florence2",
    numbers=Coordinates(1000, last=999, floor=True, middle=True),
    box="<loc_{}><loc_{}><loc_{}><loc_{}>",
    phrases_only=True,
    vocabulary=True,
    source="transformers processing_florence2.py (Florence2PostProcessor)",
)
"""Answers to <CAPTION_TO_PHRASE_GROUNDING> and <OD>: the phrases only, one behind the other.

a green car<loc_52><loc_332><loc_932><loc_774>a building<loc_0><loc_10><loc_998><loc_700>
"""
