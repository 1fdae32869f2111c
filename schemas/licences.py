"""What the name of a licence says, in whichever of its spellings a source has it."""

import re

_NO_CHANGES = re.compile(r"(?i)(^|[^a-z])nd([^a-z]|$)|no[ -]?deriv")
_NON_COMMERCIAL = re.compile(r"(?i)(^|[^a-z])nc([^a-z]|$)|non[ -]?commercial")


def forbids_changes(licence: str) -> bool:
    """True for Creative Commons' NoDerivatives, under which what is derived from a work may not be shared.

    >>> forbids_changes("cc-by-nc-nd-4.0"), forbids_changes("Attribution-NonCommercial-NoDerivs License")
    (True, True)
    """
    return _NO_CHANGES.search(licence) is not None


def forbids_commerce(licence: str) -> bool:
    """True for Creative Commons' NonCommercial: `cc-by-nc-4.0`."""
    return _NON_COMMERCIAL.search(licence) is not None
