"use strict";
const GAMES = /*GAMES*/[];
const NAMES = ["You", "RL²", "Thompson sampling", "Gittins index"];
const $ = (id) => document.getElementById(id);

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The tensors of a game's network, from base64; the network is made once. */
function network(game) {
  if (!game.tensors) {
    const bytes = Uint8Array.from(atob(game.weights), (c) => c.charCodeAt(0));
    const numbers = new Float32Array(bytes.buffer);
    let begin = 0;
    game.tensors = Object.fromEntries(game.shapes.map(([name, rows, columns]) =>
      [name, { rows, columns, data: numbers.subarray(begin, (begin += rows * columns)) }]));
  }
  return game.tensors;
}

/** Matrix times vector, plus a bias if there is one. */
function product(matrix, vector, bias) {
  const out = new Float64Array(matrix.rows);
  for (let i = 0, k = 0; i < matrix.rows; i++) {
    let sum = bias ? bias.data[i] : 0;
    for (let j = 0; j < matrix.columns; j++, k++) sum += matrix.data[k] * vector[j];
    out[i] = sum;
  }
  return out;
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** One step of RL²: the memory h and the last pull to the chances of each arm and the next h. */
function step(game, h, last) {
  const net = network(game), size = net.recurrent.columns;
  const arm = Array.from({ length: game.arms }, (_, i) => +(i === (last ? last.arm : 0)));
  const reward = last ? last.reward : 0;
  const x = [...arm, last ? 1 : 0, 1, reward, ...(game.action_reward ? arm.map((a) => a * reward) : [])];
  const a = product(net.input, x, net.bias), u = product(net.recurrent, h);
  const next = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const r = sigmoid(a[i] + u[i]), z = sigmoid(a[size + i] + u[size + i]);
    const c = Math.tanh(a[2 * size + i] + r * u[2 * size + i]);
    next[i] = (1 - z) * c + z * h[i];
  }
  let y = next;
  for (let i = 0; net["after" + i]; i++)
    y = product(net["after" + i], y, net["after_bias" + i]).map((v) => Math.max(0, v));
  const scores = product(net.head, y, net.head_bias), top = Math.max(...scores);
  const parts = scores.map((v) => Math.exp(v - top)), sum = parts.reduce((p, q) => p + q);
  return { chances: Array.from(parts, (p) => p / sum), h: next };
}

/** RL² that follows a player's pulls: `chances` are those of the next one. */
class Follower {
  constructor(game) { this.game = game; this.see(null); }
  see(last) {
    const h = last ? this.h : new Float64Array(network(this.game).recurrent.columns);
    ({ chances: this.chances, h: this.h } = step(this.game, h, last));
  }
}

function highest(values, rng) {
  const top = Math.max(...values), best = [...values.keys()].filter((i) => values[i] === top);
  return best[Math.floor(rng() * best.length)];
}

/** From Gamma(shape, 1), for a whole shape. */
function gamma(shape, rng) {
  let sum = 0;
  for (let i = 0; i < shape; i++) sum -= Math.log(1 - rng());
  return sum;
}

const CHOOSE = [
  null,
  (player, trial) => {
    let luck = player.rng();
    const arm = player.network.chances.findIndex((p) => (luck -= p) < 0);
    return arm < 0 ? trial.game.arms - 1 : arm;
  },
  (player) => highest(player.counts.map(([paid, not]) => {
    const a = gamma(paid + 1, player.rng);
    return a / (a + gamma(not + 1, player.rng));
  }), player.rng),
  (player, trial) => highest(
    player.counts.map(([paid, not]) => trial.game.gittins[paid][not]), player.rng),
];

/** A new bandit: its arms' chances and what each pull of each arm pays. */
function begin(game, seed) {
  const rng = random(seed);
  const means = Array.from({ length: game.arms }, rng);
  const luck = means.map((mean) => Array.from({ length: game.pulls }, () => +(rng() < mean)));
  const players = NAMES.map((name, i) => ({
    name, rng: random(seed * 7 + i + 1), pulls: [], returns: [0], regrets: [0],
    counts: means.map(() => [0, 0]), network: i < 2 ? new Follower(game) : null,
  }));
  return { game, seed, means, luck, players, best: Math.max(...means) };
}

function pull(trial, player, arm) {
  const [paid, not] = player.counts[arm], reward = trial.luck[arm][paid + not];
  player.counts[arm][reward ? 0 : 1]++;
  player.pulls.push({ arm, reward });
  player.returns.push(player.returns.at(-1) + reward);
  player.regrets.push(player.regrets.at(-1) + trial.best - trial.means[arm]);
  if (player.network) player.network.see({ arm, reward });
}

