"""Which gritmill this is."""

import importlib.metadata


def version() -> str:
    """`0.2.0`, as it was installed."""
    try:
        return importlib.metadata.version("gritmill")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
