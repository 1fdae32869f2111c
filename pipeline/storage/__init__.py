"""Bytes: files, stores, tars and the samples in them, checksums, locks, readers of foreign formats."""
