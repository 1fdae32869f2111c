"""What keeps a dataset from being pushed, unless the user insists."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml

from gritmill.pipeline.card import CARD, CROISSANT, tells_of
from gritmill.pipeline.engine.recipes import texts_in
from gritmill.pipeline.engine.run_files import RunFiles
from gritmill.pipeline.push.files import LocalFile
from gritmill.pipeline.storage.store import Store
from gritmill.pipeline.verify import verify
from gritmill.schemas.errors import UserError
from gritmill.schemas.licences import forbids_changes
from gritmill.schemas.public import is_private

Say = Callable[[str], None]
_UNKNOWN = {"unknown", "other"}


def check(
    output: Store, job: RunFiles, files: Sequence[LocalFile], private: bool, force: bool, say: Say
) -> None:
    """Raises `UserError` for the first objection, cheap ones first; with `force` says them as warnings."""
    for objection, remedy in _objections(output, job, files, private, say):
        if not force:
            raise UserError(f"{objection}; {remedy}")
        say(f"warning: {objection}")


def _objections(
    output: Store, job: RunFiles, files: Sequence[LocalFile], private: bool, say: Say
) -> Iterator[tuple[str, str]]:
    yield from _licence(output, private, say)
    yield from _card(output)
    yield from _places(output, job, files)
    yield from _content(output)


def _licence(output: Store, private: bool, say: Say) -> Iterator[tuple[str, str]]:
    """Nobody may publish what a licence lets nobody publish, which is what the card says of it."""
    if not output.exists(CARD):
        say(f"warning: {output.root} has no card ({CARD}), so that nobody will know what this is")
        return
    licences = licences_in(output.read(CARD).decode("utf-8", "replace"))
    if not licences or set(licences) & _UNKNOWN:
        say(f"warning: {CARD} names no known licence; make sure that the captions and images may be shared")
    forbidding = next(filter(forbids_changes, licences), None)
    if forbidding and not private:
        yield (
            f"the licence {forbidding} forbids sharing what is derived from a work, as this is",
            "push with --private, or with --force if you hold the rights",
        )


def licences_in(card: str) -> list[str]:
    """The licences in a card's front matter, as the hub calls them; none if it has none.

    >>> licences_in("---\\nlicense: cc-by-4.0\\n---\\n# Boxes")
    ['cc-by-4.0']
    """
    front = re.match(r"---\s*\n(.*?\n)---\s*(\n|$)", card, re.DOTALL)
    try:
        fields = yaml.safe_load(front[1]) if front else None
    except yaml.YAMLError:
        return []
    found = fields.get("license") if isinstance(fields, dict) else None
    return [name for name in (found if isinstance(found, list) else [found]) if isinstance(name, str)]


def _card(output: Store) -> Iterator[tuple[str, str]]:
    """Numbers and checksums of an earlier state would be published as those of this one."""
    for name in (CARD, CROISSANT):
        if output.exists(name) and not tells_of(output, name):
            yield f"{name} tells of another state of the dataset", "write it anew with `pipeline card`"


def _places(output: Store, job: RunFiles, files: Sequence[LocalFile]) -> Iterator[tuple[str, str]]:
    """Neither the user's folders nor, with them, the user's name. Records and the recipe are shortened as
    they are written; this is for what somebody wrote by hand, and for what we overlooked."""
    places = {text.rstrip("/") for text in texts_in(job.data) if is_private(text)} | {str(Path.home())}
    wanted = [place for place in places if len(place) > len("/x")]
    if not wanted:
        return
    pattern = re.compile(b"|".join(rb"%s(?![\w-])" % re.escape(place).encode() for place in sorted(wanted)))
    for file in files:
        if file.sha256 is None and (found := pattern.search(file.read(output))):
            yield (
                f"{file.path} names a folder of this machine, {found[0].decode()}",
                "write it anew or mend it by hand, or push with --force",
            )


def _content(output: Store) -> Iterator[tuple[str, str]]:
    report = verify([output.root])
    if not report.ok:
        yield (
            f"`pipeline verify {output.root}` finds {report.errors:,} errors",
            "mend them, or push with --force",
        )
