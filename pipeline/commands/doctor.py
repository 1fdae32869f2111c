"""`pipeline doctor`: what is installed."""

from rich.text import Text

from gritmill.pipeline.engine.terminal import console


def doctor() -> None:
    """Say what is installed here and what is missing for which part."""
    from gritmill.pipeline.inspect.doctor import examine

    for finding in examine():
        mark = ("ok", "green") if finding.ok else ("--", "yellow")
        line = f"  {finding.subject:<18} {finding.text}"
        console.print(Text.assemble(mark, line), soft_wrap=True)
