import numpy as np

from rl2_sb3.evaluation import Evaluation
from rl2_sb3.successes import success_rows


def test_rows_of_agents_that_succeed_always_once_or_never() -> None:
    lengths = np.array([[9, 4], [5, 6]])
    zeros = np.zeros((2, 2))
    results = {
        "always": Evaluation(zeros, lengths, np.ones((2, 2))),
        "once": Evaluation(zeros, lengths, np.array([[1.0, 0.0], [0.0, 0.0]])),
        "untold": Evaluation(zeros, lengths, np.full((2, 2), np.nan)),
    }
    assert success_rows(results) == [
        ["always", "1", "1", "7", "2", "", "2"],
        ["always", "2", "1", "5", "1", "0.5", "2"],
        ["once", "1", "0.5", "9", "", "", "2"],
        ["once", "2", "0", "", "", "0.5", "2"],
    ]
