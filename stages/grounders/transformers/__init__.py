"""Zero-shot detectors of the transformers library."""
