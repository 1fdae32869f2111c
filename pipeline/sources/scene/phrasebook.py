"""The words and sentence patterns that captions of scenes are made of; `captions.py` says how.

In a pattern, x, y, z, w and v are referents and `{...}` is a slot, named after a method of `_Speaker`.
"""

PREPOSITIONS = {
    "left": ("to the left of", "on the left of"),
    "right": ("to the right of", "on the right of"),
    "above": ("above", "above", "over"),
    "below": ("below", "under", "beneath", "underneath"),
    "beside": ("next to", "beside"),
    "near": ("near", "close to"),
    "front": ("in front of", "in front of", "overlapping"),
    "behind": ("behind", "behind", "partly hidden by", "partly covered by"),
    "inside": ("inside", "within"),
    "around": ("around", "surrounding"),
}
TELLING = ("front", "behind", "inside", "around")
"""Where one of these holds, nobody says "above" or "near" instead."""
COMPARISONS = {"smaller": ("smaller than",), "larger": ("larger than", "bigger than")}
SIZE_WORDS = {
    "small": ("small", "small", "small", "little"),
    "medium": ("medium-sized",),
    "large": ("large", "large", "big"),
}
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")
BACKGROUNDS = {
    "plain": ("on a {tone} background", "on a plain {tone} background", "against a {tone} background"),
    "gradient": ("on a {tone} background", "against a {tone} gradient"),
    "stripes": ("on a striped background", "on a {tone} background with stripes", "on {tone} stripes"),
    "checker": ("on a checkered background", "on a {tone} checkerboard"),
    "speckles": ("on a speckled background", "on a grainy {tone} background"),
    "meadow": ("in front of grass and sky", "in a green meadow", "against a blue sky and green grass"),
}
PICTURES = ("a picture of", "an image of", "a drawing of", "an illustration of")

# The k-th entry holds the templates about k referents.
FRAGMENTS: tuple[tuple[str, ...], ...] = (
    (),
    ("{a x}{tail}",),
    (
        "{a x} and {a y}{tail}",
        "{picture} {a x} and {a y}{tail}",
        "{a x} {rel x y} {a y}",
        "{a x} {rel x y} {a y}{tail}",
        "{a x} {rel x y} {the y}",
        "{the x} {rel x y} {a y}",
        "{a x} that {is x} {than x y} {the y}",
        "{a x} which {is x} {rel x y} {the y}",
        "{a x} with {a y} {rel y x} {it x}",
    ),
    (
        "{a x}, {a y} and {a z}{tail}",
        "{picture} {a x}, {a y} and {a z}",
        "{a x} {rel x y} {a y} {rel y z} {a z}",
        "{a x} {rel x y} {a y}, and {a z} {rel z y} {it y}",
        "{?between x y z}{the x} between {the y} and {the z}",
        "{a x} and {a y} {rel x+y z} {a z}",
    ),
    ("{a x}, {a y}, {a z} and {a w}{tail}",),
    ("{a x}, {a y}, {a z}, {a w} and {a v}",),
)
SENTENCES: tuple[tuple[str, ...], ...] = (
    (),
    (
        "there {is x} {a x}{tail}",
        "there {is x} {a x} {place x}",
        "{the x} {is x} {place x}",
        "{uncoloured x} {is x} {colour x}",
        "you can see {a x} {place x}",
        "this is {picture} {a x}{tail}",
    ),
    (
        "there {is x} {a x} and {a y}{tail}",
        "there {is x} {a x} {rel x y} {the y}",
        "there {is x} {a x} {rel x y} {a y}{tail}",
        "{the x} {is x} {rel x y} {the y}",
        "{the x} {is x} {rel x y} {the y}",
        "{a x} {is x} {rel x y} {a y}{tail}",
        "{the x} {is x} {than x y} {the y}",
        "{rel x y} {the y} {is x} {a x}",
        "{rel x y} {the y}, there {is x} {a x}",
        "{uncoloured x} {rel x y} {the y} {is x} {colour x}",
        "{uncoloured x} {is x} {colour x} and {uncoloured y} {is y} {colour y}",
        "{a x} {is x} {place x} and {a y} {is y} {place y}",
        "{?twins x y}{bare x} on the left is {colour x}, but {bare y} on the right is {colour y}",
        "{?twins x y}{bare x} on the left is {than x y} {bare y} on the right",
        "{?twins x y}{bare x} on the left and {bare y} on the right",
    ),
    (
        "there {is x} {a x}, {a y} and {a z}{tail}",
        "{the x} {is x} {rel x y} {the y}, which {is y} {rel y z} {a z}",
        "{the x}, which {is x} {than x y} {the y}, {is x} {rel x z} {the z}",
        "{a x} {is x} {rel x y} {a y}, while {a z} {is z} {rel z y} {it y}",
        "{the x} and {the y} are {rel x+y z} {the z}",
        "{?between x y z}{the x} {is x} between {the y} and {the z}",
        "{rel x y} {the y}, there {is x} {a x} {rel x z} {a z}",
    ),
    ("there {is x} {a x}, {a y}, {a z} and {a w}{tail}",),
    ("there {is x} {a x}, {a y}, {a z}, {a w} and {a v}{tail}",),
)
