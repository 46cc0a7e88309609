"""Continuous control of the meta-RL literature, for rl2-sb3."""
