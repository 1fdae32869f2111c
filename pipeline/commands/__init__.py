"""The commands of the command line, one file each; `pipeline/cli.py` lists them."""
