"""The page on which a visitor plays against RL², in Chromium."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch as th

from docs.play.__main__ import AGENTS, HERE, build, game
from rl2_sb3 import GRUPolicy, load_agent, registry
from rl2_sb3.baselines.gittins import gittins_table
from rl2_sb3.export import with_fp32_products
from tests.chromium import browse, needs_browser

needs_agents = pytest.mark.skipif(
    any(name not in registry.AGENTS for name in AGENTS),
    reason="needs the agents of rl2-checkpoints",
)
VISIT = """<script>
{
  const follower = new Follower(trial.game), chances = [];
  $("hint").click();
  for (let i = 0; !over(trial); i++) {
    chances.push(trial.players[1].network.chances);
    const arm = i % 2 ? trial.game.arms - 1 : 0;
    if (i % 4 < 2) document.querySelector(`[data-arm="${arm}"]`).click();
    else document.dispatchEvent(new KeyboardEvent("keydown", { key: `${(arm + 1) % 10}` }));
  }
  document.querySelector('[data-arm="0"]').click(); // after the end: of no effect
  const shown = Array.from($("scores").rows, (row) => Array.from(row.cells, (c) => c.innerText));
  const { means, luck, players } = trial, words = $("words").textContent;
  const points = document.querySelector("#returns polyline:last-of-type").points.length;
  const kept = players.map((p) => ({ pulls: p.pulls, regret: p.regrets.at(-1) }));
  const width = document.documentElement.scrollWidth - innerWidth;
  const found = { means, luck, kept, shown, words, chances, points, width };
  document.body.innerHTML = `<pre>${JSON.stringify(found)}</pre>`;
}
</script></body>"""


def visit(page: Path, number: int, seed: int) -> dict[str, Any]:
    """What a visit of one trial finds."""
    choice = f"<script>$('game').value = {number}; start({seed});</script>"
    return browse(page, choice + VISIT)


def chances(policy: GRUPolicy, pulls: list[dict[str, int]]) -> list[list[float]]:
    """The chances of each arm before each pull, as a policy has them."""
    found = []
    memory = policy.initial_memory(1)
    last, start = {"arm": 0, "reward": 0}, 1
    for pull in pulls:
        obs = {
            "observation": th.tensor([0]),
            "action": th.tensor([last["arm"]]),
            "reward": th.tensor([[float(last["reward"])]]),
            "done": th.tensor([[1 - start]]),
            "start": th.tensor([[start]]),
            "memory": memory,
        }
        with th.no_grad():
            distribution: Any = policy.get_distribution(obs).distribution
            memory = policy.unroll(obs, value=False).memory
        found.append(distribution.probs[0].tolist())
        last, start = pull, 0
    return found


@needs_agents
@needs_browser
@pytest.mark.parametrize("number", range(len(AGENTS)))
def test_a_visitor_plays_a_trial(number: int, tmp_path: Path) -> None:
    agent = load_agent(AGENTS[number])
    arms, pulls = agent.info["options"]["arms"], agent.info["episodes"]
    found = visit(tmp_path / "page.html", number, seed=7)
    means, luck = np.array(found["means"]), np.array(found["luck"])
    assert luck.shape == (arms, pulls)
    assert found["points"] == pulls + 1
    assert found["width"] <= 0, "it is wider than the window"
    for player, kept in enumerate(found["kept"]):
        own = [(pull["arm"], pull["reward"]) for pull in kept["pulls"]]
        assert len(own) == pulls
        counts = np.zeros(arms, int)
        for arm, reward in own:  # the same luck for all
            assert reward == luck[arm, counts[arm]]
            counts[arm] += 1
        regret = float((means.max() - means[[arm for arm, _ in own]]).sum())
        assert kept["regret"] == pytest.approx(regret)
        total = sum(reward for _, reward in own)
        assert found["shown"][player][1:] == [str(total), f"{regret:.2f}"]
    mine = [pull["arm"] for pull in found["kept"][0]["pulls"]]
    assert mine == [i % 2 * (arms - 1) for i in range(pulls)]
    assert f"{found['shown'][0][1]} of {pulls} pulls paid" in found["words"]


@needs_agents
@needs_browser
@pytest.mark.parametrize("number", range(len(AGENTS)))
def test_the_others_choose_as_they_do_in_python(number: int, tmp_path: Path) -> None:
    agent = load_agent(AGENTS[number])
    pulls = agent.info["episodes"]
    found = visit(tmp_path / "page.html", number, seed=11)
    theirs = chances(with_fp32_products(agent.policy), found["kept"][1]["pulls"])
    assert np.abs(np.array(found["chances"]) - theirs).max() < 1e-4
    table = gittins_table(pulls, 1 - 1 / pulls)
    counts = np.zeros((agent.info["options"]["arms"], 2), int)
    for pull in found["kept"][3]["pulls"]:
        index = table[counts[:, 0], counts[:, 1]]
        assert index[pull["arm"]] > index.max() - 1e-5
        counts[pull["arm"], 1 - pull["reward"]] += 1


@needs_agents
def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    made = build(tmp_path / "index.html").read_text(encoding="utf-8")
    assert made == (HERE / "index.html").read_text(encoding="utf-8"), (
        "run python -m docs.play --keep-mazes"
    )


@pytest.mark.skipif("mdp-n10-privileged" not in registry.AGENTS, reason="needs rl2-checkpoints")
def test_agents_that_the_page_cannot_play_are_refused() -> None:
    with pytest.raises(ValueError, match="a GRU and layers after it alone"):
        game(load_agent("mdp-n10-privileged"))
