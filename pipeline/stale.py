"""Pages beside a dataset that tell of an earlier state of it."""

from collections.abc import Iterator

from gritmill.pipeline.card import CARD, CROISSANT, PICTURES, is_picture, tells_of
from gritmill.pipeline.card.yours import EMPTY, yours_in
from gritmill.pipeline.report import write
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError


def drop_stale_pages(output: Store) -> Iterator[str]:
    """Removes card, description and report of a state that is no more, and says so, a line each.

    A card in which the user wrote something stays. `pipeline card` and `pipeline report` make them anew.
    """
    stale = [name for name in (CARD, CROISSANT) if output.exists(name) and not tells_of(output, name)]
    for name in stale:
        if name == CARD and _has_words_of_the_user(output):
            kept = "writes it anew and keeps your text"
            yield f"{output.url(name)} tells of an earlier state; `pipeline card` {kept}"
        else:
            output.remove(name)
            yield f"removed {output.url(name)}, of an earlier state; `pipeline card` writes it anew"
    for name in output.names(PICTURES) if stale and not output.exists(CARD) else []:
        if is_picture(f"{PICTURES}/{name}"):
            output.remove(f"{PICTURES}/{name}")
    if output.exists(write.NAME) and not write.tells_of(output):
        output.remove(write.NAME)
        yield f"removed {output.url(write.NAME)}, of an earlier state; `pipeline report` writes it anew"


def _has_words_of_the_user(output: Store) -> bool:
    try:
        return yours_in(output.read(CARD).decode("utf-8", "replace"), CARD) != EMPTY
    except UserError:
        return True
