"""The command line: `pipeline run recipes/grit.yaml` and what one wants to know around it."""

import json
import logging
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from schemas.errors import UserError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Images with captions in, grounded vision-language training data out.\n\n"
    "Start with `pipeline run quickstart`, then look into recipes/grit.yaml.",
)
console = Console(highlight=False, markup=False)
"""For tables; lines of text are echoed, so that no path in them is wrapped or taken for markup."""


class Next(StrEnum):
    """What may follow a run."""

    train = "train"
    eval = "eval"


class Engine(StrEnum):
    """What starts the processes of a training."""

    torch = "torch"
    ray = "ray"


class RunnerName(StrEnum):
    """Where tasks run."""

    ray = "ray"
    local = "local"


RecipeArgument = Annotated[
    str,
    typer.Argument(help="A recipe file, one that comes along (such as `grit`), or the folder of a run."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="A.B=C", help="Override an option: `source.images=DIR`, `stages.ground.floor=0.1`."
    ),
]
WorkOption = Annotated[
    str | None,
    typer.Option(help="Folder or URL of the results of the stages.  [default: the output folder + .work]"),
]
LimitOption = Annotated[
    int | None,
    typer.Option(min=1, help="Take only this many samples, from the start."),
]


@app.command()
def run(
    recipe: RecipeArgument,
    set_: SetOption = None,
    runner: Annotated[
        RunnerName, typer.Option(help="`ray` uses all cores or a cluster; `local` stays in this process.")
    ] = RunnerName.ray,
    address: Annotated[
        str | None,
        typer.Option(help="A Ray cluster, such as `auto` or `host:6379`.  [default: RAY_ADDRESS]"),
    ] = None,
    work: WorkOption = None,
    limit: LimitOption = None,
    then: Annotated[
        str | None, typer.Option(metavar="train,eval", help="What to do with the dataset: train, then eval.")
    ] = None,
) -> None:
    """Make the dataset; what is there already is not made again."""
    following = _following(then)
    from pipeline.funnel import funnel_table
    from pipeline.progress import Progress
    from pipeline.recipes import load_recipe
    from pipeline.run import run as run_job
    from pipeline.run import work_directory
    from pipeline.runners.base import Runner
    from pipeline.store import Store

    job = load_recipe(recipe, set_ or [])
    folder = work_directory(job, work)
    chosen: Runner
    if runner is RunnerName.ray:
        _need("ray", "ray", "or use --runner local")
        from pipeline.runners.ray import RayRunner

        chosen = RayRunner(address)
    else:
        from pipeline.runners.local import LocalRunner

        chosen = LocalRunner()
    try:
        done = run_job(job, Store(folder), chosen, Progress(), limit)
    except KeyboardInterrupt:
        typer.echo(
            f"\nStopped. What is finished is kept in {folder}; the same command goes on from there.", err=True
        )
        raise typer.Exit(130) from None
    console.print(funnel_table(done.totals))
    samples = done.totals["write"].rows_out
    typer.echo(f"\n{samples:,} samples in {len(done.shards):,} shards: {job.output.dir}")
    typer.echo(f"report: {done.report}")
    typer.echo(f"one sample's story: pipeline why KEY {folder}")
    if Next.train in following:
        typer.echo()
        _train(job, Engine.torch)
    if Next.eval in following:
        typer.echo()
        _evaluate(job)


@app.command()
def train(
    recipe: RecipeArgument,
    set_: SetOption = None,
    engine: Annotated[
        Engine,
        typer.Option(
            help="`torch` trains in this process, or in those of `torchrun -m pipeline.cli train ...`; "
            "`ray` on a cluster."
        ),
    ] = Engine.torch,
    address: Annotated[
        str | None, typer.Option(help="The Ray cluster of `--engine ray`.  [default: RAY_ADDRESS]")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes of `--engine ray`.  [default: one for each GPU]"),
    ] = None,
) -> None:
    """Train the recipe's model on its dataset; interrupted, it goes on where it was."""
    from pipeline.recipes import load_recipe

    _train(load_recipe(recipe, set_ or []), engine, address, workers)


