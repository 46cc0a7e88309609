"""Runs: training and imitation in a folder, by the same code; and what is told of them."""
