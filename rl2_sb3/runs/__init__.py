"""Runs: training and imitation in a folder, by the same code."""
