"""Licences by whichever name a source gives them."""

import pytest

from gritmill.schemas.licences import forbids_changes, forbids_commerce


@pytest.mark.parametrize(
    ("licence", "changes", "commerce"),
    [
        ("cc-by-4.0", False, False),
        ("cc-by-nd-4.0", True, False),
        ("cc-by-nc-nd-3.0", True, True),
        ("CC BY-NC 2.0", False, True),
        ("Attribution-NonCommercial-NoDerivs License", True, True),
        ("Attribution-NoDerivatives 4.0", True, False),
        ("https://creativecommons.org/licenses/by-nd/2.0/", True, False),
        ("non-commercial research only", False, True),
        ("bsd-3-clause-no-endorsement", False, False),
        ("Apache License, second edition", False, False),
        ("", False, False),
    ],
)
def test_what_a_licence_forbids(licence, changes, commerce):
    assert (forbids_changes(licence), forbids_commerce(licence)) == (changes, commerce)
