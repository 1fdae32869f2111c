"""Checks the shards of any webdataset, ours or not, and says what is wrong with them.

    report = verify(["out/grit"], jobs=8)
    print(render(report))
    report.ok, report.to_dict()

Reads each shard once. What is kept of a sample once it has been checked are some 30 bytes, for the images
that stand in two splits. Nothing is unpickled, and no member is ever extracted.
"""

from gritmill.pipeline.verify.check import verify
from gritmill.pipeline.verify.findings import KINDS, Finding, ShardReport, VerifyReport, render

__all__ = ["KINDS", "Finding", "ShardReport", "VerifyReport", "render", "verify"]
