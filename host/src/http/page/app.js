// The page: one event stream for the list of conversations and the one that is open, and what the person does.

import { el } from "./markdown.js";
import { BotMessage, PersonMessage, dots, sizeOf, span } from "./view.js";

const $ = (id) => document.getElementById(id);
const base = location.pathname.replace(/\/?$/, "/");
const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

const ACTIVE = ["waiting", "running", "asking"];
// The demo agent knows the words plan, tool and write; a real agent understands the sentences.
const SUGGESTIONS = [
  ["Make a plan for tidying up this folder", "A plan whose steps get done"],
  ["Use a tool to see which files are here", "It looks around, step by step"],
  ["Write a hello file into this folder", "It asks before it writes"],
  ["/help", "The commands of this chat"],
];

const state = {
  channel: location.hash.slice(1) || newId(),
  cursor: 0,
  source: null,
  online: false,
  ready: false,
  retryMs: 500,
  timer: null,
  about: { bot: "", title: "", commands: [], files_max_bytes: 0, files_most: 0 },
  /** How the bots' connections are, and how far the host's clock is from this one. */
  lines: { bots: [], skew: 0 },
  channels: new Map(),
  /** Messages of the open conversation: what the server has, and what is being sent. */
  messages: new Map(),
  nodes: new Map(),
  stuck: true,
  seen: JSON.parse(localStorage.getItem(`seen:${base}`) ?? "{}"),
};

// --- The stream ---------------------------------------------------------------------------------------------------

function connect() {
  clearTimeout(state.timer);
  state.source?.close();
  const source = new EventSource(`${base}events?channel=${encodeURIComponent(state.channel)}&after=${state.cursor}`);
  state.source = source;
  source.addEventListener("open", () => { if (source === state.source) { state.retryMs = 500; setOnline(true); } });
  source.addEventListener("error", () => {
    if (source !== state.source) return;
    setOnline(false);
    source.close();
    state.timer = setTimeout(reconnect, state.retryMs);
    state.retryMs = Math.min(state.retryMs * 2, 8000);
  });
  const on = (name, take) => source.addEventListener(name, (event) => {
    if (source !== state.source) return;
    if (event.lastEventId) state.cursor = Math.max(state.cursor, Number(event.lastEventId));
    take(JSON.parse(event.data));
  });
  on("message", takeMessage);
  on("channel", takeChannel);
  on("lines", takeLines);
  on("ready", () => { state.ready = true; drawEmpty(); scheduleDraw(); });
}

/** A stream cannot tell why it was refused: ask first. */
async function reconnect() {
  try {
    const answer = await fetch(`${base}about`, { headers: { accept: "application/json" } });
    if (answer.status === 401) { location.href = "/"; return; }
    if (!answer.ok) throw new Error(answer.statusText);
    takeAbout(await answer.json());
    connect();
  } catch {
    state.timer = setTimeout(reconnect, state.retryMs);
    state.retryMs = Math.min(state.retryMs * 2, 8000);
  }
}

function takeMessage(message) {
  const before = state.messages.get(message.id);
  if (message.since !== undefined) {
    if (before?.revision !== message.since) { reload(); return; }
    const known = new Map(before.view.blocks.map((block) => [block.id, block]));
    for (const block of message.view.blocks) known.set(block.id, block);
    message.view.blocks = message.view.ids.map((id) => known.get(id));
    if (message.view.blocks.includes(undefined)) { reload(); return; }
  }
  state.messages.set(message.id, message);
  announce(message, before);
  scheduleDraw(message.id);
}

function takeChannel(channel) {
  state.channels.set(channel.id, channel);
  scheduleList();
}

/** Everything of this conversation anew: what we have does not fit what comes. */
function reload() {
  for (const [id, message] of state.messages) if (!message.sending) state.messages.delete(id);
  state.cursor = 0;
  connect();
}

