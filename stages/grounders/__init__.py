"""Ways from phrases to boxes, one file each; all are the stage `ground`, told apart by `grounder`."""
