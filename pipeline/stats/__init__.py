"""What is in a finished dataset, in numbers, and the same numbers of published ones beside them.

stats = dataset_stats("out/grit")
console.print(stats_table(stats))
"""

from gritmill.pipeline.stats.measure import Stats, dataset_stats
from gritmill.pipeline.stats.table import stats_table

__all__ = ["Stats", "dataset_stats", "stats_table"]
