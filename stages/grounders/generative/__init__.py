"""Vision-language models as labellers."""
