"use strict";

const SAMPLES = 120; // a minute, at two a second
const RETRY_MS = 2000;
const STATES = ["in_progress", "waiting", "idle", "lingering", "upgraded"];
const STEPS = ["running", "lame_duck", "draining", "aborting", "stopped"];
const OUTCOMES = [
  "answered", "completed", "closed_idle", "handler_panicked", "rejected", "answered_503", "crossed_the_close",
  "delivery_unconfirmed", "client_disconnected", "client_stalled", "body_failed", "upgraded", "cut",
];
const BAD = ["handler_panicked", "answered_503", "body_failed", "cut"];

const $ = (id) => document.getElementById(id);
const words = (name) => name.replaceAll("_", " ");
const sum = (counts) => Object.values(counts).reduce((a, b) => a + b, 0);

let token = null; // only here, and only until the page is closed
let last = null; // the last snapshot that is shown
let ended = false; // the report has come
let again = false; // another program is to be shown
let paused = false;
let samples = [];

// ---- text

const count = (number) => number.toLocaleString("en").replaceAll(",", "\u202f");

function plural(number, thing) {
  return `${count(number)} ${thing}${number === 1 ? "" : "s"}`;
}

function rate(number) {
  return number >= 100 || Number.isInteger(number) ? count(Math.round(number)) : number.toFixed(1);
}

function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (number >= 1023.5 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  return `${unit === 0 || number >= 99.95 ? Math.round(number) : number.toFixed(1)} ${units[unit]}`;
}

function seconds(time) {
  if (time < 0.001) return `${Math.round(time * 1e6)} µs`;
  if (time < 1) return `${Number((time * 1e3).toPrecision(3))} ms`;
  if (time < 60) return `${time.toFixed(1)} s`;
  const whole = Math.floor(time);
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => whole >= size);
  return parts.slice(first, first + 2)
    .map(([size, unit], index) => `${Math.floor((index ? whole % parts[first][0] : whole) / size)} ${unit}`)
    .join(" ");
}

function bound(quantile) {
  if (!quantile) return "–";
  if ("above_seconds" in quantile) return `> ${seconds(quantile.above_seconds)}`;
  const at = quantile.at_most_seconds;
  return `≤ ${at < 1 ? seconds(at) : `${at} s`}`;
}

const clock = () => new Date().toLocaleTimeString("en-GB");

// ---- the document

function text(target, value) {
  const element = typeof target === "string" ? $(target) : target;
  if (element.textContent !== value) element.textContent = value;
}

function show(id, visible) {
  $(id).hidden = !visible;
}

// Brings the rows of a table up to date, and leaves alone what has not changed.
function rows(body, contents, classes = []) {
  while (body.rows.length > contents.length) body.deleteRow(-1);
  contents.forEach((cells, index) => {
    const row = body.rows[index] || body.insertRow();
    cells.forEach((cell, at) => text(row.cells[at] || row.insertCell(), cell));
    row.className = classes[index] || "";
  });
}

function pairs(list, contents) {
  while (list.children.length > contents.length) list.lastElementChild.remove();
  contents.forEach(([name, value, state], index) => {
    let pair = list.children[index];
    if (!pair) {
      pair = document.createElement("div");
      pair.append(document.createElement("dt"), document.createElement("dd"));
      list.append(pair);
    }
    if (state) pair.firstChild.dataset.state = state;
    text(pair.firstChild, name);
    text(pair.lastChild, value);
  });
}

function curve(id, values) {
  const top = Math.max(...values.filter((value) => value !== null), 1e-9);
  let line = "";
  let area = "";
  let start = null;
  const end = (x) => {
    if (start !== null) area += `L${x} 30L${start} 30Z`;
    start = null;
  };
  values.forEach((value, index) => {
    const x = SAMPLES - values.length + index;
    if (value === null) return end(x - 1);
    const point = `${x} ${(29 - (27 * value) / top).toFixed(2)}`;
    line += (start === null ? "M" : "L") + point;
    area += (start === null ? "M" : "L") + point;
    if (start === null) start = x;
  });
  end(SAMPLES - 1);
  const [areaPath, linePath] = $(id).children;
  areaPath.setAttribute("d", area);
  linePath.setAttribute("d", line);
}

