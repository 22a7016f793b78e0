"use strict";
// The list of items and the opened one. A page that is served asks for both; an exported one holds some items.
const data = JSON.parse(document.getElementById("data").textContent);
const options = { responsive: true, displaylogo: false,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
  ...(window.innerWidth < 700 ? { displayModeBar: false } : {}) }; // on a phone it would hide the names
const COLORS = data.colors;
const TINTS = { "burn-in": "rgba(120,120,120,0.16)", lookahead: "rgba(230,159,0,0.16)", padding: "rgba(0,0,0,0.06)" };
const $ = (id) => document.getElementById(id);
const shown = (value, digits = 4) => (value === null || value === undefined ? "" :
  Number.isInteger(value) ? value.toLocaleString("en") : Number(value.toPrecision(digits)).toString());
let sort = { column: "priority", descending: true };
let film = null;
let wanted = null;

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}
async function list() {
  if (data.live) return ask(`items?sort=${sort.column}&order=${sort.descending ? "descending" : "ascending"}`);
  const missing = (row) => row[sort.column] === null;
  return [...data.items].sort((a, b) => {
    if (missing(a) !== missing(b)) return missing(a) ? 1 : -1;
    return (a[sort.column] - b[sort.column]) * (sort.descending ? -1 : 1);
  });
}
const details = (id) => (data.live ? ask(`item?id=${id}`) : Promise.resolve(data.opened[id]));

async function fill() {
  const rows = await list();
  const body = $("items").tBodies[0];
  body.replaceChildren(...rows.map((row) => {
    const line = document.createElement("tr");
    line.tabIndex = 0;
    line.dataset.id = row.id;
    for (const column of data.columns) {
      const cell = line.insertCell();
      cell.className = "number";
      cell.textContent = shown(row[column]);
    }
    const open_ = () => open(row).then(() => { if (window.innerWidth < 900) $("item").scrollIntoView(); });
    line.addEventListener("click", open_);
    line.addEventListener("keydown", (event) => { if (event.key === "Enter") open_(); });
    return line;
  }));
  for (const head of document.querySelectorAll("#items th")) {
    head.removeAttribute("aria-sort");
    if (head.dataset.column === sort.column) head.setAttribute("aria-sort", sort.descending ? "descending" : "ascending");
  }
  $("count").textContent = data.live
    ? `${data.total.toLocaleString("en")} items; the first ${rows.length.toLocaleString("en")} in this order`
    : `${rows.length.toLocaleString("en")} of ${data.total.toLocaleString("en")} items are in this page`;
  return rows;
}
for (const head of document.querySelectorAll("#items th")) {
  head.querySelector("button").addEventListener("click", () => {
    const column = head.dataset.column;
    sort = { column, descending: sort.column === column ? !sort.descending : true };
    fill().catch(fail);
  });
}
function fail(error) { $("item-note").textContent = `Failed: ${error.message}`; }

// -- an opened item
async function open(row) {
  document.querySelectorAll("#items tr.open").forEach((line) => line.classList.remove("open"));
  document.querySelector(`#items tr[data-id="${row.id}"]`)?.classList.add("open");
  wanted = row.id;
  try {
    const item = await details(row.id);
    if (wanted === row.id) show(row, item); // another may have been opened meanwhile
  } catch (error) { fail(error); }
}
const kind = (item, k) => (item.step[k] < 0 ? "burn-in" : item.step[k] < item.length ? "trained" : "lookahead");

function show(row, item) {
  $("item-title").textContent = `Item ${item.id}`;
  const begin = item.whole ? "the episode's first step" : `${item.recomputed_from} steps before`;
  $("item-note").textContent = `${item.burn_in} steps of burn-in, ${item.length} of ${item.unroll} trained, ` +
    `${item.lookahead} to look ahead. The recurrent state is recomputed from ${begin}, with the weights of this checkpoint.`;
  const facts = [["priority", row.priority], ["chance of a draw", row.probability], ["importance weight", row.weight],
    ["age, updates", row.age], ["parameter lag, updates", row.lag], ["times drawn", row.drawn], ["return", row.return],
    ["Delta-Q, first step", row.delta_q_first], ["Delta-Q, last step", row.delta_q_last]];
  $("facts").replaceChildren(...facts.map(([name, value]) => {
    const box = document.createElement("div");
    box.innerHTML = "<dt></dt><dd></dd>";
    box.firstChild.textContent = name;
    box.lastChild.textContent = shown(value) || "not known";
    return box;
  }));
  $("charts").hidden = false;
  observe(item);
  drawValues(item);
  drawErrors(item);
  drawRewards(item);
  drawStates(item);
  $("item").dataset.open = item.id;
}

