import pytest

from rl2_sb3.cli.options import parse
from rl2_sb3.cli.train import Train
from rl2_sb3.cli.words import check_other_names, plain_words


def test_values_as_python_writes_them_are_taken_apart() -> None:
    words = [
        *("bandit", "--skip=True", "--shared=False", "--layers_after=[64, 32]", "--lr=[]"),
        "--network={'hidden_size': 8, 'skip': True, 'memory_kwargs': {'depth': 2, 'kind': 'a'}}",
        "--normalize_observations=False",
    ]
    assert plain_words(words, ["network"], ["normalize_observations"]) == [
        *("bandit", "--skip", "--no-shared", "--layers_after", "64", "32", "--lr"),
        *("--hidden_size=8", "--skip", "--memory_kwargs", "depth=2", "kind='a'"),
        "--normalize_observations=False",
    ]


def test_other_words_stay_as_they_are() -> None:
    words = ["bandit", "--arms=3", "--teacher=ucb1(c=0.2)", "--init", "[x]", "--clip-range=1e-1"]
    assert plain_words(words, ["network"]) == words


def test_training_takes_what_wandb_gives() -> None:
    words = ["--network={'hidden_size': 8, 'layers_after': [4, 4]}", "--options={'arms': 3}"]
    parsed = parse("train", Train, ["bandit", *words, "--skip=True", "--lr_decay=False"])
    network = parsed.config.network
    assert (network.hidden_size, network.layers_after, network.skip) == (8, (4, 4), True)
    assert parsed.options["arms"] == 3
    assert parsed.config.learning.lr_decay is False


@pytest.mark.parametrize("word", ["--total-timesteps", "--total_timesteps=5"])
def test_an_option_by_its_name_in_sb3_tells_ours(word: str) -> None:
    with pytest.raises(ValueError, match=r"--total.timesteps: the option is called --steps here"):
        check_other_names(["--arms", "3", word, "5"], ["steps"], ["arms"])
    with pytest.raises(ValueError, match=r"--total.timesteps: the option is called --steps here"):
        parse("train", Train, ["bandit", "--arms", "3", word, "5"])


def test_a_name_of_the_tasks_own_or_one_that_says_nothing_here_is_left_alone() -> None:
    check_other_names(["--lr", "5"], ["learning_rate"], ["lr"])
    check_other_names(["--lr", "5", "lr", "--other"], ["steps"], [])
