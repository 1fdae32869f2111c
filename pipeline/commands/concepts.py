"""`pipeline concepts`: noun phrases before and after a concept balance."""

from pipeline.commands.common import LimitOption, RecipeArgument, SetOption, WorkOption, console, planned


def concepts(
    recipe: RecipeArgument, set_: SetOption = None, work: WorkOption = None, limit: LimitOption = None
) -> None:
    """Count the noun phrases of a run before and after its concept_balance."""
    the_plan, store = planned(recipe, set_, work, limit)
    from pipeline.concepts import concepts_table, count_phrases

    console.print(concepts_table(count_phrases(the_plan, store)))
