// One message as nodes, and how it changes: a block is drawn again only when its revision says that it changed.

import { drawMarkdown, el } from "./markdown.js";

const svg = (path, name = "") => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  node.setAttribute("viewBox", "0 0 20 20");
  node.setAttribute("aria-hidden", "true");
  if (name) node.setAttribute("class", name);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  node.append(line);
  return node;
};

const ICONS = {
  read: "M5 3h7l3 3v11H5zM8 9h4M8 12h4", edit: "m4 16 1-4 8-8 3 3-8 8zM11 6l3 3", delete: "M4 6h12M8 6V4h4v2M6 6l1 11h6l1-11",
  move: "M4 10h12m-4-4 4 4-4 4", search: "M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4m4 9 4 4", execute: "M3 4h14v12H3zM6 8l2.500 2L6 12m4 1h4",
  think: "M10 3a5 5 0 0 0-3 9v2h6v-2a5 5 0 0 0-3-9M8 17h4", fetch: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14M3 10h14M10 3c-4 4-4 10 0 14 4-4 4-10 0-14",
  other: "M10 4v3M10 13v3M4 10h3M13 10h3M6 6l2 2M12 12l2 2M14 6l-2 2M8 12l-2 2",
};
const STATES = { waiting: "waiting", running: "running", done: "done", failed: "failed", denied: "not allowed" };
const MARKS = { done: "m4 10.500 4 4 8-9", failed: "m5 5 10 10M15 5 5 15", denied: "M5 5l10 10M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14" };

/** `840 ms`, `3.2 s`, `2 min 5 s`. */
export function duration(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

/** `12 s`, `5 min`, `3 h`, `9 days`: how long something has been so. */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return seconds < 172_800 ? "1 day" : `${Math.floor(seconds / 86_400)} days`;
}

/** `840 bytes`, `12 KiB`, `3.2 MiB`. */
export function sizeOf(bytes) {
  if (bytes < 1024) return `${bytes} bytes`;
  if (bytes < 1_048_576) return `${Math.round(bytes / 1024)} KiB`;
  return `${Number((bytes / 1_048_576).toFixed(1))} MiB`;
}

/** A file as something to save; a picture that is not too large is shown as well. */
function fileNode(file) {
  const id = file.file ?? file.id;
  const words = [svg(ICONS.read), el("span", {}, file.name), el("small", {}, sizeOf(file.size_bytes))];
  if (!id || typeof id !== "string") return el("div", { class: "file" }, ...words);
  const href = `${location.pathname.replace(/\/?$/, "/")}files/${id}?name=${encodeURIComponent(file.name)}`;
  const link = el("a", { class: "file", href, download: file.name }, ...words);
  if (!/\.(png|jpe?g|gif|webp)$/i.test(file.name) || file.size_bytes > 20 * 1_048_576) return link;
  const picture = el("img", { class: "picture", src: href, alt: file.name, loading: "lazy" });
  picture.addEventListener("error", () => picture.remove());
  return el("figure", { class: "shown" }, picture, link);
}

const clock = (at) => el("time", { datetime: new Date(at).toISOString(), title: new Date(at).toLocaleString() },
  new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));

/** A message of the person. `retry` is called when it could not be sent and they want it again. */
export class PersonMessage {
  constructor(message, retry) {
    this.text = el("div", { class: "bubble" });
    this.note = el("p", { class: "sending" });
    this.files = el("div", { class: "files" }, ...(message.files ?? []).map(fileNode));
    this.node = el("article", { class: "message person", "aria-label": "You" }, this.files, this.text, this.note);
    this.retry = retry;
    this.update(message);
  }

  update(message) {
    this.text.textContent = message.text;
    this.text.hidden = !message.text;
    const failed = message.sending === "failed";
    this.node.classList.toggle("pending", message.sending === "now");
    this.node.classList.toggle("failed", failed);
    this.note.replaceChildren(...(failed
      ? ["Not sent. ", el("button", { type: "button", class: "link", onclick: this.retry }, "Try again")]
      : message.sending === "now" ? ["Sending…"] : [clock(message.at)]));
  }
}

/** A message of the bot. `act(token, values)` presses something and gives the bot's immediate word. */
export class BotMessage {
  constructor(message, act) {
    this.act = act;
    this.blocks = new Map();
    this.body = el("div", { class: "blocks" });
    this.status = el("p", { class: "state" });
    this.foot = el("footer", { class: "foot" });
    this.node = el("article", { class: "message bot", "aria-label": "Bot" },
      el("div", { class: "mark", "aria-hidden": "true" }, svg("m5 6 4 4-4 4M11 15h5")),
      el("div", { class: "said" }, this.body, this.status, this.foot));
    this.update(message);
  }

