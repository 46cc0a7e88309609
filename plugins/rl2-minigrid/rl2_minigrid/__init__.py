"""MiniGrid's levels for rl2-sb3."""
