"""HTML from Python: whatever is not `Html` is escaped."""

import html
from collections.abc import Iterable, Sequence


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: object, **attributes: object) -> Html:
    """An element; attributes of None are left out, `class_` and `aria_label` lose or change their `_`.

    >>> tag("p", "a < b", class_="note")
    '<p class="note">a &lt; b</p>'
    """
    pairs = (
        (key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None
    )
    inside = "".join(f' {key}="{html.escape(str(value))}"' for key, value in pairs)
    return Html(f"<{name}{inside}>{join(*children)}</{name}>")


def join(*children: object) -> Html:
    """Children one after another, escaped where they are not HTML."""
    return Html("".join(child if isinstance(child, Html) else html.escape(str(child)) for child in children))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> Html:
    """A table; `numbers` are the columns that stand to the right."""

    def cell(name: str, column: int, text: str, scope: str | None = None) -> Html:
        return tag(name, text, scope=scope, class_="number" if column in numbers else None)

    head = tag("tr", *(cell("th", i, text, "col") for i, text in enumerate(header)))
    body = (tag("tr", *(cell("td", i, text) for i, text in enumerate(row))) for row in rows)
    return tag("table", tag("thead", head), tag("tbody", *body))
