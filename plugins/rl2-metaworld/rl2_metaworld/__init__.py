"""Meta-World's benchmarks of meta-learning, for rl2-sb3."""
