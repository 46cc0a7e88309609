"""The play page's maze: what was recorded, and a visit in Chromium."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from docs.play.mazes import ACROSS, EACH, EPISODES, chosen, play, recorded
from rl2_sb3 import TrialWrapper
from tests.chromium import browse, needs_browser

VISIT = """<script>
(async () => {
  const wait = () => new Promise((done) => setTimeout(done, 50));
  const press = (id) => { $(id).focus(); $(id).click(); }, where = () => $("where").textContent;
  const drawn = () => Array.from($("plans").children, (part) =>
    part.querySelector("polyline").points.length);
  const lengths = Array.from($("plans").querySelectorAll("b"), (b) => b.textContent);
  const found = { lengths, opened: [where(), drawn()], said: [] };
  document.querySelector('[data-episode="0"]').click();
  press("on"); press("on"); press("back");
  found.stepped = [where(), drawn()];
  $("speed").value = 8;
  press("run");
  while ($("run").textContent === "Pause") {
    if (found.said.at(-1) !== where()) found.said.push(where());
    await wait();
  }
  found.played = [where(), drawn()];
  press("back"); press("back");
  $("moment").value = 3;
  $("moment").dispatchEvent(new Event("input"));
  found.slid = [where(), drawn()];
  const sheet = $("view").getContext("2d").getImageData(0, 0, 40, 30).data;
  found.colours = new Set(new Uint32Array(sheet.buffer)).size;
  $("maze").value = 1;
  $("maze").dispatchEvent(new Event("change"));
  found.other = [where(), drawn()];
  found.width = document.documentElement.scrollWidth - innerWidth;
  document.body.innerHTML = `<pre>${JSON.stringify(found)}</pre>`;
})();
</script></body>"""


@needs_browser
def test_a_visitor_watches_two_episodes_in_a_maze(tmp_path: Path) -> None:
    trial, other = recorded()["kinds"][0]["trials"][:2]
    found = browse(tmp_path / "page.html", VISIT)
    first, second = (len(episode["way"]) - 1 for episode in trial["episodes"])
    assert second < first
    assert found["lengths"] == [f"{first} steps", f"{second} steps"]
    whole = [f"Episode 2, step {second} of {second}", [first + 1, second + 1]]
    assert found["opened"] == found["played"] == whole
    assert found["stepped"] == [f"Episode 1, step 1 of {first}", [2, 1]]
    steps = [
        (int(n), int(t)) for n, t in re.findall(r"Episode (\d), step (\d+)", "".join(found["said"]))
    ]
    assert steps == sorted(steps)
    assert {n for n, _ in steps} == {1, 2}
    assert found["slid"] == [f"Episode 2, step 3 of {second}", [first + 1, 4]]
    assert found["colours"] > 20, "it does not see a thing"
    assert found["other"][1] == [len(episode["way"]) for episode in other["episodes"]]
    assert found["width"] <= 0, "it is wider than the window"


def test_recorded_ways_are_ways_through_their_mazes() -> None:
    told = recorded()
    saved = []
    for trial in (trial for kind in told["kinds"] for trial in kind["trials"]):
        plan = np.array([list(row) for row in trial["plan"]])
        (start,), (goal,) = np.argwhere(plan == "S") + 0.5, np.argwhere(plan == "G") + 0.5
        assert len(trial["episodes"]) == EPISODES
        lengths = []
        for episode in trial["episodes"]:
            x, y, _ = np.array(episode["way"]).T
            assert (y[0], x[0]) == tuple(start)
            assert (plan[y.astype(int), x.astype(int)] != "#").all()
            touching = (
                np.maximum(abs(y - goal[0]), abs(x - goal[1])) < 65.05 / 96
            )  # units in blocks
            assert not touching[:-1].any()
            assert touching[-1] == episode["found"]
            lengths.append(len(x) - 1)
            assert episode["found"] or lengths[-1] == told["limit"]
            sheet = Image.open(io.BytesIO(base64.b64decode(episode["views"])))
            rows = -(-lengths[-1] // told["across"])
            assert sheet.size == (40 * told["across"], 30 * rows)
        saved.append(lengths[0] - lengths[1])
    most, middle, least = saved[:EACH], saved[EACH:-EACH], saved[-EACH:]
    assert most == sorted(most, reverse=True)
    assert least == sorted(least)
    assert min(most) >= max(middle) >= min(middle) >= max(least)


def test_trials_of_each_kind_are_chosen_by_what_they_saved() -> None:
    trials = [{"episodes": [{"way": [0] * 50}, {"way": [0] * n}]} for n in range(30, 60)]
    kinds = [
        [50 - len(trial["episodes"][1]["way"]) for trial in each]
        for each in chosen(trials).values()
    ]
    assert kinds == [[20, 19, 18, 17], [7, 6, 5, 4], [-9, -8, -7, -6]]


class Forward:
    """Walks straight ahead, and keeps what it saw."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[Any, Any]:
        self.seen.append(observation["observation"])
        return 2, state


def test_a_recording_is_what_was_seen_and_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docs.play.mazes.QUALITY", 100)
    pytest.importorskip("rl2_vizdoom")
    from rl2_vizdoom.env import MazeEnv
    from rl2_vizdoom.mazes import Maze
    from rl2_vizdoom.tasks import VizdoomMaze

    corridor = Maze.parse("#######\n#S...G#\n#######")
    env, agent = MazeEnv([corridor]), Forward()
    try:
        episodes = play(agent, env, TrialWrapper(env, 2, VizdoomMaze(), [0]))
    finally:
        env.close()
    assert len(episodes) == 2
    begin = 0
    for episode in episodes:
        x, y, angle = np.array(episode["way"]).T
        assert episode["found"]
        assert x[0] == 1.5
        assert (np.diff(x) > 0).all()
        assert x[-1] == pytest.approx(4.85, abs=0.05)
        assert (y == 1.5).all()
        assert (angle == 0).all()
        sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(episode["views"]))))
        steps = len(x) - 1
        assert steps > ACROSS
        for i, seen in enumerate(agent.seen[begin : begin + steps]):
            row, column = divmod(i, ACROSS)
            shown = sheet[30 * row : 30 * (row + 1), 40 * column : 40 * (column + 1)]
            assert np.abs(shown.astype(float) - seen).mean() < 8
        begin += steps
    assert begin == len(agent.seen)