function takeAbout(about) {
  state.about = about;
  $("bots").hidden = about.bots.length < 2;
  $("bots").replaceChildren(...about.bots.map((bot) => el("li", {}, el("a", { href: `/chat/${bot}/`, "aria-current": bot === about.bot ? "page" : null }, bot))));
  $("files-hint").textContent = about.files_most ? `; files up to ${sizeOf(about.files_max_bytes)}, ${about.files_most} a message` : "";
  $("attach").title = about.files_most ? `Attach files: up to ${sizeOf(about.files_max_bytes)} each, ${about.files_most} a message` : "";
  drawTop();
  drawEmpty();
  drawLines();
}

function takeLines(told) {
  state.lines = { bots: told.bots, skew: Date.now() - told.now };
  drawLines();
}

function setOnline(online) {
  state.online = online;
  document.body.classList.toggle("offline", !online);
  $("connection").dataset.state = online ? "online" : "offline";
  $("connection-text").textContent = online ? "Connected" : "Offline, trying again…";
  $("composer-text").disabled = !online;
  $("attach").disabled = !online;
  $("composer-text").placeholder = online ? `Message ${state.about.title || "the bot"}…` : "Waiting for the host…";
  drawComposer();
}

// --- Drawing ------------------------------------------------------------------------------------------------------

const dirty = new Set();
let frame = 0;
function scheduleDraw(id) {
  if (id) dirty.add(id);
  frame ||= requestAnimationFrame(() => { frame = 0; drawMessages(); });
}

function drawMessages() {
  if (!state.ready) return;
  const home = $("messages");
  for (const id of dirty) {
    const message = state.messages.get(id);
    if (message && state.nodes.has(id)) state.nodes.get(id).update(message);
  }
  dirty.clear();
  for (const [id, drawn] of state.nodes) if (!state.messages.has(id)) { drawn.node.remove(); state.nodes.delete(id); }
  const sorted = [...state.messages.values()].sort((a, b) => a.at - b.at);
  let place = 0;
  for (const message of sorted) {
    let drawn = state.nodes.get(message.id);
    if (!drawn) {
      drawn = message.from === "person" ? new PersonMessage(message, () => transmit(message)) : new BotMessage(message, act);
      state.nodes.set(message.id, drawn);
    }
    if (home.children[place] !== drawn.node) home.insertBefore(drawn.node, home.children[place] ?? null);
    place += 1;
  }
  drawExpecting(sorted.at(-1));
  drawEmpty();
  drawComposer();
  drawTop();
  markSeen();
  if (state.stuck) toBottom();
}

/** The bot has the message and has said nothing yet. */
function drawExpecting(last) {
  const wanted = last?.from === "person" && !last.sending && Date.now() - last.at < 120_000;
  const node = $("expecting");
  if (wanted && !node) $("messages").append(el("p", { id: "expecting", class: "expecting" }, dots(), el("span", { class: "unseen" }, "The bot is getting ready")));
  else if (wanted) $("messages").append(node);
  else node?.remove();
}

function drawEmpty() {
  const wanted = state.ready && state.messages.size === 0;
  const node = $("empty");
  if (!wanted) { node?.remove(); return; }
  if (node) return;
  $("messages").append(el("div", { id: "empty", class: "empty" },
    el("img", { src: "/page/icon.svg", alt: "", width: "44", height: "44" }),
    el("h2", {}, "What shall we work on?"),
    el("p", {}, `You are talking to ${state.about.title || "your agent"}. It works in a folder on this machine, shows each step, and asks before it does what it may not do by itself.`),
    el("ul", {}, ...SUGGESTIONS.map(([text, hint]) => el("li", {}, el("button", { type: "button", class: "suggestion", onclick: () => say(text) }, el("strong", {}, text), el("span", {}, hint)))))));
}

let listFrame = 0;
function scheduleList() {
  listFrame ||= requestAnimationFrame(() => { listFrame = 0; drawList(); drawTop(); });
}

