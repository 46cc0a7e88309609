{
  const STEPS_A_SECOND = 8.75; // in the engine: 35 tics, of which a step has 4
  const WIDTH = 40, HEIGHT = 30; // of what the agent sees
  const { kinds, across, limit } = MAZES, trials = kinds.flatMap((kind) => kind.trials);
  const shown = { trial: trials[0], episode: 0, step: 0, timer: null };

  const length = (episode) => episode.way.length - 1;
  const current = () => shown.trial.episodes[shown.episode];
  const ended = () => shown.step === length(current());
  const over = () => ended() && shown.episode === shown.trial.episodes.length - 1;
  const steps = (episode) => episode.found ? `${length(episode)} steps` : `not found in ${limit} steps`;

  /** A maze from above, with the way that has been gone. */
  function plan(trial, number) {
    const rows = trial.plan, way = trial.episodes[number].way;
    const gone = number < shown.episode ? way : number > shown.episode ? way.slice(0, 1)
      : way.slice(0, shown.step + 1);
    const blocks = rows.flatMap((row, y) => Array.from(row, (sign, x) => ({ sign, x, y })))
      .filter(({ sign }) => sign === "#" || sign === "G").map(({ sign, x, y }) => `<rect x="${x}"
        y="${y}" width="1" height="1" fill="var(--${sign === "G" ? "goal" : "wall"})"/>`);
    const [x, y, angle] = gone.at(-1), [x0, y0] = way[0];
    return `<svg viewBox="0 0 ${rows[0].length} ${rows.length}" aria-hidden="true"><g
      shape-rendering="crispEdges">${blocks.join("")}</g>
      <circle cx="${x0}" cy="${y0}" r=".16" fill="none" stroke="var(--soft)" stroke-width=".06"/>
      <polyline fill="none" stroke="var(--c1)" stroke-width=".13" stroke-linejoin="round"
      points="${gone.map(([a, b]) => `${a},${b}`).join(" ")}"/>
      <path d="M.3 0L-.2 -.2L-.1 0L-.2 .2Z" fill="var(--c0)"
      transform="translate(${x} ${y}) rotate(${-angle})"/></svg>`;
  }

  /** What the agent sees in front of its next step, or saw in front of its last. */
  function view() {
    const episode = current(), sheet = (episode.sheet ??= new Image());
    if (!sheet.src) {
      sheet.onload = view;
      sheet.src = `data:image/webp;base64,${episode.views}`;
    }
    if (!sheet.complete || sheet !== current().sheet) return;
    const i = Math.min(shown.step, length(episode) - 1);
    $("view").getContext("2d").drawImage(sheet, (i % across) * WIDTH,
      Math.floor(i / across) * HEIGHT, WIDTH, HEIGHT, 0, 0, WIDTH, HEIGHT);
  }

  function show() {
    const longest = Math.max(...shown.trial.episodes.map(length));
    shown.trial.episodes.forEach((episode, i) => {
      const part = $("plans").children[i], here = i === shown.episode;
      part.querySelector("span").innerHTML = plan(shown.trial, i);
      part.querySelector("b").textContent = steps(episode);
      part.querySelector("i").style.width = `${(100 * length(episode)) / longest}%`;
      part.setAttribute("aria-pressed", here);
    });
    $("moment").max = length(current());
    $("moment").value = shown.step;
    $("run").textContent = shown.timer ? "Pause" : over() ? "Play again" : "Play";
    $("where").textContent =
      `Episode ${shown.episode + 1}, step ${shown.step} of ${length(current())}`;
    view();
  }

  /** Go to a step of an episode. */
  function go(episode, step) {
    Object.assign(shown, { episode, step });
    show();
  }

  /** One step on, from an episode's end into the next. */
  function forward() {
    if (!ended()) go(shown.episode, shown.step + 1);
    else if (!over()) go(shown.episode + 1, 0);
    if (over()) stop();
  }

  function back() {
    if (shown.step) go(shown.episode, shown.step - 1);
    else if (shown.episode) go(shown.episode - 1, length(shown.trial.episodes[shown.episode - 1]));
  }

  function stop() {
    clearInterval(shown.timer);
    shown.timer = null;
    show();
  }

  function run() {
    if (over()) go(0, 0);
    clearInterval(shown.timer);
    shown.timer = setInterval(forward, 1000 / (STEPS_A_SECOND * $("speed").value));
    show();
  }

  /** Another maze, both of its ways drawn to their ends. */
  function choose(number) {
    shown.trial = trials[number];
    const last = shown.trial.episodes.length - 1;
    go(last, length(shown.trial.episodes[last]));
    stop();
  }

  $("maze").innerHTML = kinds.map((kind) => `<optgroup label="${kind.name}">${
    kind.trials.map((trial) => `<option value="${trials.indexOf(trial)}">${trial.maze}:
      ${trial.episodes.map(steps).join(", then ")}</option>`).join("")}</optgroup>`).join("");
  $("plans").innerHTML = trials[0].episodes.map((_, i) => `<button data-episode="${i}"><span></span>
    Episode ${i + 1}<b></b><span class="bar"><i></i></span></button>`).join("");
  $("played").textContent = MAZES.played;
  $("means").textContent = MAZES.mean_lengths.map((mean) => mean.toFixed(1)).join(" and then ");
  $("maze").addEventListener("change", () => choose($("maze").value));
  $("run").addEventListener("click", () => (shown.timer ? stop() : run()));
  $("speed").addEventListener("change", () => shown.timer && run());
  $("on").addEventListener("click", () => { stop(); forward(); });
  $("back").addEventListener("click", () => { stop(); back(); });
  $("moment").addEventListener("input", () => {
    const step = +$("moment").value; // stop() shows where it was
    stop();
    go(shown.episode, step);
  });
  $("plans").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) { stop(); go(+button.dataset.episode, 0); }
  });
  choose(0);
}
