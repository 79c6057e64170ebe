#include "proxy/admin/status_page.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "proxy/base/check.h"

namespace postern::admin {
namespace {

// @NONCE@ is replaced. Everything the server or a configuration said reaches the document through
// textContent or setAttribute only.
constexpr char kPage[] =
    R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Postern</title>
<link rel="icon" href="data:,">
<style nonce="@NONCE@">
:root {
  color-scheme: light dark;
  --paper: #fbfbf9; --ink: #1d2126; --quiet: #5a626c; --line: #dcdfe3; --card: #ffffff;
  --good: #19703a; --bad: #b3261e; --warn: #8a5a00; --trace: #2a62c9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --ink: #e6e8ea; --quiet: #9aa3ad; --line: #31373e; --card: #1c2024;
    --good: #6fd394; --bad: #ff8a80; --warn: #f0c060; --trace: #8ab4ff;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
header, main { max-width: 90rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .25rem 1rem;
  padding-top: 1.25rem; }
h1 { font-size: 1.4rem; margin: 0; }
h2 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
#about, .quiet { color: var(--quiet); }
#state { font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
#figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  gap: .75rem; margin: 1rem 0 0; padding: 0; }
#figures div { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .6rem .8rem; }
#figures dt { color: var(--quiet); font-size: .85rem; }
#figures dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .65rem; text-align: right; white-space: nowrap;
  border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--quiet); font-size: .85rem; font-weight: 600; }
th:first-child, td.text, th.text { text-align: left; }
td.wrap { white-space: normal; min-width: 12rem; text-align: left; }
tbody th { font-weight: 600; }
svg { display: block; margin-left: auto; }
polyline { fill: none; stroke: var(--trace); stroke-width: 1.5; }
footer { max-width: 90rem; margin: 0 auto; padding: 1rem 1.25rem 2rem; color: var(--quiet);
  font-size: .85rem; }
a { color: inherit; }
</style>
</head>
<body>
<header>
  <h1>Postern</h1>
  <span id="state" role="status">loading</span>
  <span id="about"></span>
</header>
<main>
  <dl id="figures"></dl>
  <h2 id="listeners-title">Listeners</h2>
  <div class="scroll" tabindex="0" role="region" aria-labelledby="listeners-title">
  <table aria-labelledby="listeners-title">
    <thead><tr><th scope="col">Name</th><th scope="col">Sessions</th>
      <th scope="col">Logins/s, 2 min</th><th scope="col">Logins/s</th>
      <th scope="col">Accepted</th><th scope="col">Refused</th><th scope="col">Unknown user</th>
      <th scope="col">Unavailable</th><th scope="col">Limited</th>
      <th scope="col">Connections</th><th scope="col">In</th>
      <th scope="col">Out</th></tr></thead>
    <tbody id="listeners"></tbody>
  </table></div>
  <h2 id="backends-title">Backends</h2>
  <div class="scroll" tabindex="0" role="region" aria-labelledby="backends-title">
  <table aria-labelledby="backends-title">
    <thead><tr><th scope="col">Name</th><th scope="col" class="text">Pool</th>
      <th scope="col" class="text">Health</th><th scope="col">Weight</th><th scope="col">Sessions</th>
      <th scope="col">Logins/s, 2 min</th>
      <th scope="col">Logins/s</th><th scope="col">Accepted</th><th scope="col">Refused</th>
      <th scope="col">Connect</th><th scope="col">Login</th><th scope="col">Errors/min</th>
      <th scope="col" class="text">Errors since start</th></tr></thead>
    <tbody id="backends"></tbody>
  </table></div>
  <h2 id="certificates-title">Certificates</h2>
  <div class="scroll" tabindex="0" role="region" aria-labelledby="certificates-title">
  <table aria-labelledby="certificates-title">
    <thead><tr><th scope="col">File</th><th scope="col">Days left</th></tr></thead>
    <tbody id="certificates"></tbody>
  </table></div>
</main>
<footer>Refreshed every 2 seconds. Also here: <a href="/metrics">/metrics</a>,
<a href="/readyz">/readyz</a>, <a href="/api/v1/status">/api/v1/status</a>.</footer>
<noscript><footer>This page needs JavaScript; the links above do not.</footer></noscript>
<script nonce="@NONCE@">
"use strict";
const PERIOD_MS = 2000, POINTS = 60;
const history = new Map();  // "kind name pool" -> {time, logins, errors, rates: [logins/s]}
let failures = 0;

const byId = (id) => document.getElementById(id);

function cell(row, text, classes, tag) {
  const made = document.createElement(tag || "td");
  made.textContent = text;
  if (classes) made.className = classes;
  if (tag === "th") made.scope = "row";
  row.append(made);
  return made;
}

function number(value, digits) {
  return value.toLocaleString("en", {maximumFractionDigits: digits || 0});
}

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; ++unit; }
  return number(value, unit === 0 || value >= 100 ? 0 : 1) + " " + units[unit];
}