function drawList() {
  const sorted = [...state.channels.values()].sort((a, b) => b.at - a.at);
  $("channels").replaceChildren(...sorted.map((channel) => {
    const open = channel.id === state.channel;
    const unseen = !open && !ACTIVE.includes(channel.stage) && channel.at > 0 && state.seen[channel.id] !== `${channel.at}/${channel.stage}`;
    const word = { waiting: "waiting", running: "working", asking: "has a question for you", failed: "failed" }[channel.stage] ?? (unseen ? "something new" : "");
    return el("li", {}, el("a", { href: `#${channel.id}`, "aria-current": open ? "page" : null, "data-stage": unseen ? "new" : channel.stage },
      el("span", { class: "channel-title" }, channel.title || "New conversation"),
      el("span", { class: "channel-sign", title: word || null }, el("span", { class: "unseen" }, word))));
  }));
}

/** The connections of all bots: one line, and what it is made of. Nothing where there is but this page's own bot. */
function drawLines() {
  const { bots, skew } = state.lines;
  const home = $("lines");
  home.hidden = bots.every((line) => line.bot === state.about.bot);
  const bad = bots.filter((line) => line.state !== "live");
  const worst = ["refused", "degraded", "connecting"].find((word) => bad.some((line) => line.state === word)) ?? "live";
  home.dataset.state = worst;
  document.body.classList.toggle("in-trouble", !home.hidden && ["refused", "degraded"].includes(worst));
  const word = { refused: "refused", degraded: "retrying", connecting: "connecting…" };
  $("lines-text").textContent = bad.length === 0 ? `All ${bots.length} bots are connected`
    : bad.length === 1 ? `${bad[0].bot}: ${word[bad[0].state]}` : `${bad.length} of ${bots.length} bots are not connected`;
  const now = Date.now() - skew;
  const long = (line) => span(now - line.since);
  const how = {
    live: (line) => `Live for ${long(line)}, ${line.heard ? `last heard ${span(now - line.heard)} ago` : "nothing heard yet"}`,
    connecting: (line) => `Connecting for ${long(line)}`,
    degraded: (line) => `Not connected for ${long(line)}: ${line.why}${line.retry_at ? `; tried again in ${span(line.retry_at - now)}` : ""}`,
    refused: (line) => `Refused for ${long(line)}: ${line.why}`,
  };
  $("lines-list").replaceChildren(...bots.map((line) => el("li", { "data-state": line.state },
    el("span", { class: "dot", "aria-hidden": "true" }), el("p", {}, el("strong", {}, line.bot), ` ${line.platform}`, el("span", {}, how[line.state]?.(line) ?? line.state)))));
}
// What is said of time grows old by itself.
setInterval(() => { if ($("lines").open) drawLines(); }, 5000);
$("lines").addEventListener("toggle", drawLines);

function drawTop() {
  const channel = state.channels.get(state.channel);
  $("title").textContent = channel?.title || "New conversation";
  const active = newest();
  const word = active && { waiting: "waiting", running: "working…", asking: "has a question for you" }[active.view.state];
  $("subtitle").textContent = [state.about.title, word].filter(Boolean).join(" · ");
  document.title = `${active?.view.state === "asking" ? "● " : ""}${channel?.title || state.about.title || "botyard"}`;
}

function markSeen() {
  const channel = state.channels.get(state.channel);
  if (!channel || document.hidden) return;
  const mark = `${channel.at}/${channel.stage}`;
  if (state.seen[channel.id] === mark) return;
  state.seen[channel.id] = mark;
  localStorage.setItem(`seen:${base}`, JSON.stringify(state.seen));
}

/** The newest reply that is not over. */
function newest() {
  return [...state.messages.values()].filter((message) => message.view && ACTIVE.includes(message.view.state)).sort((a, b) => a.at - b.at).at(-1);
}

/** Whole messages and questions are read out; words that are still coming are not. */
function announce(message, before) {
  if (!state.ready || message.from !== "bot" || before?.view?.state === message.view.state) return;
  if (ACTIVE.includes(message.view.state) && message.view.state !== "asking") return;
  requestAnimationFrame(() => requestAnimationFrame(() => { $("announce").textContent = state.nodes.get(message.id)?.words() ?? ""; }));
}

// --- Scrolling ----------------------------------------------------------------------------------------------------

