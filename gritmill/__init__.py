"""A dataset factory for grounded vision-language data."""
