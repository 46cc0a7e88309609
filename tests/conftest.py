import torch as th

from rl2_sb3.algorithms import threads

# Small tensors gain nothing from threads, and lose much where other programs keep the cores busy.
th.set_num_threads(1)
threads.MOST = 1
