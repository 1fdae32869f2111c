"""English for grounding: which labels a noun can mean, and how many objects it speaks of."""
