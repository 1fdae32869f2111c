"""Whatever is not HTML already is escaped."""

import pytest

from gritmill.pipeline.report.html import Html, join, table, tag


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (tag("p", "<b>&"), "<p>&lt;b&gt;&amp;</p>"),
        (tag("p", tag("b", 1), " < 2"), "<p><b>1</b> &lt; 2</p>"),
        (tag("p", title='"><script>'), '<p title="&quot;&gt;&lt;script&gt;"></p>'),
        (tag("p", class_="a", aria_label="b", id=None), '<p class="a" aria-label="b"></p>'),
        (join("a", Html("<br>"), "&"), "a<br>&amp;"),
        (
            table(["n"], [["<"]], numbers=[0]),
            '<table><thead><tr><th scope="col" class="number">n</th></tr></thead>'
            '<tbody><tr><td class="number">&lt;</td></tr></tbody></table>',
        ),
    ],
)
def test_made(made: Html, expected: str) -> None:
    assert made == expected
    assert isinstance(made, Html)
