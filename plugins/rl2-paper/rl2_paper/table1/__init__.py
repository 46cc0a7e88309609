"""Table 1: multi-armed bandits."""
