"""Datasets of other people's formats to ours, back, and between each other.

    for sample in read("annotations/instances.json"):
        sample.record["caption"], sample.image

`registry.py` lists the formats and tells which one a file or folder is in; `formats/` has a file for each.
"""

from gritmill.pipeline.convert.registry import FORMATS, read, sniff
from gritmill.pipeline.convert.sample import Losses, Sample

__all__ = ["FORMATS", "Losses", "Sample", "read", "sniff"]