@app.command(name="eval")
def evaluate(recipe: RecipeArgument, set_: SetOption = None) -> None:
    """Score the trained model, or any other (`--set eval.model=ID`), on held-out and public sets."""
    from pipeline.recipes import load_recipe

    _evaluate(load_recipe(recipe, set_ or []))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A finished run: its recipe or one of its folders.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
) -> None:
    """Set two finished runs side by side: recipes, funnels, scores; nothing is run."""
    from pipeline.compare import finished_run, funnel_comparison, recipe_table
    from pipeline.training import score_comparison

    first, second = finished_run(a), finished_run(b)
    typer.echo(f"A  {first.job.name}: {first.job.output.dir}")
    typer.echo(f"B  {second.job.name}: {second.job.output.dir}\n")
    for table in (recipe_table(first, second), funnel_comparison(first, second)):
        console.print(table)
        typer.echo()
    console.print(score_comparison(first.job, second.job))


@app.command()
def plan(
    recipe: RecipeArgument, set_: SetOption = None, work: WorkOption = None, limit: LimitOption = None
) -> None:
    """Show parts, stages, what is done and what would run, and what calls of a language model will cost."""
    the_plan, store = _planned(recipe, set_, work, limit)
    from pipeline.estimates import cost_table, estimate_cost
    from pipeline.status import status as look

    hints = [unit.spec.get("rows") for unit in the_plan.parts]
    known = sum(h for h in hints if isinstance(h, int))
    rows = f", at least {known:,} samples" if known else ""
    typer.echo(f"{the_plan.job.name}: {len(the_plan.parts):,} parts{rows}, work in {store.root}")
    steps = look(the_plan, store)
    fingerprints = {step.name: step.fingerprint for step in the_plan.steps}
    table = Table(box=None, pad_edge=False)
    for name in ("step", "fingerprint", "done", "to do", "cpus", "gpus"):
        table.add_column(name, justify="left" if name in ("step", "fingerprint") else "right", no_wrap=True)
    for step in steps:
        todo = "after sharding" if step.units is None else f"{step.units - step.done:,}"
        gpus = "if any" if step.resources.gpus < 0 else f"{step.resources.gpus:g}"
        cpus = f"{step.resources.cpus:g}"
        table.add_row(step.name, fingerprints[step.name][:8], f"{step.done:,}", todo, cpus, gpus)
    console.print(table)
    typer.echo()
    for step in steps:
        if step.versions:
            versions = ", ".join(f"{k} {v}" for k, v in step.versions.items())
            typer.echo(f"{step.name}: {versions}")
    if cost := estimate_cost(the_plan):
        typer.echo()
        console.print(cost_table(cost))


@app.command()
def status(
    recipe: RecipeArgument, set_: SetOption = None, work: WorkOption = None, limit: LimitOption = None
) -> None:
    """Show how far a run is, and its funnel so far."""
    the_plan, store = _planned(recipe, set_, work, limit)
    from pipeline.funnel import funnel_table
    from pipeline.status import status as look

    steps = look(the_plan, store)
    for step in steps:
        units = "?" if step.units is None else f"{step.units:,}"
        typer.echo(f"{step.name:<24} {step.done:>9,} of {units} done, {step.total.seconds:,.0f} s of work")
    typer.echo()
    console.print(funnel_table({step.name: step.total for step in steps}))


@app.command()
def retry(
    recipe: RecipeArgument,
    reason: Annotated[
        list[str] | None,
        typer.Option(help="Rejects to try again, besides rows that failed.  [default: server_error]"),
    ] = None,
    set_: SetOption = None,
    work: WorkOption = None,
    limit: LimitOption = None,
) -> None:
    """Forget failures that may have passed, such as a server that was down; the next run tries again."""
    the_plan, store = _planned(recipe, set_, work, limit)
    from pipeline.lock import locked
    from pipeline.retry import PASSING, forget

    with locked(store):
        forgotten = forget(the_plan, store, reason or PASSING)
    for step in forgotten:
        typer.echo(f"{step.step}: {step.rows:,} rows in {step.parts:,} parts will be tried again")
    typer.echo(f"now: pipeline run {recipe}" if forgotten else "nothing failed for such a reason")