// -- charts: all share the steps, with burn-in, lookahead and padding shaded
function layout(item, y, extra = {}) {
  const end = item.unroll;
  const bands = [["burn-in", -item.burn_in - 0.5, -0.5], ["lookahead", item.length - 0.5, item.length + item.lookahead - 0.5],
    ["padding", item.length + item.lookahead - 0.5, Math.max(end, item.length + item.lookahead) - 0.5]];
  return {
    font: { family: data.font, size: 12, color: "#222" }, margin: { l: 56, r: 12, t: 8, b: 40 },
    paper_bgcolor: "white", plot_bgcolor: "white", hovermode: "x unified",
    xaxis: { title: { text: "step (0 is the first trained one)", standoff: 6 }, gridcolor: "#eee", zeroline: false, automargin: true,
      range: [-item.burn_in - 0.5, Math.max(end, item.length + item.lookahead) - 0.5] },
    yaxis: { title: { text: y, standoff: 6 }, gridcolor: "#eee", zerolinecolor: "#bbb", automargin: true },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 11 } }, showlegend: true,
    shapes: bands.filter(([, a, b]) => b > a).map(([name, a, b]) => ({ type: "rect", xref: "x", yref: "paper", x0: a, x1: b,
      y0: 0, y1: 1, fillcolor: TINTS[name], line: { width: 0 }, layer: "below" })),
    ...extra,
  };
}
const line = (name, x, y, color, more = {}) => ({ name, x, y, mode: "lines", line: { color, width: 2 }, ...more });
const isVector = (item) => Array.isArray(item.action[0]); // continuous actions: Q values are those of the critics
const names = (item) => item.action.map((a) => data.actions[a] ?? `action ${a}`);

function drawValues(item) {
  $("all-q-values").closest("figure").hidden = isVector(item);
  if (isVector(item)) drawCritics(item);
  else drawActionValues(item);
}
function drawCritics(item) {
  const traces = item.q.stored[0].flatMap((_, c) => [
    line(`critic ${c + 1}, state of training`, item.step, item.q.stored.map((q) => q[c]), COLORS[2 * c]),
    line(`critic ${c + 1}, recomputed state`, item.step, item.q.recomputed.map((q) => q[c]), COLORS[2 * c + 1],
      { line: { color: COLORS[2 * c + 1], width: 2, dash: "dash" } }),
  ]);
  Plotly.react("q-values", traces, layout(item, "Q"), options);
}
function drawActionValues(item) {
  const { stored, recomputed, actor_taken } = item.q;
  const taken = item.action.map((a, k) => stored[k][a]);
  const best = (rows) => rows.map((q) => Math.max(...q));
  const traces = [
    line("highest, state of training", item.step, best(stored), COLORS[0]),
    line("highest, recomputed state", item.step, best(recomputed), COLORS[1], { line: { color: COLORS[1], width: 2, dash: "dash" } }),
    line("action taken, now", item.step, taken, COLORS[2], { mode: "markers", marker: { size: 6, color: COLORS[2] }, text: names(item),
      hovertemplate: "%{y:.4g} (%{text})" }),
    line("action taken, when it acted", item.step, actor_taken, COLORS[6], { mode: "markers",
      marker: { size: 7, symbol: "x-thin", line: { width: 1.5, color: COLORS[6] } } }),
  ];
  Plotly.react("q-values", traces, layout(item, "Q"), options);
  const actions = stored[0].map((_, a) => a);
  Plotly.react("all-q-values", [{ type: "heatmap", x: item.step, y: actions.map((a) => data.actions[a] ?? String(a)),
    z: actions.map((a) => stored.map((q) => q[a])), colorscale: "Cividis", colorbar: { thickness: 10 },
    hovertemplate: "step %{x}, %{y}: %{z:.4g}<extra></extra>" },
    line("taken", item.step.slice(0, -1), item.action.slice(0, -1).map((a) => data.actions[a] ?? String(a)), "white",
      { mode: "markers", marker: { color: "white", size: 5, line: { color: "black", width: 1 } }, hoverinfo: "skip" })],
    layout(item, "", { hovermode: "closest", showlegend: false, height: Math.max(200, 60 + 14 * actions.length),
      yaxis: { type: "category", automargin: true } }), options);
}
function drawErrors(item) {
  const steps = item.step.slice(item.burn_in, item.burn_in + item.length);
  Plotly.react("td-errors", [
    { name: "TD error", type: "bar", x: steps, y: item.td_error, marker: { color: COLORS[5] } },
    line("target", steps, item.target, COLORS[1]),
    line("Q of the action", steps, item.q_taken, COLORS[0]),
  ], layout(item, "value"), options);
}
function drawRewards(item) {
  const rows = item.step.length - 1; // the last row has no action
  const ends = item.step.filter((_, k) => item.terminated[k] || item.truncated[k]);
  const actions = isVector(item)
    ? item.action[0].map((_, part) => line(`action ${part}`, item.step.slice(0, rows), item.action.slice(0, rows).map((a) => a[part]),
      COLORS[(3 + part) % COLORS.length], { yaxis: "y2" }))
    : [line("action", item.step.slice(0, rows), item.action.slice(0, rows), COLORS[3], { mode: "markers", yaxis: "y2", text: names(item),
      marker: { color: COLORS[3], size: 5 }, hovertemplate: "%{text}" })];
  Plotly.react("rewards", [
    { name: "reward", type: "bar", x: item.step.slice(0, rows), y: item.reward.slice(0, rows), marker: { color: COLORS[2] } },
    ...actions,
    line("end of the episode", ends, ends.map(() => 0), COLORS[6], { mode: "markers", marker: { symbol: "x", size: 9, color: COLORS[6] } }),
  ], layout(item, "reward", { yaxis2: { overlaying: "y", side: "right", title: { text: "action", standoff: 4 }, showgrid: false,
    zeroline: false, ...(!isVector(item) && data.actions.length < 8 ? { dtick: 1 } : {}), automargin: true } }), options);
}
function drawStates(item) {
  Plotly.react("states", [line("Delta-Q", item.step, item.delta_q, COLORS[4], { mode: "lines+markers", marker: { size: 4 } })],
    layout(item, "Delta-Q", { showlegend: false }), options);
}

