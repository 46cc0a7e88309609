from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rl2_sb3 import RL2PPO, BernoulliBandit, make_trials
from rl2_sb3.cli import main
from rl2_sb3.cli.film import GAP, in_words
from rl2_sb3.registry import TASKS
from rl2_sb3.tasks import BatchedTasks, GymTasks
from tests.envs import SmallEnv

COLOURS = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]


class Colours(SmallEnv):
    """Episodes of four steps; a picture of 3x2 in the task's colour, darker with each step."""

    render_mode = "rgb_array"

    def __init__(self) -> None:
        super().__init__(spaces.Discrete(2), spaces.Discrete(2), length=4)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self.task = options["task"]
        return super().reset(seed=seed)

    def reward(self, action: Any, over: bool) -> float:
        return 1.25

    def render(self) -> NDArray[np.uint8]:
        return np.full((2, 3, 3), np.array(COLOURS[self.task]) * (5 - self.elapsed) // 5, np.uint8)


class ColourTasks(GymTasks):
    def sample(self, rng: np.random.Generator) -> int:
        return int(rng.integers(3))

    def all_tasks(self) -> list[int]:
        return [0, 1, 2]

    def make_env(self) -> Colours:
        return Colours()


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TASKS, "names", lambda: ["colours"])
    monkeypatch.setattr(TASKS, "load", lambda name: ColourTasks)
    model = RL2PPO("GRUPolicy", make_trials(ColourTasks(), 1), policy_kwargs={"hidden_size": 4})
    model.save_agent("agent.safetensors", task="colours", options={})
    return Path("agent.safetensors")


def test_every_state_of_the_trial_is_seen(agent: Path) -> None:
    main(["watch", str(agent), "--trial", "1", "--episodes", "3", "--width", "100", "--fps", "20"])
    with Image.open("watch.gif") as film:
        assert film.n_frames == 3 * (1 + 4)  # type: ignore[attr-defined]
        assert film.size == (102, 68 + 16)  # 34 times 3x2, and the line above
        shown, durations = [], []
        for frame in range(15):
            film.seek(frame)
            shown.append(film.convert("RGB").getpixel((50, 50)))
            durations.append(film.info["duration"])
    assert durations == 3 * [*4 * [50], 1050]
    green = [250, 200, 150, 100, 50]
    assert [max(colour) for colour in shown] == 3 * green  # type: ignore[arg-type]
    assert all(colour[1] == max(colour) for colour in shown)  # type: ignore[index, arg-type]