function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 1) return number(value * 1000, value < 0.01 ? 2 : 1) + " ms";
  return number(value, 2) + " s";
}

function duration(value) {
  const days = Math.floor(value / 86400), hours = Math.floor(value / 3600) % 24;
  const minutes = Math.floor(value / 60) % 60;
  if (days > 0) return days + " d " + hours + " h";
  if (hours > 0) return hours + " h " + minutes + " min";
  return minutes > 0 ? minutes + " min" : Math.floor(value) + " s";
}

const sum = (counts) => Object.values(counts).reduce((total, n) => total + n, 0);

// Rates since the last answer, and the trace of them. A counter that went back is a restart.
function advance(key, now, logins, errors) {
  const last = history.get(key);
  if (!last || logins < last.logins || now <= last.time) {
    history.set(key, {time: now, logins, errors, rates: [], loginRate: 0, errorRate: 0});
    return history.get(key);
  }
  const elapsed = now - last.time;
  last.loginRate = (logins - last.logins) / elapsed;
  last.errorRate = Math.max(0, errors - last.errors) / elapsed;
  last.rates.push(last.loginRate);
  if (last.rates.length > POINTS) last.rates.shift();
  Object.assign(last, {time: now, logins, errors});
  return last;
}

function sparkline(row, rates) {
  const WIDTH = 120, HEIGHT = 22, NS = "http://www.w3.org/2000/svg";
  const most = Math.max(...rates, 0);
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("width", WIDTH);
  svg.setAttribute("height", HEIGHT);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "at most " + number(most, 1) + " logins per second");
  const line = document.createElementNS(NS, "polyline");
  const points = rates.map((rate, i) => {
    const x = WIDTH - 1 - (rates.length - 1 - i) * (WIDTH - 2) / (POINTS - 1);
    const y = HEIGHT - 2 - (most > 0 ? rate / most : 0) * (HEIGHT - 4);
    return x.toFixed(1) + "," + y.toFixed(1);
  });
  line.setAttribute("points", points.join(" "));
  svg.append(line);
  cell(row, "").append(svg);
}

function nameCell(row, item) {
  const name = cell(row, item.name, "", "th");
  if (item.active) return;
  const note = document.createElement("span");
  note.className = "quiet";
  note.textContent = " (no longer configured)";
  name.append(note);
}

function listenerRow(item, now) {
  const row = document.createElement("tr");
  const rates = advance("listener\n" + item.name, now, item.logins.accepted, 0);
  nameCell(row, item);
  cell(row, number(item.sessions));
  sparkline(row, rates.rates);
  cell(row, number(rates.loginRate, 1));
  cell(row, number(item.logins.accepted));
  cell(row, number(item.logins.refused));
  cell(row, number(item.logins.unknown_user));
  cell(row, number(item.logins.unavailable), item.logins.unavailable > 0 ? "bad" : "");
  cell(row, number(item.logins.limited));
  cell(row, number(item.connections));
  cell(row, bytes(item.bytes_in));
  cell(row, bytes(item.bytes_out));
  return {row, rates};
}

// "down since 2 min" with the reason behind it; a backend that is not configured any more has none.
function healthCell(row, health, service) {
  if (!health) {
    cell(row, "", "text");
    return;
  }
  if (service.state !== "enabled") {
    cell(row, service.state, "text warn").title =
        "by " + service.by + (service.reason ? ": " + service.reason : "");
    return;
  }
  if (health.ejected_seconds_left !== null) {
    cell(row, "ejected, " + duration(health.ejected_seconds_left) + " left", "text bad").title =
        health.eject_reason;
    return;
  }
  const since = health.changed_seconds_ago;
  const made = cell(row, health.state + (since === null ? "" : ", " + duration(since)),
                    health.up ? (health.state === "up" ? "text good" : "text quiet") : "text bad");
  if (health.reason) made.title = health.reason;
}

// What it is worth now, and who said so when it is not the configuration.
function weightCell(row, item) {
  if (!item.weight) {
    cell(row, "");
    return;
  }
  const weight = item.weight;
  const text = number(weight.now, 1) + (item.backup ? ", backup" : "");
  const made = cell(row, text, weight.now === weight.configured ? "" : "warn");
  if (weight.set !== null) {
    made.title = "by " + weight.by + (weight.reason ? ": " + weight.reason : "");
  } else if (item.agent) {
    made.title = "its agent says " + item.agent;
  }
}