const log = $("log");
function toBottom() { log.scrollTop = log.scrollHeight; }
log.addEventListener("scroll", () => {
  state.stuck = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  $("latest").hidden = state.stuck;
}, { passive: true });
$("latest").addEventListener("click", () => { state.stuck = true; toBottom(); text.focus(); });
new ResizeObserver(() => { if (state.stuck) toBottom(); }).observe($("messages"));
new ResizeObserver(() => { if (state.stuck) toBottom(); }).observe(log);

// --- What the person does -----------------------------------------------------------------------------------------

async function call(path, body) {
  const answer = await fetch(`${base}channels/${state.channel}/${path}`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  if (answer.status === 401) { location.href = "/"; }
  const word = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(word.message || answer.statusText);
  return word;
}

function say(words, files = []) {
  const trimmed = words.trim();
  if ((!trimmed && !files.length) || !state.online) return false;
  const id = newId();
  const latest = Math.max(0, ...[...state.messages.values()].map((message) => message.at));
  const message = { id: `p${id}`, key: id, from: "person", text: trimmed, files, at: Math.max(Date.now(), latest + 1), revision: 0, sending: "now" };
  state.messages.set(message.id, message);
  state.stuck = true;
  if (location.hash.slice(1) !== state.channel) history.replaceState(null, "", `#${state.channel}`);
  scheduleDraw(message.id);
  transmit(message);
  return true;
}

/** Sends, or sends again: the same id is the same message, however often it is sent. */
async function transmit(message) {
  const mine = state.messages;
  const still = () => state.messages === mine && mine.get(message.id) === message;
  message.sending = "now";
  scheduleDraw(message.id);
  try {
    const word = await call("messages", { id: message.key, text: message.text, files: message.files });
    message.sending = undefined;
    if (word.form) openForm(word.form);
  } catch (error) {
    message.sending = "failed";
    toast(error instanceof TypeError ? "The host cannot be reached." : error.message, "error");
  }
  if (still()) scheduleDraw(message.id);
}

/** Presses something; a form that comes back is opened. True: it was taken. */
async function act(token, values) {
  try {
    const word = await call("presses", { id: newId(), token, values });
    if (word.toast) toast(word.toast.text, word.toast.tone);
    if (word.form) { openForm(word.form); return false; }
    if (word.errors) return word.errors;
    return word.toast?.tone !== "warning";
  } catch (error) {
    toast(error instanceof TypeError ? "The host cannot be reached." : error.message, "error");
    return false;
  }
}

function openForm(form) {
  const dialog = $("dialog");
  const field = (one) => {
    const common = { name: one.name, id: `f-${one.name}`, required: one.required, placeholder: one.placeholder || null };
    const options = one.options ?? [];
    const input = one.kind === "paragraph" ? el("textarea", { ...common, rows: "4" }, one.value)
      : one.kind === "one-of" ? el("select", common, ...options.map((option) => el("option", { value: option.value, selected: option.value === one.value }, option.label)))
        : one.kind === "some-of" ? el("div", { class: "options" }, ...options.map((option) => el("label", { class: "option" }, el("input", { type: "checkbox", name: one.name, value: option.value }), el("span", {}, option.label))))
          : el("input", { ...common, type: "text", value: one.value });
    return el("div", { class: "field", "data-name": one.name }, el("label", { for: `f-${one.name}` }, one.label), input, el("p", { class: "field-error", role: "alert" }));
  };
  const submit = el("button", { class: "button primary", value: "submit" }, form.submit);
  const node = el("form", { method: "dialog" }, el("h2", {}, form.title), ...form.fields.map(field),
    el("div", { class: "choices" }, submit, el("button", { type: "button", class: "button plain", onclick: () => dialog.close() }, "Cancel")));
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    const taken = await act(form.token, [...new FormData(node).entries()]);
    submit.disabled = false;
    for (const one of node.querySelectorAll(".field")) {
      one.querySelector(".field-error").textContent = Array.isArray(taken) ? taken.find(([name]) => name === one.dataset.name)?.[1] ?? "" : "";
    }
    if (taken === true) dialog.close();
  });
  dialog.replaceChildren(node);
  dialog.showModal();
}