function phase(name, label) {
  const element = $("phase");
  element.dataset.phase = name;
  text(element, label || words(name));
  document.title = `${label || words(name)} · ${last ? last.address : "farewell"}`;
}

function notice(message) {
  show("notice", Boolean(message));
  text("notice", message || "");
}

// ---- a snapshot

function isOther(snapshot) {
  return again || last && (snapshot.process !== last.process || snapshot.uptime_seconds < last.uptime_seconds);
}

function take(snapshot) {
  if (isOther(snapshot)) {
    samples = [];
    last = null;
    again = false;
    show("report", false);
    show("pause", true);
  }
  const { rates, latency, workers } = snapshot;
  const p99 = latency && latency.p99;
  samples.push({
    requests: rates ? rates.requests_per_second : null,
    sent: rates ? rates.sent_bytes_per_second : null,
    latency: p99 ? p99.at_most_seconds ?? p99.above_seconds : null,
    busy: workers.busy,
  });
  if (samples.length > SAMPLES) samples.shift();
  const before = last && last.phase;
  last = snapshot;
  if (before !== snapshot.phase) {
    announce(snapshot);
    setPaused(false); // the stop is shown in any case
  }
  refresh();
}

function announce({ phase: name, connections }) {
  if (name === "running") text("live", "The program runs.");
  else text("live", `${words(name)}: ${plural(connections.in_progress, "request")} in progress`);
}

function render(snapshot) {
  show("main", true);
  show("login", false);
  $("main").classList.remove("stale");
  text("address", snapshot.address);
  text("about", `up ${seconds(Math.floor(snapshot.uptime_seconds))}, farewell ${snapshot.version}, process ${snapshot.process}`);
  phase(snapshot.phase);
  renderFigures(snapshot);
  renderStop(snapshot);
  renderConnections(snapshot);
  renderWorkers(snapshot);
  renderTotals(snapshot);
}

function renderFigures({ rates, latency, workers }) {
  const values = (name) => samples.map((sample) => sample[name]);
  const peak = Math.max(...values("requests").filter((value) => value !== null), 0);
  text("requests", rates ? rate(rates.requests_per_second) : "–");
  text("requests-more", rates ? `peak ${rate(peak)}` : "");
  text("p50", bound(latency && latency.p50));
  text("p99", latency && latency.p99 ? `p99 ${bound(latency.p99)}` : "no request ended in 10 s");
  text("sent", rates ? bytes(rates.sent_bytes_per_second) : "–");
  text("received", rates ? `${bytes(rates.received_bytes_per_second)} received` : "");
  text("busy", count(workers.busy));
  text("busy-of", `of ${count(workers.workers)}`);
  text("queue", workers.queued
    ? `${plural(workers.queued, "connection")} waiting, ${seconds(workers.queued_seconds || 0)}`
    : "no connection waits");
  curve("requests-spark", values("requests"));
  curve("latency-spark", values("latency"));
  curve("sent-spark", values("sent"));
  curve("busy-spark", values("busy"));
}

function renderStop({ phase: name, stop, limits, connections, shutdown }) {
  const stopping = name !== "running";
  show("stopping", stopping && !ended);
  show("stop", shutdown !== "none" && !ended && name !== "aborting" && name !== "stopped");
  text("stop", stopping ? "Cut now…" : "Stop…");
  if (!stop) return;
  for (const step of $("steps").children) {
    const at = STEPS.indexOf(step.dataset.step);
    const now = STEPS.indexOf(name);
    const skipped = step.dataset.step === "lame_duck" && limits.lame_duck_seconds === 0
      || step.dataset.step === "aborting" && name !== "aborting";
    step.hidden = skipped;
    step.className = at < now ? "done" : "";
    if (at === now) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  }
  const left = stop.seconds_left;
  const inProgress = connections.in_progress + connections.waiting - connections.followers;
  const parts = [`${plural(Math.max(inProgress, 0), "request")} in progress`];
  if (connections.idle) parts.push(`${plural(connections.idle, "connection")} idle`);
  if (connections.lingering) parts.push(`${count(connections.lingering)} waiting for the client to close`);
  if (stop.response_bytes_left) parts.push(`${bytes(stop.response_bytes_left)} to send`);
  let sentence = `${parts.join(", ")}.`;
  if (name === "lame_duck") {
    const drainIn = Math.max(left - limits.drain_timeout_seconds, 0);
    sentence += ` The program serves as before, and /readyz is a 503. The drain begins in ${drainIn.toFixed(1)} s.`;
  } else if (name === "draining") {
    if (stop.likely_seconds !== null) {
      sentence += ` Sending is likely to take ${seconds(stop.likely_seconds)}${stop.before_deadline ? "" : ", longer than is left"}.`;
    }
    sentence += ` What is left in ${left.toFixed(1)} s is cut.`;
  } else if (name === "aborting") {
    sentence += " What is left is being cut.";
  }
  text("stopping-text", sentence);
  const whole = limits.drain_timeout_seconds + (name === "lame_duck" ? limits.lame_duck_seconds : 0);
  $("time-left").style.width = `${whole ? Math.min(100, (100 * left) / whole) : 0}%`;
}