  update(message) {
    const view = message.view;
    const gone = new Set(this.blocks.keys());
    const places = new Map();
    for (const block of view.blocks) {
      gone.delete(block.id);
      let drawn = this.blocks.get(block.id);
      if (!drawn || drawn.kind !== block.kind) {
        drawn?.node.remove();
        drawn = { kind: block.kind, revision: -1, ...DRAW[block.kind]?.(this) ?? DRAW.unknown() };
        drawn.node.classList.add("block");
        this.blocks.set(block.id, drawn);
      }
      if (drawn.revision !== block.revision) {
        drawn.draw(block, view);
        drawn.revision = block.revision;
      }
      const home = this.blocks.get(block.parent)?.children ?? this.body;
      const place = places.get(home) ?? 0;
      if (home.children[place] !== drawn.node) home.insertBefore(drawn.node, home.children[place] ?? null);
      places.set(home, place + 1);
    }
    for (const id of gone) { this.blocks.get(id).node.remove(); this.blocks.delete(id); }
    this.drawState(view, message);
  }

  drawState(view, message) {
    const moving = ["waiting", "running"].includes(view.state);
    this.node.dataset.state = view.state;
    this.node.setAttribute("aria-busy", moving ? "true" : "false");
    const last = view.blocks.at(-1);
    const busy = view.state === "running" && !(last?.kind === "step" && last.state === "running");
    const parts = [];
    if (view.state === "waiting") {
      parts.push(dots(), view.place > 1 ? ` Number ${view.place} in the queue` : " Next in the queue");
      if (view.stop) parts.push(" ", el("button", { type: "button", class: "link", onclick: () => this.act(view.stop, null) }, "Take it back"));
    } else if (busy) parts.push(dots(), el("span", { class: "unseen" }, "Working"));
    else if (view.state === "stopped") parts.push(svg("M6 6h8v8H6z"), " Stopped");
    else if (view.state === "failed") parts.push(svg("M10 3 18 17H2zM10 8v4M10 14.500v.5"), ` ${view.reason || "Something went wrong."}`);
    const key = JSON.stringify([view.state, view.place, busy, view.reason]);
    if (key !== this.stateKey) { this.status.replaceChildren(...parts); this.stateKey = key; }
    this.status.hidden = parts.length === 0;
    const final = ["done", "stopped", "failed"].includes(view.state);
    const foot = JSON.stringify([view.footer, final]);
    if (foot !== this.footKey) {
      this.foot.replaceChildren(...(final ? [clock(message.at)] : []), ...(view.footer ? [el("span", {}, view.footer)] : []));
      this.footKey = foot;
    }
    this.foot.hidden = !final && !view.footer;
  }

  /** What a screen reader is told when the message is whole. */
  words() {
    return [...this.body.querySelectorAll(":scope > .markdown, :scope > .notice, :scope > .ask .ask-words")]
      .map((node) => node.textContent).join(" ").slice(0, 2000);
  }
}

export const dots = () => el("span", { class: "dots", "aria-hidden": "true" }, el("i"), el("i"), el("i"));

