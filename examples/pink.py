from gritmill import Coordinates, Markup

PINK = Markup(
    name="pink",
    numbers=Coordinates(1000, decimals=3),
    box="[{},{},{},{}]",
    between=" ",
    gap=" ",
    smallest_first=True,
    source="alipay/Ant-Multi-Modal-Framework prj/Pink/pink/datasets/FlickrEntity.py",
)
"""Three decimals; the boxes of a phrase by growing area.

a dog [0.123,0.456,0.789,0.900] in a field
"""