function backendRow(item, now) {
  const row = document.createElement("tr");
  const errors = sum(item.errors);
  const rates = advance("backend\n" + item.name + "\n" + item.pool, now, item.logins.accepted,
                        errors);
  nameCell(row, item);
  cell(row, item.pool, "text");
  healthCell(row, item.health, item.service);
  weightCell(row, item);
  cell(row, number(item.sessions));
  sparkline(row, rates.rates);
  cell(row, number(rates.loginRate, 1));
  cell(row, number(item.logins.accepted));
  cell(row, number(item.logins.refused));
  cell(row, seconds(item.connect_seconds_mean));
  cell(row, seconds(item.login_seconds_mean));
  cell(row, number(rates.errorRate * 60, 1), rates.errorRate > 0 ? "bad" : "");
  const reasons = Object.entries(item.errors).sort((a, b) => b[1] - a[1])
    .map(([reason, count]) => reason + " " + number(count)).join(", ");
  cell(row, reasons || "none", reasons ? "wrap" : "wrap quiet");
  return {row, rates};
}

function figure(list, term, value, classes) {
  const box = document.createElement("div");
  const dt = document.createElement("dt"), dd = document.createElement("dd");
  dt.textContent = term;
  dd.textContent = value;
  if (classes) dd.className = classes;
  box.append(dt, dd);
  list.push(box);
}

function certificateRow(item) {
  const row = document.createElement("tr");
  const days = Math.floor((item.expiry_unix_seconds - Date.now() / 1000) / 86400);
  cell(row, item.file, "", "th");
  cell(row, number(days), days < 3 ? "bad" : days < 14 ? "warn" : "");
  return row;
}

function state(text, classes) {
  const place = byId("state");
  if (place.textContent !== text) place.textContent = text;  // a screen reader says changes only
  place.className = classes;
}

function fill(id, rows, columns) {
  if (rows.length === 0) {
    const row = document.createElement("tr");
    cell(row, "none", "text quiet").colSpan = columns;
    rows = [row];
  }
  byId(id).replaceChildren(...rows);
}

function draw(status) {
  const now = status.uptime_seconds;  // the server's clock: a late answer does not bend a rate
  const listeners = status.listeners.map((item) => listenerRow(item, now));
  const backends = status.backends.map((item) => backendRow(item, now));
  fill("listeners", listeners.map((made) => made.row), 11);
  fill("backends", backends.map((made) => made.row), 13);
  fill("certificates", status.certificates.map(certificateRow), 2);

  const total = (items, pick) => items.reduce((all, item) => all + pick(item), 0);
  const errorRate = total(backends, (made) => made.rates.errorRate);
  const figures = [];
  figure(figures, "Sessions", number(total(status.listeners, (item) => item.sessions)));
  figure(figures, "Logins per second",
         number(total(listeners, (made) => made.rates.loginRate), 1));
  figure(figures, "Errors per minute", number(errorRate * 60, 1),
         errorRate > 0 ? "bad" : "");
  const waiting = total(status.pools, (pool) => pool.waiting);
  if (waiting > 0) figure(figures, "Logins waiting", number(waiting), "warn");
  figure(figures, "Workers", number(status.workers));
  figure(figures, "Uptime", duration(status.uptime_seconds));
  figure(figures, "Configuration", "no. " + number(status.config.generation),
         status.config.reloads_failed > 0 ? "warn" : "");
  if (status.config.reloads_failed > 0) {
    figure(figures, "Failed reloads", number(status.config.reloads_failed), "warn");
  }
  if (status.config.insecure_upstreams > 0) {
    figure(figures, "Upstreams not verified", number(status.config.insecure_upstreams), "warn");
  }
  if (status.log_lines_dropped > 0) {
    figure(figures, "Log lines dropped", number(status.log_lines_dropped), "bad");
  }
  byId("figures").replaceChildren(...figures);
  byId("about").textContent = "version " + status.version + ", " + status.openssl +
      ", " + status.io;
}

async function refresh() {
  try {
    const answer = await fetch("/api/v1/status", {cache: "no-store"});
    if (!answer.ok) throw new Error("HTTP " + answer.status);
    const status = await answer.json();
    draw(status);
    failures = 0;
    state(status.draining ? "draining" : "running", status.draining ? "warn" : "good");
  } catch (error) {
    // One lost answer is nothing: the server closes idle connections.
    if (++failures > 1) state("no answer: " + error.message, "bad");
  }
  setTimeout(refresh, PERIOD_MS);
}

refresh();
</script>
</body>
</html>
)html";

}  // namespace

std::string StatusPage(absl::string_view nonce) {
  CHECK(std::all_of(nonce.begin(), nonce.end(),
                    [](char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); }));
  return absl::StrReplaceAll(kPage, {{"@NONCE@", nonce}});
}

}  // namespace postern::admin
