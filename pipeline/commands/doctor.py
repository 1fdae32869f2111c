"""`pipeline doctor`: what is installed."""

import typer


def doctor() -> None:
    """Say what is installed here and what is missing for which part."""
    from pipeline.doctor import examine

    for finding in examine():
        mark = typer.style("ok", fg="green") if finding.ok else typer.style("--", fg="yellow")
        typer.echo(f"{mark}  {finding.subject:<18} {finding.text}")
