"""The reproduction of the paper: its tables, figures and presets, on rl2-sb3."""