def test_a_lost_trial_is_played_again(agent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator dies in its third step: 8 more are those of two whole episodes."""
    step, taken = Colours.step, 0

    def dying(self: Colours, action: Any) -> Any:
        nonlocal taken
        taken += 1
        return step(self, action) if taken != 3 else (0, 0.0, False, True, {"rl2": {"lost": True}})

    monkeypatch.setattr(Colours, "step", dying)
    main(["watch", str(agent), "--episodes", "2"])
    assert taken == 3 + 8
    with Image.open("watch.gif") as film:
        assert film.n_frames == 2 * (1 + 4)  # type: ignore[attr-defined]


class Dots(BatchedTasks[Any, Any]):
    """A task is its column, which is red; episodes of two steps, brighter with each."""

    horizon = 2

    def __init__(self) -> None:
        self.observation_space, self.action_space = spaces.Discrete(1), spaces.Discrete(2)

    def sample(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        return rng.integers(0, 4, n)

    def reset(self, params: Any, rng: np.random.Generator) -> Any:
        return np.zeros(len(params), np.int64), np.zeros(len(params), np.int64)

    def step(self, params: Any, state: Any, action: Any, rng: np.random.Generator) -> Any:
        n = len(params)
        return state + 1, np.zeros(n, np.int64), np.ones(n), state + 1 == 2

    def render(self, params: Any, state: Any) -> NDArray[np.uint8]:
        picture = np.zeros((1, 4, 3), np.uint8)
        picture[0, params[0], 0] = 100 + 50 * state[0]
        return picture


@pytest.fixture
def dots(agent: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(TASKS, "load", lambda name: Dots)
    model = RL2PPO("GRUPolicy", make_trials(Dots(), 4), policy_kwargs={"hidden_size": 4})
    model.save_agent("dots.safetensors", task="colours", options={})
    return Path("dots.safetensors")


def test_tasks_as_arrays_are_seen(dots: Path) -> None:
    main(["watch", str(dots), "--episodes", "3", "--width", "4"])
    with Image.open("watch.gif") as film:
        assert film.n_frames == 3 * (1 + 2)  # type: ignore[attr-defined]
        reds = []
        for frame in range(9):
            film.seek(frame)
            reds.append(np.asarray(film.convert("RGB"))[16, :, 0])
    assert [int(row.max()) for row in reds] == 3 * [100, 150, 200]
    assert len({int(row.argmax()) for row in reds}) == 1  # one task


def test_a_sheet_has_a_row_for_each_episode(dots: Path) -> None:
    main(["watch", str(dots), "--episodes", "3", "--width", "4", "--out", "sheet.png"])
    with Image.open("sheet.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (3 * 17 + 2 * GAP, 3 * 4 + 2 * GAP, 3)
    for x, level in enumerate([100, 150, 200]):
        left = x * (4 + GAP)
        np.testing.assert_array_equal(pixels[16 :: 17 + GAP, left : left + 4, 0].max(axis=1), level)
        assert (pixels[:, left + 4 : left + 4 + GAP] == 255).all()


def test_it_says_how_far_it_is(
    agent: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["watch", str(agent), "--episodes", "2"])
    assert "so far" not in capsys.readouterr().out
    monkeypatch.setattr("rl2_sb3.cli.watch.PATIENCE", 0.0)
    main(["watch", str(agent), "--episodes", "2"])
    assert "Episode 2, 7 pictures so far." in capsys.readouterr().out


def test_the_number_of_the_trial_draws_the_task(dots: Path) -> None:
    columns = set()
    for trial in range(8):
        main(["watch", str(dots), "--trial", str(trial), "--width", "4", "--out", "sheet.png"])
        with Image.open("sheet.png") as sheet:
            columns.add(int(np.asarray(sheet)[16, :4, 0].argmax()))
    assert len(columns) > 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--out", "x.mp4"], r"--out x.mp4: write a .gif"),
        (["--fps", "0"], "fps=0"),
        (["--trial", "-1"], "trial=-1"),
        (["--trial", "99"], "trial=99: there are tasks 0 to"),
        (["--episodes", "0"], "episodes=0"),
    ],
)
def test_what_cannot_be_written(agent: Path, args: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        main(["watch", str(agent), *args])


def test_what_draws_no_pictures_is_told_in_words(
    agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of arrays and of environments: the pictures differ where observation or reward do."""
    told: list[tuple[Any, ...]] = []

    def noted(*seen: Any) -> Image.Image:
        told.append(seen)
        return in_words(*seen)

    monkeypatch.setattr("rl2_sb3.cli.film.in_words", noted)
    monkeypatch.setattr(Colours, "render_mode", None)
    main(["watch", str(agent), "--episodes", "2", "--out", "words.gif"])
    with Image.open("words.gif") as gif:
        assert gif.size[0] >= 480
        assert getattr(gif, "n_frames", 1) > 2
    assert [len(seen) for seen in told[:6]] == [1, 3, 3, 3, 3, 1]
    assert {seen[2] for seen in told if len(seen) == 3} == {1.25}
    model = RL2PPO("GRUPolicy", make_trials(BernoulliBandit(), 4), policy_kwargs={"hidden_size": 4})
    model.save_agent("bandit.safetensors", task="colours", options={})
    monkeypatch.setattr(TASKS, "load", lambda name: BernoulliBandit)
    told.clear()
    main(["watch", "bandit.safetensors", "--episodes", "3", "--out", "arms.png"])
    assert {seen[2] for seen in told if len(seen) == 3} <= {0.0, 1.0}
    assert Path("arms.png").exists()


class Silent(SmallEnv):
    """An environment that knows of no pictures."""

    def __init__(self) -> None:
        super().__init__(spaces.Discrete(2), spaces.Discrete(2), length=4)


class Empty(Silent):
    """One that draws nothing, whatever it says."""

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode

    def render(self) -> None:
        return None


@pytest.mark.parametrize(
    ("make", "modes"), [(Silent, []), (Empty, ["human"]), (Empty, ["rgb_array"])]
)
def test_an_environment_of_gymnasiums_that_draws_none(
    make: type[Silent],
    modes: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(make, "metadata", {"render_modes": modes})
    gym.register("Plain-v0", lambda **options: make(**options))
    try:
        trials = make_trials("Plain-v0", 1)
        model = RL2PPO("GRUPolicy", trials, policy_kwargs={"hidden_size": 4})
        model.save_agent("plain.safetensors", task="Plain-v0", options={})
        main(["watch", "plain.safetensors", "--episodes", "2", "--out", "words.gif"])
    finally:
        del gym.registry["Plain-v0"]
    assert "words.gif: 2 episodes, 8 steps." in capsys.readouterr().out


def test_a_package_that_rendering_needs_is_a_line(
    agent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render(self: Colours) -> Any:
        raise gym.error.DependencyNotInstalled("run `pip install pygame`")

    monkeypatch.setattr(Colours, "render", render)
    with pytest.raises(SystemExit) as ended:
        main(["watch", str(agent)])
    told = "rl2 watch: the environment needs a package: run `pip install pygame`"
    assert ended.value.code == told


def test_words_say_all_parts() -> None:
    def shown(*seen: Any) -> Any:
        return np.asarray(in_words(*seen))

    seen = {"place": np.array([1.0, 2.0]), "cards": (0, np.arange(99))}
    first = shown(seen, 1, 0.5)
    assert first.shape == shown(seen).shape  # an animation's pictures are of one size
    for other in ({**seen, "place": np.array([1.0, 2.5])}, {**seen, "cards": (1, np.arange(99))}):
        assert (shown(other, 1, 0.5) != first).any()
    assert (shown(seen, 2, 0.5) != first).any()
    assert (shown(seen, 1, 0.25) != first).any()


def test_words_cut_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", lambda *args, **_: said.append(args[2]))
    numbers = np.full(20, -1.25)
    in_words(numbers, 3, 0.5)
    observed, *others = said
    assert observed == "observation: [" + "-1.25 " * 7 + "..."
    assert others == ["action: 3", "reward: 0.50"]
