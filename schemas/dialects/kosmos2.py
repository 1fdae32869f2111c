"""Kosmos-2 and the notation of its paper: two tokens a box, the cells of its corners on 32 x 32."""

from gritmill.schemas.dialects.geometry import CROP
from gritmill.schemas.dialects.markup import Markup
from gritmill.schemas.dialects.numbers import Cells

KOSMOS2 = Markup(
    name="kosmos2",
    numbers=Cells(32, width=4),
    box="<patch_index_{}><patch_index_{}>",
    phrase=("<phrase>", "</phrase>"),
    group=("<object>", "</object>"),
    between="</delimiter_of_multi_objects/>",
    prefix="<grounding>",
    vocabulary=True,
    source="transformers processing_kosmos2.py; microsoft/unilm kosmos-2",
)
"""`microsoft/kosmos-2-patch14-224` as `transformers` runs it: the whole image pulled to 224 x 224.

<grounding><phrase>It</phrase><object><patch_index_0044><patch_index_0863></object> sits next to ...
"""

KOSMOS2_PAPER = Markup(
    name="kosmos2_paper",
    numbers=Cells(32),
    box="<loc_{}><loc_{}>",
    phrase=("<p>", "</p>"),
    group=("<box>", "</box>"),
    between="<delim>",
    prefix="<grounding>",
    vocabulary=True,
    geometry=CROP,
    source="arXiv:2306.14824; training crops: microsoft/unilm kosmos-2 prepare_grit",
)
"""The paper's notation, with the picture of its training: short side resized to 224, centre crop.

<grounding><p>It</p><box><loc_44><loc_863></box> seats next to <p>a campfire</p><box><loc_4><loc_1007></box>
"""
