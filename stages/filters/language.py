"""Drops captions that are not in a language that is asked for."""

import functools
import importlib.metadata
from typing import Any, NamedTuple

from pydantic import Field

from gritmill.schemas.columns import Columns
from gritmill.schemas.errors import UserError
from gritmill.stages.filters.base import AtLeast, Filter, OneOf

MIN_BYTES = 20
"""Of a text's UTF-8, below which a guess is worth nothing ("a dog" is Croatian to py3langid): some four
words of English, seven letters of Japanese."""
MAX_CHARACTERS = 2000
"""Of a text that are looked at; more make no guess better."""


class Guess(NamedTuple):
    """A language by its ISO 639-1 code, and how sure the detector is, 0..1."""

    language: str
    confidence: float


class Language(Filter):
    """Caption -> its language and how sure that is.

    "A woman walking with her dog." -> "en", 0.99
    "Eine Frau geht mit ihrem Hund." -> Reject("language", "de", ["en"])
    "a dog" -> None, None: too short to tell, and kept

    py3langid's naive Bayes over byte n-grams, 97 languages; its weights come with the package.
    """

    reads = ("caption",)
    writes = {"language": str, "language_confidence": float}
    packages = {"py3langid": "nlp"}
    bounds = (
        OneOf("language", "languages", "language"),
        AtLeast("language_confidence", "min_confidence", "language_unsure"),
    )

    batch_size: int = Field(default=4096, ge=1)
    languages: list[str] | None = Field(default=["en"], min_length=1)
    """Languages that captions may be in, as ISO 639-1 codes; null for any."""
    min_confidence: float | None = Field(default=None, ge=0, le=1)
    """How sure the detector must be of whatever language it says; null for any. Of ten words of plain
    English it is so by 0.8 and more, seldom by less than 0.5."""

    def setup(self) -> None:
        known = identifier().labels
        for code in self.languages or []:
            if code not in known:
                raise UserError(f"language {code!r} is not known; use an ISO 639-1 code, such as de")

    def revision(self) -> dict[str, str]:
        try:
            return {"py3langid": importlib.metadata.version("py3langid")}
        except importlib.metadata.PackageNotFoundError:  # `packages` says so
            return {}

    def measure(self, batch: Columns) -> Columns:
        guesses = [guess(caption or "") for caption in batch["caption"]]
        return {
            "language": [one and one.language for one in guesses],
            "language_confidence": [one and one.confidence for one in guesses],
        }


def guess(text: str) -> Guess | None:
    """The language of a text; None for one that is too short to tell.

    >>> guess("A woman walking with her dog in the snow.").language
    'en'
    """
    shown = text[:MAX_CHARACTERS].encode("utf-8", "replace")
    if len(shown) < MIN_BYTES:
        return None
    language, confidence = identifier().classify(shown)
    return Guess(language, round(confidence, 4))


@functools.cache
def identifier() -> Any:
    """py3langid's detector, loaded once (a second or so), which says how sure it is."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
