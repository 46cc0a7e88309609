import torch as th

# Small tensors gain nothing from threads, and lose much where other programs keep the cores busy.
th.set_num_threads(1)
