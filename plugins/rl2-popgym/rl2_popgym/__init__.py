"""POPGym's environments for rl2-sb3."""
