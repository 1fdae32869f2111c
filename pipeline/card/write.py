"""Writes a dataset's card, its pictures and its Croissant description."""

import json
from collections.abc import Sequence

from gritmill.pipeline.card.body import body
from gritmill.pipeline.card.croissant import VERSION, croissant
from gritmill.pipeline.card.facts import Facts, gather
from gritmill.pipeline.card.front_matter import front_matter
from gritmill.pipeline.card.pictures import PICTURES, CardPicture, is_picture, make_pictures
from gritmill.pipeline.card.yours import BEGIN, EMPTY, yours_in
from gritmill.pipeline.engine.finish import fingerprint_of
from gritmill.pipeline.stats.measure import Stats, measure
from gritmill.pipeline.stats.read import finished_files, read_samples
from gritmill.pipeline.storage.store import Store
from gritmill.schemas.errors import UserError
from gritmill.schemas.licences import forbids_changes
from gritmill.schemas.recipe import Card

CARD = "README.md"
CROISSANT = "croissant.json"


def write_card(output: Store, card: Card | None = None, stats: Stats | None = None) -> None:
    """Writes `README.md`, `croissant.json` and `samples/*.jpg` into the folder of a finished dataset.

    Equal datasets give equal bytes. What the user wrote between the markers stays. `card` is the recipe's
    block of that name, if it has changed since the run; `stats` saves measuring the dataset again. Raises
    `UserError` where the dataset is not finished or damaged, or a card is there that is not ours.
    """
    finished_files(output)
    yours = yours_in(_text(output), output.url(CARD)) if output.exists(CARD) else EMPTY
    facts = gather(output, stats or measure(read_samples(output)), card)
    pictures = _pictures(output, facts)
    description = json.dumps(croissant(facts), indent=2, ensure_ascii=False) + "\n"
    _write_pictures(output, pictures)
    output.write(CROISSANT, description.encode())
    output.write(CARD, f"{front_matter(facts)}\n{body(facts, yours, pictures)}".encode())


def tells_of(output: Store, name: str) -> bool:
    """False for a card or description of ours that was written for an earlier state of the dataset.

    What somebody else wrote is taken as it is.
    """
    text = output.read(name).decode("utf-8", "replace")
    is_ours = (BEGIN if name == CARD else VERSION) in text
    return not is_ours or fingerprint_of(output) in text


def _pictures(output: Store, facts: Facts) -> list[CardPicture]:
    """None where the licence of the whole forbids what is derived from it, as a picture with boxes is."""
    if forbids_changes(facts.card.license):
        return []
    return make_pictures(output, (name for name in facts.files if name.endswith(".tar")), facts.card.pictures)


def _write_pictures(output: Store, pictures: Sequence[CardPicture]) -> None:
    for picture in pictures:
        output.write(picture.path, picture.jpeg)
    written = {picture.path for picture in pictures}
    for name in output.names(PICTURES):
        path = f"{PICTURES}/{name}"
        if is_picture(path) and path not in written:
            output.remove(path)


def _text(output: Store) -> str:
    try:
        return output.read(CARD).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{output.url(CARD)} is no text in UTF-8: {error}. Save it as UTF-8.") from error
