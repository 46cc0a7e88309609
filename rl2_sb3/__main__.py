"""``python -m rl2_sb3``: the command line."""

from rl2_sb3.cli import main

main()
