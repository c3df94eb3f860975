"use strict";
// Text of models and environments becomes text nodes and attributes, never markup.

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// --- one start, evaluation by evaluation: a slider above each column ---

for (const start of document.querySelectorAll(".start")) {
  const cards = {}; // by place: those that wait, and those that are shown at first
  for (const waiting of start.querySelectorAll("template")) {
    cards[waiting.dataset.place] = waiting.content.firstElementChild;
  }
  for (const column of start.querySelectorAll(".column")) {
    const slider = column.querySelector("input");
    cards[slider.defaultValue] = column.querySelector(".card");
    const show = () => {
      const card = cards[slider.value].cloneNode(true);
      slider.ariaValueText = card.querySelector(".head").textContent.replace(/\s+/g, " ").trim();
      column.querySelector(".shown").replaceChildren(card);
    };
    slider.addEventListener("input", show);
    slider.parentElement.hidden = slider.max < 1;
  }
}

// --- token by token ---

const MODES = {
  trained: {
    name: "mask",
    about: "Which tokens are trained: those that the policy wrote, of the sections that the run trains. All others were only read.",
    classes: [["trained", "trained"], ["untrained", "written, not trained"], ["read", "read"]],
  },
  section: { name: "section", about: "Which part of its reply a token belongs to." },
  advantage: {
    name: "advantage",
    about: "How much better than expected it went from this token on, as it was trained on: blue tokens are made likelier, orange (underlined) ones less likely.",
    signed: true,
  },
  value: {
    name: "value",
    about: "The return that the critic expected before the token was written.",
    signed: true,
  },
  entropy: {
    name: "entropy",
    about: "How undecided the policy was before the token, in nats: 0 where only one token was possible.",
  },
  ratio: {
    name: "log-probability, new to old",
    about: "What the update did: log of the token's probability after it over the one before it, in nats. Framed where the ratio has left the clip range.",
    signed: true,
  },
};

