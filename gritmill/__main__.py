"""`python -m gritmill`: the same as `gritmill` and `pipeline`."""

from gritmill.pipeline.cli import main

if __name__ == "__main__":
    main()
