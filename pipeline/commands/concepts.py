"""`pipeline concepts`: noun phrases before and after a concept balance."""

from gritmill.pipeline.commands.common import RecipeArgument, SetOption, WorkOption, last_run_of
from gritmill.pipeline.engine.terminal import console


def concepts(recipe: RecipeArgument, set_: SetOption = None, work: WorkOption = None) -> None:
    """Count the noun phrases of a run before and after its concept_balance."""
    the_plan, store = last_run_of(recipe, set_, work)
    from gritmill.pipeline.inspect.concepts import concepts_table, count_phrases, how_it_balances

    phrases = count_phrases(the_plan, store)
    console.print(concepts_table(phrases))
    console.print(how_it_balances(phrases.balance), highlight=False)