function renderConnections({ connections, connections_max }) {
  const bar = $("states");
  STATES.forEach((state, index) => {
    const part = bar.children[index] || bar.appendChild(document.createElement("div"));
    part.dataset.state = state;
    part.style.flex = `${connections[state]} 1 0`;
    part.hidden = connections[state] === 0;
  });
  const states = STATES.map((state) => [words(state), count(connections[state]), state]);
  pairs($("legend"), [...states, ["open", `${count(connections.open)} of at most ${count(connections_max)}`]]);
}

function renderWorkers({ workers }) {
  const cells = $("cells");
  const shown = workers.workers <= 256 ? workers.workers : 0;
  while (cells.children.length > shown) cells.lastElementChild.remove();
  while (cells.children.length < shown) cells.append(document.createElement("div"));
  const times = new Map(workers.busy_seconds);
  [...cells.children].forEach((cell, index) => {
    const time = times.get(index + 1);
    const kind = time === undefined ? "" : time < 1 ? "short" : time < 10 ? "long" : "longer";
    if (cell.className !== kind) cell.className = kind;
  });
  const calls = workers.calls.map(({ worker, code, request, seconds: time }) => {
    const what = request && request.method ? `${request.method} ${request.target}` : "–";
    return [seconds(time), what, request ? request.peer : "–", code.replace(/^the /, ""), String(worker)];
  });
  rows($("calls").tBodies[0], calls);
  show("calls", calls.length > 0);
  show("calls-none", calls.length === 0);
  const more = workers.busy - calls.length;
  show("calls-more", more > 0);
  text("calls-more", `and ${count(more)} more`);
}

function renderTotals({ totals }) {
  const { connections, requests } = totals;
  const outcomes = Object.entries(requests.ended).filter(([name, number]) => number || name === "answered");
  const classes = new Map();
  for (const [status, number] of Object.entries(requests.statuses)) {
    const name = `${status[0]}xx`;
    classes.set(name, (classes.get(name) || 0) + number);
  }
  pairs($("totals"), [
    ["connections", count(connections.accepted)],
    ["requests", count(requests.begun)],
    ...outcomes.map(([name, number]) => [words(name), count(number)]),
    ...[...classes].map(([name, number]) => [`answers ${name}`, count(number)]),
    ["sent", bytes(totals.sent_bytes)],
    ["received", bytes(totals.received_bytes)],
  ]);
}

// ---- the report

function outcomes(table, { ended: all, ended_after_trigger: after }) {
  const names = Object.keys(all)
    .filter((name) => all[name] || ["answered", "completed"].includes(name))
    .sort((a, b) => OUTCOMES.indexOf(a) - OUTCOMES.indexOf(b));
  const contents = names.map((name) => [words(name), count(all[name]), count(after[name] || 0)]);
  contents.push(["total", count(sum(all)), count(sum(after))]);
  rows($(table).tBodies[0], contents, names.map((name) => (BAD.includes(name) && all[name] ? "bad" : "")));
}