@app.command()
def why(
    key: Annotated[str, typer.Argument(help="Key of a sample, or id of an image.")],
    recipe: RecipeArgument,
    set_: SetOption = None,
    work: WorkOption = None,
    limit: LimitOption = None,
) -> None:
    """Tell a sample's whole story: what each stage found, why it was kept or dropped."""
    the_plan, store = _planned(recipe, set_, work, limit)
    from pipeline.why import tell
    from pipeline.why_text import story_lines

    for story in tell(the_plan, store, key):
        for line in story_lines(story):
            typer.echo(line)


@app.command()
def stages(
    name: Annotated[str | None, typer.Argument(help="Only this stage.")] = None,
) -> None:
    """List every stage and source with its options and their defaults."""
    from pipeline.sources.registry import all_sources
    from stages.registry import all_stages

    shown = 0
    if name is None:
        console.print(
            "Every stage also takes batch_size (rows in one call), cpus and gpus (what a worker of it holds; "
            "gpus: null takes one if there is any). They change nothing in the result.\n"
        )
    for heading, classes in (("STAGES", all_stages()), ("SOURCES", all_sources())):
        listed = {k: v for k, v in classes.items() if name is None or k.split(" ")[0] == name}
        if listed and name is None:
            typer.secho(f"{heading}\n", bold=True)
        for title, cls in listed.items():
            shown += 1
            _print_options(title, cls)
    if not shown:
        raise UserError(f"there is no stage or source {name!r}; `pipeline stages` lists them")


