import io

from rich.console import Console

from gritmill.pipeline.inspect.dialect_table import dialect_table
from gritmill.schemas.dialects import DIALECTS


def test_the_table_names_every_dialect_and_fits_a_terminal() -> None:
    out = io.StringIO()
    Console(file=out, width=80).print(dialect_table())
    lines = out.getvalue().splitlines()
    assert all(sum(line.split()[:1] == [name] for line in lines) == 3 for name in DIALECTS)
    assert any(line.split() == ["ferret", "[120,", "250,", "440,", "820]"] for line in lines)
    shares = {line.split()[0]: line.split()[1:] for line in lines[-len(DIALECTS) :]}
    assert shares["florence2"] == ["100"] * 15
    assert 22 < int(shares["kosmos2"][0]) < 34
