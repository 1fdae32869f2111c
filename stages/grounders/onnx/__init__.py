"""Closed-set detectors in ONNX files."""
