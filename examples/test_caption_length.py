from caption_length import CaptionLength

from gritmill import Reject


def test_short_captions_go() -> None:
    out = CaptionLength().process({"caption": ["dog", "a dog in a field"]})
    assert out == {"words": [Reject("too_short", 1, 3), 5]}