function tokenView(data) {
  const find = (id) => document.getElementById(id);
  const [iterations, episodes] = [find("iteration"), find("episode")];
  let mode = "advantage";
  let scale = 1;

  const figure = (turn, i, name = mode) =>
    name === "ratio"
      ? turn.logprob_new[i] === null || turn.logprob_old[i] === null
        ? null
        : turn.logprob_new[i] - turn.logprob_old[i]
      : turn[name]?.[i];
  const shown = (x, signed) =>
    x === null || x === undefined ? "not a number" : (signed && x > 0 ? "+" : "") + Number(x.toPrecision(3));
  const here = () => data.iterations[iterations.value].episodes;

  function tell(turn, i, number) {
    const section = data.sections[turn.section[i]] ?? "not read";
    const parts = [`turn ${number}, token ${i + 1} of ${turn.written.length}`, section];
    parts.push(turn.trained[i] ? "trained" : "not trained");
    for (const name of ["advantage", "value", "entropy"]) {
      if (turn[name]) parts.push(`${name} ${shown(figure(turn, i, name), MODES[name].signed)}`);
    }
    const change = figure(turn, i, "ratio");
    parts.push(`log-probability ${shown(turn.logprob_old[i])}, change ${shown(change, true)}`);
    if (change !== null) parts.push(`ratio ${shown(Math.exp(change))}`);
    return parts.join(" · ");
  }

  function paint(token, turn, i) {
    const value = figure(turn, i);
    token.className = "token";
    token.style.removeProperty("--share");
    if (mode === "trained") token.classList.add(value ? "trained" : "untrained");
    else if (mode === "section") token.classList.add(`section-${data.sections[value] ?? "none"}`);
    else if (typeof value === "number") {
      const share = Math.min(1, Math.abs(value) / scale);
      if (share > 0.02) token.classList.add(value < 0 ? "below" : "above");
      token.style.setProperty("--share", share.toFixed(3));
      const ratio = Math.exp(value);
      if (mode === "ratio" && (ratio < data.clip[0] || ratio > data.clip[1])) token.classList.add("clipped");
    } else token.classList.add("none");
  }

  function measure() {
    // one scale for an iteration, so that its episodes compare; the largest tenth saturates
    const all = here().flatMap((e) => e.turns.flatMap((t) => t.written.map((_, i) => figure(t, i))));
    const sorted = all.filter(Number.isFinite).map(Math.abs).sort((a, b) => a - b);
    scale = sorted[Math.floor(0.9 * (sorted.length - 1))] || sorted.at(-1) || 1;
  }

  function legend() {
    const { signed, classes } = MODES[mode];
    const keys = classes ?? (mode === "section" ? data.sections.map((s) => [`section-${s}`, s]) : null);
    if (keys) return keys.map(([style, name]) => element("span", { className: `token key-of ${style}`, textContent: name }));
    const bar = element("span", { className: signed ? "bar both" : "bar" });
    return [signed ? `${shown(-scale)} or less` : "0", bar, `${shown(scale, signed)} or more`];
  }

  function repaint() {
    measure();
    find("about").textContent = MODES[mode].about;
    find("scale").replaceChildren(...legend());
    const { turns } = here()[episodes.value];
    for (const token of find("turns").querySelectorAll("[data-turn]")) {
      paint(token, turns[token.dataset.turn], Number(token.dataset.token));
    }
  }

  function words(turn, k) {
    const text = element("pre", { className: "tokens" });
    turn.written.forEach((t, i) => {
      const token = element("span", { textContent: written(t), title: tell(turn, i, k + 1), tabIndex: i ? -1 : 0 });
      Object.assign(token.dataset, { turn: k, token: i });
      text.append(token);
    });
    return text;
  }

  function read(turn) {
    const tokens = turn.read.map((t) => element("span", { className: "token read", textContent: t, title: "read, not written: not trained" }));
    return element("pre", { className: "board" }, ...tokens);
  }

  // of tokens that only together make a character the last one has it; a line end is seen
  const written = (text) => text.replaceAll("\n", "⏎\n") || "·";

  function claims([section, rows]) {
    const marks = { same: "✓", differs: "✗ differs", "not said": "not said" };
    const title = section === "prediction" ? "Predicted, and what came" : `Claimed (${section}), and true`;
    const head = ["fact", "says", "true", ""].map((t) => element("th", { textContent: t, scope: "col" }));
    const body = rows.map((row) => {
      const cells = [...row.slice(0, 3), marks[row[3]]].map((t) => element("td", { textContent: t }));
      return element("tr", { className: row[3].replace(" ", "-") }, ...cells);
    });
    const caption = element("caption", { className: "label", textContent: title });
    return element("table", { className: "claims" }, caption, element("tr", {}, ...head), ...body);
  }

  function picture(place, alt) {
    return place === null ? [] : [element("img", { src: data.pictures[place], alt, title: alt })];
  }

  function turnOf(turn, k) {
    const reward = element("span", { className: "badge" + (turn.reward > 0 ? " good" : ""), textContent: shown(turn.reward, true) });
    const played = turn.played.length ? turn.played.map((m) => element("code", { className: "move", textContent: m })) : ["nothing"];
    const title = element("span", { className: "label", textContent: `Turn ${k + 1}` });
    const left = element("div", { className: "state" });
    left.append(...picture(turn.picture, `The board before turn ${k + 1}; its text is among the tokens read`));
    left.append(...turn.claims.map(claims));
    const right = element("div", {}, read(turn), words(turn, k), element("div", { className: "small" }, "played ", ...played));
    return element("div", { className: "turn" }, element("div", { className: "head" }, title, reward), element("div", { className: "pair" }, left, right));
  }

  function showEpisode() {
    const episode = here()[episodes.value];
    const end = element("div", { className: "turn" }, ...picture(episode.last_picture, "The board at the end"));
    const left = episode.left_out ? ` ${episode.left_out} further tokens were not stored.` : "";
    end.append(element("p", { className: "soft small", textContent: `End: ${episode.end}.${left}` }));
    find("turns").replaceChildren(...episode.turns.map(turnOf), end);
    repaint();
  }

  function showIteration() {
    const names = here().map((e) =>
      `${e.success ? "✓" : "✗"} return ${shown(e.return, true)}, start ${e.seed}, member ${e.member}${e.task ? `, ${e.task}` : ""}`);
    episodes.replaceChildren(...names.map((name, i) => new Option(name, i)));
    showEpisode();
  }

  const inspect = (event) => {
    const token = event.target.closest?.("[data-turn]");
    if (token) find("told").textContent = `${JSON.stringify(token.textContent)} · ${token.title}`;
  };
  const walk = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.dataset.turn) return;
    const all = [...find("turns").querySelectorAll("[data-turn]")];
    all[all.indexOf(event.target) + step]?.focus();
    event.preventDefault();
  };

  const valued = data.iterations.some((it) => it.episodes.some((e) => e.turns.some((t) => t.value)));
  const modes = Object.keys(MODES).filter((m) => m !== "value" || valued);
  find("colours").append(...modes.map((m) => {
    const input = element("input", { type: "radio", name: "colour", value: m, checked: m === mode });
    input.addEventListener("change", () => { mode = m; repaint(); });
    return element("label", {}, input, ` ${MODES[m].name}`);
  }));
  iterations.replaceChildren(...data.iterations.map((it, i) => new Option(it.iteration, i)));
  iterations.value = data.iterations.length - 1;
  iterations.addEventListener("change", showIteration);
  episodes.addEventListener("change", showEpisode);
  find("turns").addEventListener("mouseover", inspect);
  find("turns").addEventListener("focusin", inspect);
  find("turns").addEventListener("keydown", walk);
  find("viewer").hidden = false;
  showIteration();
}

const stored = document.getElementById("figures");
if (stored) tokenView(JSON.parse(stored.textContent));