const DRAW = {
  text() {
    const node = el("div", { class: "markdown" });
    return { node, draw: (block, view) => {
      drawMarkdown(node, block.text);
      node.classList.toggle("growing", !block.complete && view.state === "running");
    } };
  },

  thinking() {
    const inner = el("div", { class: "markdown quiet" });
    const title = el("span", {}, "Thinking");
    const node = el("details", { class: "thinking" }, el("summary", {}, svg(ICONS.think), title, svg("m7 8 3 3 3-3", "chevron")), inner);
    return { node, draw: (block) => {
      title.textContent = block.complete ? "Thought about it" : "Thinking…";
      node.classList.toggle("active", !block.complete);
      drawMarkdown(inner, block.text);
    } };
  },

  step() {
    const state = el("span", { class: "step-state", role: "img" });
    const title = el("span", { class: "step-title" });
    const detail = el("code", { class: "step-detail" });
    const time = el("span", { class: "step-time" });
    const icon = el("span", { class: "step-icon" });
    const output = el("pre", { class: "step-output", tabindex: "0" });
    const whole = el("div", { class: "step-whole markdown quiet" });
    const children = el("div", { class: "step-children" });
    const summary = el("summary", {}, icon, title, detail, time, state, svg("m7 8 3 3 3-3", "chevron"));
    const node = el("details", { class: "step" }, summary, el("div", { class: "step-body" }, whole, output), children);
    let shown = null;
    return { node, children, draw: (block) => {
      if (shown !== block.tool) icon.replaceChildren(svg(ICONS[block.tool] ?? ICONS.other));
      shown = block.tool;
      node.dataset.state = block.state;
      title.textContent = block.title;
      // A line of plain words for the row; what it is in Markdown stands below.
      detail.textContent = block.detail.split("\n").find((line) => line.trim() && !/^\s*(```|~~~)/.test(line))?.replace(/`/g, "") ?? "";
      drawMarkdown(whole, block.detail);
      whole.hidden = !block.detail.includes("\n") && block.detail.length < 60;
      output.textContent = block.output;
      output.hidden = !block.output;
      time.textContent = block.elapsed_ms === null || block.elapsed_ms === undefined ? "" : duration(block.elapsed_ms);
      state.setAttribute("aria-label", STATES[block.state] ?? block.state);
      state.replaceChildren(...(MARKS[block.state] ? [svg(MARKS[block.state])] : [el("span", { class: "spinner" })]));
      node.classList.toggle("empty", !block.output && whole.hidden);
    } };
  },

  plan() {
    const count = el("span", { class: "plan-count" });
    const list = el("ol", { class: "plan-items" });
    const node = el("section", { class: "plan", "aria-label": "Plan" }, el("header", {}, svg("M4 5h2M4 10h2M4 15h2M9 5h7M9 10h7M9 15h7"), el("span", {}, "Plan"), count), list);
    return { node, draw: (block) => {
      count.textContent = `${block.items.filter((item) => item.state === "done").length} of ${block.items.length}`;
      list.replaceChildren(...block.items.map((item) => el("li", { "data-state": item.state },
        el("span", { class: "tick", role: "img", "aria-label": { done: "done", active: "in progress", pending: "to do" }[item.state] },
          ...(item.state === "done" ? [svg(MARKS.done)] : [])),
        el("span", {}, item.text))));
    } };
  },

  ask(message) {
    const node = el("section", { class: "ask" });
    return { node, draw: (block) => drawAsk(node, block, message.act) };
  },

  file() {
    const node = el("div", { class: "files" });
    return { node, draw: (block) => node.replaceChildren(fileNode({ ...block, id: null })) };
  },

  notice() {
    const words = el("div", { class: "markdown" });
    const icon = el("span", { class: "notice-icon", "aria-hidden": "true" });
    const node = el("div", { class: "notice" }, icon, words);
    return { node, draw: (block) => {
      node.dataset.tone = block.tone;
      node.setAttribute("role", block.tone === "error" ? "alert" : "note");
      icon.replaceChildren(svg(block.tone === "info" ? "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14M10 9v5M10 6v.5" : "M10 3 18 17H2zM10 8v4M10 14.500v.5"));
      drawMarkdown(words, block.text);
    } };
  },

  unknown: () => ({ node: el("div"), draw: () => {} }),
};

function drawAsk(node, block, act) {
  const settled = block.settled !== null && block.settled !== undefined;
  node.classList.toggle("settled", settled);
  node.setAttribute("aria-label", settled ? "A question that was answered" : "A question for you");
  const words = el("div", { class: "markdown ask-text" });
  drawMarkdown(words, block.text);
  const parts = [
    el("div", { class: "ask-words" },
      el("header", {}, svg(settled ? MARKS.done : "M7 8a3 3 0 1 1 4 2.800c-.7.300-1 .8-1 1.700M10 15v.5"), el("strong", {}, block.title)), words),
  ];
  if (settled) {
    node.replaceChildren(...parts, el("p", { class: "settled-word" }, block.settled));
    return;
  }
  const press = async (token, values, button) => {
    const buttons = node.querySelectorAll("button, input");
    for (const one of buttons) one.disabled = true;
    button.classList.add("pressed");
    const taken = await act(token, values);
    button.classList.remove("pressed");
    // A taken press stays pressed until the settled view comes; anything else may be tried again.
    if (!taken) for (const one of buttons) one.disabled = false;
  };
  if (block.choices.length) {
    parts.push(el("div", { class: "choices" }, ...block.choices.map((choice) => {
      const button = el("button", { type: "button", class: `button ${choice.style}`, title: choice.description || null, onclick: () => press(choice.token, null, button) }, choice.label);
      return choice.description && block.choices.some((one) => one.description)
        ? el("div", { class: "choice" }, button, el("span", {}, choice.description)) : button;
    })));
  }
  if (block.selection) {
    const name = `s${block.id}-${block.selection.token}`;
    const options = block.selection.options.map((option) => el("label", { class: "option" },
      el("input", { type: "checkbox", name, value: option.value }), el("span", {}, option.label, option.description ? el("small", {}, option.description) : null)));
    const button = el("button", { type: "button", class: "button primary", onclick: () => {
      const chosen = [...node.querySelectorAll("input:checked")].map((input) => ["choice", input.value]);
      press(block.selection.token, chosen, button);
    } }, block.selection.submit);
    parts.push(el("div", { class: "options" }, ...options), el("div", { class: "choices" }, button));
  }
  node.replaceChildren(...parts);
}
