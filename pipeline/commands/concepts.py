"""`pipeline concepts`: noun phrases before and after a concept balance."""

from pipeline.commands.common import LimitOption, RecipeArgument, SetOption, WorkOption, planned
from pipeline.terminal import console


def concepts(
    recipe: RecipeArgument, set_: SetOption = None, work: WorkOption = None, limit: LimitOption = None
) -> None:
    """Count the noun phrases of a run before and after its concept_balance."""
    the_plan, store = planned(recipe, set_, work, limit)
    from pipeline.concepts import concepts_table, count_phrases, how_it_balances

    phrases = count_phrases(the_plan, store)
    console.print(concepts_table(phrases))
    console.print(how_it_balances(phrases.balance), highlight=False)
