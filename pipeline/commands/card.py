"""`pipeline card`: the dataset's card."""

from pipeline.commands.common import RecipeArgument, SetOption
from pipeline.terminal import echo


def card(recipe: RecipeArgument, set_: SetOption = None) -> None:
    """Write the dataset's card (README.md), its pictures, its Croissant description; your text stays."""
    from pipeline.card import CARD, CROISSANT, write_card
    from pipeline.recipes import find_run_files
    from pipeline.store import Store
    from schemas.recipe import Card

    job = find_run_files(recipe, set_ or [])
    output = Store(job.output.dir)
    write_card(output, Card.model_validate(job.data.get("card") or {}))
    echo(output.url(CARD))
    echo(output.url(CROISSANT))
