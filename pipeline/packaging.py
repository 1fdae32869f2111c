"""Checks that the generic names of our packages are really ours.

`pipeline`, `stages`, `recipes` and the like are names that other distributions have installed too;
run with one of theirs, errors would be odd. Also true on a remote Ray node with an older copy.
"""

import functools
import importlib.util
from pathlib import Path

from schemas.errors import UserError

PACKAGES = ("pipeline", "stages", "prompts", "schemas", "trainer")


@functools.cache
def check_import_names() -> None:
    """Raises `UserError` if a package of ours is shadowed by something else of its name."""
    home = Path(__file__).parent.parent
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).parent.parent if spec and spec.origin else None
        if origin != home:
            raise UserError(
                f"the import name {name!r} leads to {origin or 'nothing'} and not to gritmill in {home}. "
                "Uninstall the other package, or run in an environment of its own."
            )
