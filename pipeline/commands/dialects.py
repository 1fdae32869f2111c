"""`pipeline dialects`: how models spell boxes."""

from gritmill.pipeline.engine.terminal import console


def dialects() -> None:
    """List how models spell boxes, and how much of a box each spelling keeps."""
    from gritmill.pipeline.inspect.dialect_table import dialect_table

    console.print(dialect_table())
