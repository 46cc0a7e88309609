"""Runs on W&B: what is tracked, and the callback that does it."""