const over = (trial) => trial.players[0].pulls.length >= trial.game.pulls;

/** The visitor pulls an arm, and then the others one each. */
function play(trial, arm) {
  if (over(trial)) return;
  pull(trial, trial.players[0], arm);
  for (let i = 1; i < NAMES.length; i++)
    pull(trial, trial.players[i], CHOOSE[i](trial.players[i], trial));
}

function lines(svg, trial, key, shown) {
  const most = Math.max(1, ...trial.players.flatMap((p) => p[key])), n = trial.game.pulls;
  const x = (t) => 34 + (t / n) * 316, y = (v) => 175 - (v / most) * 160;
  const ticks = [0, most / 2, most].map((v) => `<line x1="34" x2="350" y1="${y(v)}" y2="${y(v)}"
    stroke="var(--line)"/><text x="29" y="${y(v) + 4}" text-anchor="end">${+v.toFixed(1)}</text>`);
  const curves = trial.players.map((p, i) => `<polyline fill="none" stroke="var(--c${i})"
    stroke-width="${i ? 1.8 : 3}" points="${p[key].map((v, t) => `${x(t)},${y(v)}`).join(" ")}"/>`);
  svg.innerHTML = (shown ? ticks.join("") : "") + `<text x="34" y="194">0</text><text x="350" y="194"
    text-anchor="end">${n} pulls</text>` + (shown ? curves.reverse().join("")
    : `<text x="192" y="100" text-anchor="middle">shown when the trial is over</text>`);
}

function words(trial) {
  const [you] = trial.players, n = trial.game.pulls;
  if (!over(trial)) return `Pull ${you.pulls.length + 1} of ${n}`;
  const most = Math.max(...trial.players.slice(1).map((p) => p.returns.at(-1)));
  const mine = you.returns.at(-1);
  const how = mine > most ? "You beat them all" : mine === most ? "You share the first place" :
    "You are beaten";
  return `${how}: ${mine} of ${n} pulls paid. The best arm was ${trial.means.indexOf(trial.best) + 1},
    which pays ${Math.round(100 * trial.best)} % of the time.`;
}

function draw(trial) {
  const end = over(trial), [you] = trial.players, last = you.pulls.at(-1);
  const told = end || $("tell").checked, hint = $("hint").checked && !end;
  [...$("arms").children].forEach((button, i) => {
    const [paid, not] = you.counts[i], chance = you.network.chances[i];
    button.disabled = end;
    button.className = last && last.arm === i ? (last.reward ? "paid" : "nothing") : "";
    button.innerHTML = `<b>${i + 1}</b><small>${paid} of ${paid + not} paid</small>` +
      (end ? `<small>pays ${Math.round(100 * trial.means[i])} %</small>` : "") + (hint ?
      `<span class="bar"><i style="width:${100 * chance}%"></i></span>
      <small>${Math.round(100 * chance)} %</small>` : "");
  });
  $("words").textContent = words(trial);
  $("scores").innerHTML = trial.players.map((p, i) => `<tr><td><span class="dot"
    style="background:var(--c${i})"></span>${p.name}</td><td>${p.returns.at(-1)}</td>
    <td>${told ? p.regrets.at(-1).toFixed(2) : "–"}</td></tr>`).join("");
  lines($("returns"), trial, "returns", true);
  lines($("regrets"), trial, "regrets", told);
}

let trial;
function start(seed) {
  trial = begin(GAMES[$("game").value], seed);
  $("arms").innerHTML = trial.means.map((_, i) =>
    `<button data-arm="${i}" aria-label="Pull arm ${i + 1}"></button>`).join("");
  draw(trial);
}
const chance = () => Math.floor(Math.random() * 2 ** 31);
function choose(arm) { play(trial, arm); draw(trial); }
$("game").innerHTML = GAMES.map((g, i) =>
  `<option value="${i}">${g.arms} arms, ${g.pulls} pulls</option>`).join("");
$("arms").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) choose(+button.dataset.arm);
});
document.addEventListener("keydown", (event) => {
  const arm = "1234567890".indexOf(event.key);
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.tagName === "SELECT") return;
  if (arm >= 0 && event.key && arm < trial.game.arms) choose(arm);
});
$("game").addEventListener("change", () => start(chance()));
$("again").addEventListener("click", () => start(chance()));
for (const id of ["hint", "tell"]) $(id).addEventListener("change", () => draw(trial));
start(+new URLSearchParams(location.hash.slice(1)).get("seed") || chance()); // #seed=7: a link
