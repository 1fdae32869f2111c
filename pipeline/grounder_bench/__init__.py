"""`pipeline compare-grounders`: several grounders on the same annotated images, to choose one by.

`questions` asks, `arm` runs one grounder in a process of its own, `score` holds its boxes against those
that people drew, `table` prints. What counts as truth stands in `questions`.
"""