function renderReport({ summary, all_answered, report }) {
  ended = true;
  notice("");
  show("main", true);
  show("stopping", false);
  show("stop", false);
  show("pause", false);
  if ($("dialog").open) $("dialog").close();
  phase("stopped");
  const headline = all_answered ? "Stopped. Every request was answered." : "Stopped. Not every request was answered.";
  text("report-title", headline);
  text("report-summary", `${summary[0].toUpperCase()}${summary.slice(1)}. At ${clock()}; the numbers below are the last ones.`);
  $("report").className = all_answered ? "good" : "bad";
  outcomes("report-requests", report.requests);
  outcomes("report-connections", report.connections);
  show("report-cut", report.cut.length > 0);
  rows($("report-cut").tBodies[0], report.cut.map((cut) => [
    cut.route, cut.peer, seconds(cut.seconds), cut.handler_running ? "running" : "returned",
  ]));
  show("report", true);
  text("live", headline);
  $("report").scrollIntoView({ block: "nearest" });
}

// ---- the stream

const headers = (more) => ({ ...(token ? { authorization: `Bearer ${token}` } : {}), ...more });

// Calls `each` for every event (WHATWG HTML, section 9.2.6), until the end of the stream.
// `EventSource` cannot send a token.
async function read(stream, each) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const fields = event.split("\n").map((line) => line.split(/: (.*)/s));
      const of = (name) => fields.filter((field) => field[0] === name).map((field) => field[1]).join("\n");
      if (of("data")) each(of("event") || "message", JSON.parse(of("data")));
    }
  }
}

async function follow() {
  let problem = null;
  try {
    const response = await fetch("status/events", { headers: headers(), cache: "no-store" });
    if (response.status === 401) return askForToken();
    if (response.ok) {
      notice("");
      await read(response.body, (kind, data) => (kind === "report" ? renderReport(data) : take(data)));
    } else {
      problem = (await response.text()).trim();
    }
  } catch {
    // The connection was refused or has broken.
  }
  if (ended) return;
  if (!problem && last) problem = `connection lost at ${clock()}: the numbers below are older`;
  notice(`${problem || "no connection"}; trying again`);
  phase("lost", "no connection");
  $("main").classList.add("stale");
  setTimeout(follow, RETRY_MS);
}

// ---- the token

function askForToken() {
  text("login-error", token ? "wrong token" : "");
  token = null;
  phase("lost", "locked");
  show("main", false);
  show("login", true);
  $("login-token").focus();
}

$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("login-token").value.trim();
  $("login-token").value = "";
  follow();
});

// ---- the stop

let now = false;

function ask() {
  now = last.phase !== "running";
  const { connections, limits } = last;
  const requests = plural(connections.in_progress, "request");
  text("dialog-title", now ? "Cut what is left?" : "Stop the program?");
  text("dialog-text", now
    ? `${requests} in progress. Those that no handler has started get a 503, and the others are cut.`
    : `${requests} in progress. ${limits.lame_duck_seconds
      ? `For ${seconds(limits.lame_duck_seconds)} the program serves as before, and /readyz is a 503. Then it`
      : "The program"} takes no new connections, and answers the requests that it has. What is left after ${limits.drain_timeout_seconds} s is cut.`);
  text("go", now ? "Cut now" : "Stop");
  text("dialog-error", "");
  show("dialog-field", last.shutdown === "token" && !token);
  $("dialog").showModal();
  ($("dialog-field").hidden ? $("cancel") : $("token")).focus();
}

async function stop(event) {
  event.preventDefault();
  if (!$("dialog-field").hidden) token = $("token").value.trim();
  $("token").value = "";
  $("go").disabled = true;
  try {
    const response = await fetch(now ? "shutdown?now" : "shutdown", { method: "POST", headers: headers() });
    if (response.ok) {
      $("dialog").close();
    } else {
      if (response.status === 401) {
        token = null;
        show("dialog-field", true);
      }
      text("dialog-error", (await response.text()).trim());
    }
  } catch {
    text("dialog-error", "the program does not answer");
  }
  $("go").disabled = false;
}

function setPaused(value) {
  paused = value;
  $("pause").setAttribute("aria-pressed", paused);
  text("pause", paused ? "Resume" : "Pause");
}

function refresh() {
  if (last && !paused && !ended && !document.hidden) render(last);
}

$("stop").addEventListener("click", ask);
$("cancel").addEventListener("click", () => $("dialog").close());
$("confirm").addEventListener("submit", stop);
$("pause").addEventListener("click", () => {
  setPaused(!paused);
  refresh();
});
$("again").addEventListener("click", () => {
  ended = false;
  again = true;
  follow();
});
document.addEventListener("visibilitychange", refresh);

follow();