// -- observations: frames as a strip and a film, vectors as lines
function observe(item) {
  if (film) clearInterval(film);
  film = null;
  const place = $("observations");
  place.replaceChildren();
  for (const [name, seen] of Object.entries(item.observations)) {
    const heading = document.createElement("h3");
    heading.textContent = name;
    place.append(heading);
    if (seen.kind === "frames") frames(place, item, seen);
    else vectors(place, item, seen, name);
  }
}
function vectors(place, item, seen, name) {
  const box = document.createElement("div");
  box.className = "plot";
  box.style.height = "250px";
  box.id = `observation-${name}`;
  place.append(box);
  const wide = seen.values[0].length > 12;
  const traces = wide
    ? [{ type: "heatmap", x: item.step, z: seen.values[0].map((_, d) => seen.values.map((row) => row[d])), colorscale: "Cividis" }]
    : seen.values[0].map((_, d) => line(`${d}`, item.step, seen.values.map((row) => row[d]), COLORS[d % COLORS.length],
        { line: { width: 1.6, color: COLORS[d % COLORS.length], dash: ["solid", "dash"][Math.floor(d / COLORS.length) % 2] } }));
  Plotly.newPlot(box, traces, layout(item, wide ? "number" : "value"), options);
  if (seen.hidden) place.append(`${seen.hidden} more numbers are not shown`);
}
function frames(place, item, seen) {
  const picture = new Image();
  const scale = Math.max(1, Math.floor(64 / seen.height)), big = Math.max(1, Math.floor(252 / seen.height));
  const draw = (canvas, k, times) => {
    canvas.width = seen.width * times;
    canvas.height = seen.height * times;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, (k % seen.across) * seen.width, Math.floor(k / seen.across) * seen.height, seen.width, seen.height,
      0, 0, canvas.width, canvas.height);
  };
  const strip = document.createElement("div");
  strip.className = "strip";
  const player = document.createElement("div");
  player.className = "film";
  player.innerHTML = '<canvas></canvas><button type="button">play</button><input type="range" min="0" aria-label="step"><output></output>';
  const [screen, play, slider, text] = player.children;
  slider.max = seen.count - 1;
  const go = (k) => {
    slider.value = k;
    draw(screen, k, big);
    const action = k < item.action.length - 1 ? (data.actions[item.action[k]] ?? `action ${item.action[k]}`) : "";
    text.textContent = `step ${item.step[k]} ${action}`;
    strip.querySelectorAll(".now").forEach((one) => one.classList.remove("now"));
    strip.children[k].classList.add("now");
  };
  slider.addEventListener("input", () => go(Number(slider.value)));
  play.addEventListener("click", () => {
    if (film) { clearInterval(film); film = null; play.textContent = "play"; return; }
    play.textContent = "stop";
    film = setInterval(() => go((Number(slider.value) + 1) % seen.count), 1000 / 15);
  });
  const legend = document.createElement("p");
  legend.className = "legend";
  legend.innerHTML = '<span style="background:#b8b8b8;margin-left:0"></span>burn-in<span style="background:#0072b2"></span>trained' +
    '<span style="background:#e69f00"></span>lookahead';
  place.append(legend, strip, player);
  picture.addEventListener("load", () => {
    for (let k = 0; k < seen.count; k++) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = kind(item, k);
      const canvas = document.createElement("canvas");
      draw(canvas, k, scale);
      button.append(canvas, String(item.step[k]));
      button.addEventListener("click", () => go(k));
      strip.append(button);
    }
    go(item.burn_in);
  });
  picture.src = seen.sprite;
}

for (const [name, chart] of Object.entries(data.overview)) Plotly.newPlot(name, chart.data, chart.layout, options);
$("charts").hidden = true;
fill().then((rows) => (rows.length ? open(rows[0]) : null)).catch(fail); // something to see at once
