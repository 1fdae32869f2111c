"""PaliGemma 1 and 2: four of 1,024 location tokens before each label, y first."""

from gritmill.schemas.dialects.lists import Listing
from gritmill.schemas.dialects.numbers import Coordinates

PALIGEMMA = Listing(
    name="paligemma",
    numbers=Coordinates(1023, y_first=True, width=4),
    box="<loc{}><loc{}><loc{}><loc{}>",
    entry="{box} {label}",
    separator=" ; ",
    vocabulary=True,
    source="google-research/big_vision pp/proj/paligemma/segmentation.py (refcoco_mask2str)",
)
"""Answers to `detect a dog ; a cat`: y1, x1, y2, x2 times 1,023, to the nearest.

<loc0211><loc0450><loc0255><loc0604> a dog ; <loc0001><loc0002><loc0100><loc0400> a cat
"""