async function stop() {
  $("stop").disabled = true;
  try {
    const word = await call("stop", { id: newId() });
    if (word.toast) toast(word.toast.text, word.toast.tone);
  } catch (error) {
    toast(error.message, "error");
  }
  setTimeout(() => { $("stop").disabled = false; }, 1500);
}

function toast(words, tone = "info") {
  const node = el("p", { class: "toast", "data-tone": tone }, words);
  $("toasts").append(node);
  setTimeout(() => node.remove(), 5000);
}

// --- The composer -------------------------------------------------------------------------------------------------

const text = $("composer-text");
/** What the next message brings. */
const attached = [];
const draftKey = () => `draft:${base}${state.channel}`;

function drawComposer() {
  const whole = attached.every((one) => one.state === "ready");
  $("send").disabled = !state.online || !whole || (!text.value.trim() && !attached.length);
  $("stop").hidden = !newest();
}

function fit() {
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight, innerHeight * 0.4)}px`;
}

// --- Files ---------------------------------------------------------------------------------------------------------

/** A message's files are on their way to the host before it is sent; what is too large never leaves. */
function attach(files) {
  const most = state.about.files_max_bytes;
  for (const file of files) {
    if (attached.length >= state.about.files_most) { toast(`A message may bring ${state.about.files_most} files.`, "warning"); break; }
    if (file.size > most) { toast(`${file.name} has ${sizeOf(file.size)}; at most ${sizeOf(most)} can be sent.`, "warning"); continue; }
    const bar = el("progress", { max: "1", value: "0", "aria-label": `Sending ${file.name}` });
    const note = el("span", { class: "attached-note" });
    const one = { file, name: file.name || "file", bar, note };
    one.node = el("li", {}, el("span", { class: "attached-name" }, one.name), el("small", {}, sizeOf(file.size)), bar, note,
      el("button", { type: "button", class: "icon-button", "aria-label": `Remove ${one.name}`, onclick: () => drop([one]) }, "×"));
    attached.push(one);
    $("attached").append(one.node);
    upload(one);
  }
  $("attached").hidden = attached.length === 0;
  text.focus();
}

function upload(one) {
  const request = new XMLHttpRequest();
  const mark = (now, ...words) => {
    one.state = now;
    one.node.dataset.state = now;
    one.bar.hidden = now !== "going";
    one.note.replaceChildren(...words);
    drawComposer();
  };
  const failed = (why) => mark("failed", why, " ", el("button", { type: "button", class: "link", onclick: () => upload(one) }, "Try again"));
  one.request = request;
  one.bar.value = 0;
  mark("going");
  request.open("POST", `${base}files?name=${encodeURIComponent(one.name)}`);
  request.setRequestHeader("content-type", "application/octet-stream");
  request.upload.addEventListener("progress", (event) => { if (event.lengthComputable) one.bar.value = event.loaded / event.total; });
  request.addEventListener("load", () => {
    if (request.status === 401) { location.href = "/"; return; }
    let word = {};
    try { word = JSON.parse(request.responseText); } catch { /* No word of the host's. */ }
    if (request.status !== 200) { failed(word.message || "It was not taken."); return; }
    one.sent = word;
    mark("ready");
  });
  request.addEventListener("error", () => failed("The host cannot be reached."));
  request.send(one.file);
}

/** Takes them out of the composer; what is still on its way is not sent on. */
function drop(some) {
  for (const one of [...some]) {
    if (one.state === "going") one.request.abort();
    one.node.remove();
    attached.splice(attached.indexOf(one), 1);
  }
  $("attached").hidden = attached.length === 0;
  drawComposer();
}

$("attach").addEventListener("click", () => $("attach-input").click());
$("attach-input").addEventListener("change", () => { attach($("attach-input").files); $("attach-input").value = ""; });
text.addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files];
  // Words that were copied may come with a picture of themselves.
  if (!files.length || event.clipboardData.types.includes("text/plain")) return;
  event.preventDefault();
  attach(files);
});
const brings = (event) => state.online && event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => { if (brings(event)) { event.preventDefault(); document.body.classList.add("dropping"); } });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("dropping"); });
addEventListener("drop", (event) => {
  document.body.classList.remove("dropping");
  if (!brings(event)) return;
  event.preventDefault();
  attach(event.dataTransfer.files);
});

const menu = { items: [], at: 0 };
function drawMenu() {
  const typed = /^\/([a-z0-9-]*)$/.exec(text.value)?.[1];
  menu.items = typed === undefined ? [] : state.about.commands.filter((command) => command.name.startsWith(typed));
  menu.at = Math.min(menu.at, Math.max(0, menu.items.length - 1));
  $("menu").hidden = menu.items.length === 0;
  $("menu").replaceChildren(...menu.items.map((command, at) => el("div", { class: "menu-item", role: "option", id: `menu-${at}`, "aria-selected": at === menu.at ? "true" : "false", onmousedown: (event) => { event.preventDefault(); pick(command); } },
    el("strong", {}, `/${command.name}${command.argument ? ` ${command.argument}` : ""}`), el("span", {}, command.description))));
  if (menu.items.length) text.setAttribute("aria-activedescendant", `menu-${menu.at}`);
  else text.removeAttribute("aria-activedescendant");
}

function pick(command) {
  text.value = `/${command.name}${command.argument ? " " : ""}`;
  changed();
  text.focus();
}

function changed() {
  if (text.value) sessionStorage.setItem(draftKey(), text.value);
  else sessionStorage.removeItem(draftKey());
  fit();
  drawMenu();
  drawComposer();
}

text.addEventListener("input", changed);
text.addEventListener("blur", () => { $("menu").hidden = true; });
text.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (menu.items.length && !$("menu").hidden) {
    const chosen = menu.items[menu.at];
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      menu.at = (menu.at + (event.key === "ArrowDown" ? 1 : menu.items.length - 1)) % menu.items.length;
      drawMenu();
      return;
    }
    if (event.key === "Tab" || (event.key === "Enter" && text.value !== `/${chosen.name}`)) { event.preventDefault(); pick(chosen); return; }
    if (event.key === "Escape") { $("menu").hidden = true; return; }
  }
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    $("composer").requestSubmit();
  }
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if ($("send").disabled) return;
  if (say(text.value, attached.map((one) => one.sent))) { text.value = ""; drop(attached); changed(); }
});
$("stop").addEventListener("click", stop);

// --- Moving between conversations ---------------------------------------------------------------------------------

function open(channel) {
  if (channel === state.channel) return;
  Object.assign(state, { channel, cursor: 0, ready: false, stuck: true, messages: new Map(), nodes: new Map() });
  $("messages").replaceChildren();
  drop(attached);
  text.value = sessionStorage.getItem(draftKey()) ?? "";
  changed();
  drawList();
  drawTop();
  connect();
  showSide(false);
  if (matchMedia("(hover: hover)").matches) text.focus();
}

function showSide(shown) {
  document.body.classList.toggle("side-shown", shown);
  $("side-open").setAttribute("aria-expanded", String(shown));
  $("side").inert = !shown && narrow.matches;
  if (shown) $("new").focus();
}
const narrow = matchMedia("(max-width: 46rem)");
narrow.addEventListener("change", () => showSide(false));
$("side-open").addEventListener("click", () => showSide(true));
$("side-close").addEventListener("click", () => { showSide(false); $("side-open").focus(); });
$("veil").addEventListener("click", () => showSide(false));
addEventListener("keydown", (event) => { if (event.key === "Escape" && narrow.matches) showSide(false); });
$("new").addEventListener("click", () => {
  const id = newId();
  history.pushState(null, "", `#${id}`);
  open(id);
});
addEventListener("hashchange", () => open(location.hash.slice(1) || newId()));
addEventListener("popstate", () => open(location.hash.slice(1) || newId()));
addEventListener("visibilitychange", () => { if (!document.hidden) { markSeen(); drawList(); if (!state.online) { state.retryMs = 500; clearTimeout(state.timer); reconnect(); } } });
addEventListener("online", () => { if (!state.online) { clearTimeout(state.timer); reconnect(); } });

text.value = sessionStorage.getItem(draftKey()) ?? "";
showSide(false);
changed();
reconnect().then(() => { if (matchMedia("(hover: hover)").matches) text.focus(); });
