"""Stages that turn boxes into masks."""
