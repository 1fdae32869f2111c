"""Writes a dataset's card and its Croissant description."""

import json

from pipeline.card.body import body
from pipeline.card.croissant import croissant
from pipeline.card.facts import gather
from pipeline.card.front_matter import front_matter
from pipeline.card.yours import EMPTY, yours_in
from pipeline.stats.measure import Stats, measure
from pipeline.stats.read import finished_files, read_samples
from pipeline.store import Store
from schemas.errors import UserError
from schemas.recipe import Card

CARD = "README.md"
CROISSANT = "croissant.json"


def write_card(output: Store, card: Card | None = None, stats: Stats | None = None) -> None:
    """Writes `README.md` and `croissant.json` into the folder of a finished dataset.

    Equal datasets give equal bytes. What the user wrote between the markers stays. `card` is the recipe's
    block of that name, if it has changed since the run; `stats` saves measuring the dataset again. Raises
    `UserError` where the dataset is not finished or damaged, or a card is there that is not ours.
    """
    finished_files(output)
    yours = yours_in(_text(output), output.url(CARD)) if output.exists(CARD) else EMPTY
    facts = gather(output, stats or measure(read_samples(output)), card)
    description = json.dumps(croissant(facts), indent=2, ensure_ascii=False) + "\n"
    output.write(CROISSANT, description.encode())
    output.write(CARD, f"{front_matter(facts)}\n{body(facts, yours)}".encode())


def _text(output: Store) -> str:
    try:
        return output.read(CARD).decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{output.url(CARD)} is no text in UTF-8: {error}. Save it as UTF-8.") from error
