"""`pipeline card`: the dataset's card."""

from gritmill.pipeline.commands.common import RecipeArgument, SetOption
from gritmill.pipeline.engine.terminal import echo


def card(recipe: RecipeArgument, set_: SetOption = None) -> None:
    """Write the dataset's card (README.md), its pictures, its Croissant description; your text stays."""
    from gritmill.pipeline.card import CARD, CROISSANT, write_card
    from gritmill.pipeline.engine.recipes import find_run_files
    from gritmill.pipeline.storage.store import Store
    from gritmill.schemas.recipe import Card

    job = find_run_files(recipe, set_ or [])
    output = Store(job.output.dir)
    write_card(output, Card.model_validate(job.data.get("card") or {}))
    echo(output.url(CARD))
    echo(output.url(CROISSANT))
