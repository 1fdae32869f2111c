from gritmill import Columns, Reject, Stage


class CaptionLength(Stage):
    """Drops captions of fewer than `min_words` words.

    "dog" -> Reject("too_short", 1, 3)
    """

    reads = ("caption",)
    writes = {"words": int}

    min_words: int = 3
    """Fewest words that a caption may have."""

    def process(self, batch: Columns) -> Columns:
        counts = [len(caption.split()) for caption in batch["caption"]]
        return {
            "words": [n if n >= self.min_words else Reject("too_short", n, self.min_words) for n in counts]
        }
