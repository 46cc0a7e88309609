"""Mazes of Duan et al. 2016, section 3.3, on ViZDoom, for rl2-sb3."""

from rl2_vizdoom.mazes import Maze
from rl2_vizdoom.tasks import VizdoomMaze

__all__ = ["Maze", "VizdoomMaze"]
