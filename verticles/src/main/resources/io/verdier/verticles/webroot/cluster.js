// Draws what GET cluster tells, once a second. Cards are changed in place, so that a focus stays
// where it is; a node that is not told of any more is shown as gone for a while. Every address is
// relative to the page, so that a server behind --root-path or a proxy's prefix is reached as well.

const POLL_MS = 1000;
const ANSWER_MS = 5000;
const GONE_MS = 20_000;
const SILENT_MS = 2500; // nodes speak once a second
const LINE_MAX = 10;
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);
const cards = new Map(); // node id → its card

function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function counted(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

/** One node's card. */
class Card {
  constructor(id) {
    this.id = id;
    this.seenAt = 0;
    this.steps = null; // of the last word: {count, at}
    this.rows = new Map(); // label → its dd
    this.root = element("article", "node");
    this.name = element("h2", "");
    this.phase = element("span", "node-phase");
    this.roles = element("span", "node-roles");
    this.button = element("button", "");
    this.button.type = "button";
    this.button.addEventListener("click", () => drain(this));
    this.facts = element("dl", "");
    const head = element("div", "node-head");
    head.append(this.name, this.phase, this.roles, this.button);
    this.root.append(head, this.facts);
  }

  update(node, now) {
    this.node = node;
    this.seenAt = now;
    const shown = node.name || node.id;
    this.name.textContent = shown;
    this.roles.textContent = node.roles.join(", ") + (node.self ? " · tells this" : "");
    this.show(phaseOf(node));
    this.button.textContent = node.draining ? "Resume" : "Drain";
    this.button.setAttribute("aria-label", `${this.button.textContent} ${shown}`);
    this.button.hidden = false;
    for (const [label, text] of Object.entries(facts(node, this.stepRate(node, now)))) {
      this.fact(label).firstChild.data = text;
    }
    this.meter(node.load);
  }

  show(phase) {
    this.root.dataset.phase = phase;
    const silent = phase === "silent" ? ` for ${Math.round(this.node.silent_ms / 1000)} s` : "";
    this.phase.textContent = phase + silent;
  }

  gone() {
    this.show("gone");
    this.button.hidden = true;
  }

  fact(label) {
    let value = this.rows.get(label);
    if (!value) {
      value = element("dd", "");
      value.append(document.createTextNode(""));
      this.rows.set(label, value);
      this.facts.append(element("dt", "", label), value);
    }
    return value;
  }

  meter(load) {
    if (load.blocks_total === 0) {
      return;
    }
    const row = this.fact("KV blocks");
    let meter = row.querySelector("meter");
    if (!meter) {
      meter = element("meter", "");
      meter.setAttribute("aria-label", "KV blocks in use");
      row.append(meter);
    }
    meter.max = load.blocks_total;
    meter.value = load.blocks_used;
  }

  /** Steps per second since the last word; null with the first. */
  stepRate(node, now) {
    const before = this.steps;
    this.steps = { count: node.load.steps, at: now };
    return before && now > before.at
      ? Math.max(0, Math.round(((node.load.steps - before.count) * 1000) / (now - before.at)))
      : null;
  }
}

function phaseOf(node) {
  if (node.hung) {
    return "hung";
  }
  return node.silent_ms > SILENT_MS ? "silent" : node.phase;
}

/** What stands on a card: label → text. */
function facts(node, stepRate) {
  const { load, cache, migrations } = node;
  const told = { HTTP: node.http };
  if (node.roles.includes("http")) {
    told["Own streams"] = String(load.streams);
  }
  if (node.model) {
    told.Model = node.model + (node.adapters.length ? `, ${counted(node.adapters.length, "adapter")}` : "");
    told.Sequences = `${load.running} running, ${load.waiting} waiting`;
    told["KV blocks"] = `${load.blocks_free} free of ${load.blocks_total}`;
  }
  if (cache) {
    const part = cache.queried_tokens ? Math.round((100 * cache.hit_tokens) / cache.queried_tokens) : 0;
    const announced = counted(cache.prefixes, "prefix", "prefixes");
    told["Prefix cache"] = `${part} % of prompt tokens found, ${announced} announced`;
  }
  if (migrations) {
    told.Moved = `${migrations.in} came, ${migrations.out} went`;
  }
  if (node.model && stepRate !== null) {
    told.Steps = `${stepRate} a second`;
  }
  return told;
}

function place(card) {
  const column = card.node.roles.includes("engine") ? byId("engines") : byId("ingresses");
  if (card.root.parentElement !== column) {
    column.append(card.root);
  }
}

function show(status) {
  const now = performance.now();
  for (const node of status.nodes.filter((it) => it.name)) {
    const card = cards.get(node.id) ?? new Card(node.id);
    cards.set(node.id, card);
    card.update(node, now);
    place(card);
  }
  for (const card of cards.values()) {
    if (now - card.seenAt > GONE_MS) {
      card.root.remove();
      cards.delete(card.id);
    } else if (card.seenAt < now) {
      card.gone();
    }
  }
  byId("ingresses").hidden = byId("ingresses").childElementCount === 0;
  const live = status.nodes.filter((it) => it.name);
  const engines = live.filter((it) => it.roles.includes("engine"));
  say(
    "ready",
    `${counted(live.length, "node")}, ${counted(engines.length, "engine")}; ` +
      `${counted(status.streams, "stream")} of this node's clients, ${status.migrations} moved so far; ` +
      `this node is ${status.state}`,
  );
  drawLinks();
}

/** A line from each node that takes requests to each that generates, as thick as that one is busy. */
function drawLinks() {
  const svg = byId("links");
  const frame = byId("map").getBoundingClientRect();
  const lines = [];
  for (const from of byId("ingresses").children) {
    for (const to of byId("engines").children) {
      const card = [...cards.values()].find((it) => it.root === to);
      const [left, right] = [from.getBoundingClientRect(), to.getBoundingClientRect()];
      const [x, y] = [left.right - frame.left, left.top + left.height / 2 - frame.top];
      const [u, v] = [right.left - frame.left, right.top + right.height / 2 - frame.top];
      const line = document.createElementNS(SVG, "path");
      const middle = (x + u) / 2;
      line.setAttribute("d", `M ${x} ${y} C ${middle} ${y}, ${middle} ${v}, ${u} ${v}`);
      const isUsed = to.dataset.phase === "serving" && from.dataset.phase !== "gone";
      const live = card?.node.load.live ?? 0;
      line.setAttribute("stroke-width", Math.min(LINE_MAX, 1.5 + Math.log2(1 + live)).toFixed(1));
      line.dataset.idle = String(!isUsed || live === 0);
      lines.push(line);
    }
  }
  svg.replaceChildren(...lines);
}

function say(state, text) {
  byId("summary").dataset.state = state;
  byId("summary").textContent = text;
}

async function ask(path, key, options = {}) {
  const headers = { Accept: "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const signal = AbortSignal.timeout(ANSWER_MS);
  return fetch(path, { cache: "no-store", headers, signal, ...options });
}

async function look() {
  let response;
  try {
    response = await ask("cluster", byId("api-key").value);
  } catch {
    say("failed", "The server cannot be reached; trying again.");
    return;
  }
  if (response.status === 401) {
    byId("api").hidden = false;
    say("failed", "The server asks for its API key.");
  } else if (response.status === 404) {
    say("failed", "This server is alone: it was started without --cluster.");
  } else if (!response.ok) {
    say("failed", `The server answered ${response.status}; trying again.`);
  } else {
    show(await response.json());
  }
}

/** Has a node drained, or take work again. */
async function drain(card) {
  const key = byId("admin-key");
  const notice = byId("notice");
  if (!key.value) {
    notice.textContent = "Enter the admin key first.";
    key.focus();
    return;
  }
  const wish = card.node.draining ? "resume" : "drain";
  try {
    const path = `cluster/nodes/${encodeURIComponent(card.id)}/${wish}`;
    const response = await ask(path, key.value, { method: "POST" });
    notice.textContent = response.ok
      ? `${card.node.name} was told to ${wish}.`
      : await refusal(response);
  } catch {
    notice.textContent = "The server cannot be reached.";
  }
}

async function refusal(response) {
  if (response.status === 401) {
    return "The admin key is not right.";
  }
  const body = await response.json().catch(() => null);
  return body?.error?.message ?? `The server answered ${response.status}.`;
}

/** One question after the other, however long an answer takes; none while nobody looks. */
async function follow() {
  if (!document.hidden) {
    await look().catch(() => say("failed", "The server's answer cannot be read; trying again."));
  }
  setTimeout(follow, POLL_MS);
}

byId("keys").addEventListener("submit", (event) => event.preventDefault());
new ResizeObserver(drawLinks).observe(byId("map"));
follow();
