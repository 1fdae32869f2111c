"""One file that shows a run: its funnel, its numbers as charts, samples kept and samples dropped.

path = write_report(find_run("out/grit"), Choice())
"""

from gritmill.pipeline.report.choice import Choice
from gritmill.pipeline.report.run import find_run
from gritmill.pipeline.report.write import write_report

__all__ = ["Choice", "find_run", "write_report"]
