"""How a sample looks: what a page needs to know of it, and the styles and scripts that draw it."""

from importlib.resources import files

from gritmill.pipeline.gallery.entry import BoxView, GalleryEntry, ImageView, PhraseView, TurnView

__all__ = ["BoxView", "GalleryEntry", "ImageView", "PhraseView", "TurnView", "asset"]


def asset(name: str) -> str:
    """The text of `gallery.css` or `gallery.js`."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