@app.command()
def verify(
    shards: Annotated[list[str], typer.Argument(help="Tars, globs, URLs, or the folder of a dataset.")],
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Shards checked at a time.  [default: one for each core]"),
    ] = None,
) -> None:
    """Check any webdataset: images, members, spans, boxes, checksums."""
    from pipeline.verify import render
    from pipeline.verify import verify as check

    report = check(shards, jobs=jobs)
    typer.echo(render(report))
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def stats(
    dataset: Annotated[str, typer.Argument(help="The folder or URL of a finished dataset.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Count images, phrases and boxes of a dataset, beside the published figures of GRIT and others."""
    from pipeline.stats import dataset_stats, stats_table

    found = dataset_stats(dataset)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1, ensure_ascii=False))
    else:
        console.print(stats_table(found))


@app.command()
def card(recipe: RecipeArgument, set_: SetOption = None) -> None:
    """Write the dataset's card (README.md) and its Croissant description; your own text in it stays."""
    from pipeline.card import CARD, CROISSANT, write_card
    from pipeline.recipes import load_recipe
    from pipeline.store import Store
    from schemas.recipe import Card

    job = load_recipe(recipe, set_ or [])
    output = Store(job.output.dir)
    write_card(output, Card.model_validate(job.data.get("card") or {}))
    typer.echo(f"{output.url(CARD)}\n{output.url(CROISSANT)}")


@app.command()
def push(
    recipe: RecipeArgument,
    repo: Annotated[str, typer.Option(help="Where to on the Hugging Face Hub: `user/name`.")],
    private: Annotated[bool, typer.Option("--private", help="For nobody else to see.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Even if `verify` finds errors, or the licence or the place is wrong."),
    ] = False,
    set_: SetOption = None,
) -> None:
    """Upload the dataset to the Hub: what has changed, tagged with the run's digest; goes on after a cut."""
    from pipeline.push import push as upload
    from pipeline.recipes import load_recipe

    _need("huggingface_hub", "hub", "which speaks to the Hub")
    done = upload(load_recipe(recipe, set_ or []), repo, private, dry_run, force, typer.echo)
    typer.echo(f"{done.url} ({done.tag})")


@app.command()
def doctor() -> None:
    """Say what is installed here and what is missing for which part."""
    from pipeline.doctor import examine

    for finding in examine():
        mark = typer.style("ok", fg="green") if finding.ok else typer.style("--", fg="yellow")
        typer.echo(f"{mark}  {finding.subject:<18} {finding.text}")


@app.command()
def dialects() -> None:
    """List how models spell boxes, and how much of a box each spelling keeps."""
    from pipeline.dialect_table import dialect_table

    console.print(dialect_table())


def main() -> None:
    """Entry point: the user's mistakes are one sentence and status 2, ours a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        app()
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)


def _following(then: str | None) -> set[Next]:
    names = [name.strip() for name in then.split(",")] if then else []
    if unknown := [name for name in names if name not in set(Next)]:
        raise UserError(f"--then {then}: {unknown[0]!r} cannot follow a run; write --then train,eval")
    return {Next(name) for name in names}


def _train(job: Any, engine: Engine, address: str | None = None, workers: int | None = None) -> None:
    from pipeline.progress import training_line
    from pipeline.training import train as fit
    from pipeline.training import train_on_ray

    try:
        if engine is Engine.ray:
            _need("ray", "ray", "or use --engine torch")
            trained = train_on_ray(job, address, workers)
        else:
            trained = fit(job, lambda line: typer.echo(training_line(line)))
    except KeyboardInterrupt:
        typer.echo("\nStopped. The same command goes on from the last checkpoint.", err=True)
        raise typer.Exit(130) from None
    if os.environ.get("RANK", "0") != "0":
        return
    typer.echo(f"{trained.steps:,} steps, {trained.samples:,} samples: {trained.model_dir}")
    if trained.left_out:
        typer.echo(trained.left_out)
    typer.echo(f"log: {trained.log}")


def _evaluate(job: Any) -> None:
    from pipeline.training import eval_directory
    from pipeline.training import evaluate as score

    def say(name: str, done: int, of: int) -> None:
        if sys.stderr.isatty():
            typer.echo(f"\r{name}: {done:,} of {of:,} questions", err=True, nl=done == of)

    report = score(job, say)
    from trainer.score_table import score_table

    console.print(score_table(report))
    typer.echo(f"\nmetrics and every answer: {eval_directory(job)}")


def _planned(recipe: str, overrides: Sequence[str] | None, work: str | None, limit: int | None) -> Any:
    from pipeline.plan import Parts, make_plan
    from pipeline.recipes import load_recipe
    from pipeline.run import limited, work_directory
    from pipeline.store import Store

    job = load_recipe(recipe, overrides or [])
    return make_plan(job, Parts.of(limited(job, limit))), Store(work_directory(job, work))


def _need(package: str, extra: str, otherwise: str) -> None:
    import importlib.util

    if importlib.util.find_spec(package) is None:
        raise UserError(f"{package} is not installed: pip install 'gritmill[{extra}]', {otherwise}")


def _print_options(title: str, cls: Any) -> None:
    from stages.base import Stage

    summary = (cls.__doc__ or "").strip().split("\n\n")[0]
    typer.echo(f"{typer.style(title, bold=True)}  {' '.join(summary.split())}")
    if getattr(cls, "reads", None):
        typer.echo(f"    reads {', '.join(cls.reads)}; writes {', '.join(cls.writes)}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for column in ("option", "default", "meaning"):
        table.add_column(column, overflow="fold", no_wrap=column == "option")
    for option, info in cls.model_fields.items():
        if option not in Stage.inert:
            meaning = " ".join((info.description or "").split())
            table.add_row(f"    {option}", _default(info), meaning)
    if table.rows:
        console.print(table)
    placed = [
        f"{name} {_default(cls.model_fields[name])}" for name in sorted(Stage.inert & set(cls.model_fields))
    ]
    if placed:
        typer.echo(f"    runs with {', '.join(placed)}")
    typer.echo()


def _default(info: Any) -> str:
    if info.is_required():
        return "required"
    return json.dumps(info.get_default(call_default_factory=True), default=str)


if __name__ == "__main__":
    main()
