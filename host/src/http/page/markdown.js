// Markdown to DOM nodes: small, and safe because it never makes HTML from text. What a model writes can become only
// the elements that are named here, and links only to http, https and mailto.

/** An element with attributes and children (strings become text). */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** A link that is safe to follow, or none. */
export function safeUrl(text) {
  try {
    const url = new URL(text);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function link(url, children) {
  const href = safeUrl(url);
  if (!href) return el("span", {}, ...children);
  return el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, ...children);
}

const ESCAPABLE = /[!-/:-@[-`{-~]/;
const DEPTH_MAX = 16;

/** Text with emphasis, code and links, as nodes. */
export function inline(text, depth = 0) {
  const out = [];
  let plain = "";
  let missed = 0;
  // Marks that are known to have no end further on: keeps hostile text from being searched again and again.
  const dead = new Set();
  const flush = () => { if (plain) { out.push(plain); plain = ""; } };
  const push = (node) => { flush(); out.push(node); };
  let i = 0;
  while (i < text.length) {
    const c = text[i];
    if (c === "\\" && i + 1 < text.length) {
      if (text[i + 1] === "\n") { push(el("br")); i += 2; continue; }
      if (ESCAPABLE.test(text[i + 1])) { plain += text[i + 1]; i += 2; continue; }
    }
    if (c === "`") {
      const run = /^`+/.exec(text.slice(i, i + 64))[0];
      const end = dead.has(run) ? -1 : codeEnd(text, i + run.length, run.length);
      if (end < 0) { dead.add(run); plain += run; i += run.length; continue; }
      let code = text.slice(i + run.length, end).replace(/\n/g, " ");
      if (/^ .* $/.test(code) && code.trim()) code = code.slice(1, -1);
      push(el("code", {}, code));
      i = end + run.length;
      continue;
    }
    if ((c === "[" || (c === "!" && text[i + 1] === "[")) && depth < DEPTH_MAX && !dead.has("[")) {
      const found = linkAt(text, c === "!" ? i + 1 : i);
      if (found) { push(link(found.url, inline(found.label || found.url, depth + 1))); i = found.end; continue; }
      missed += 1;
      if (missed > 100) dead.add("[");
    }
    if (c === "<") {
      const found = /^<((?:https?:\/\/|mailto:)[^\s<>]+)>/i.exec(text.slice(i, i + 2100));
      if (found) { push(link(found[1], [found[1].replace(/^mailto:/i, "")])); i += found[0].length; continue; }
    }
    if (c === "h" && !/\w/.test(text[i - 1] ?? "")) {
      const found = /^https?:\/\/[^\s<>"'`]+/.exec(text.slice(i, i + 2100));
      if (found) {
        let url = found[0].replace(/[.,;:!?*_~]+$/, "");
        while (url.endsWith(")") && url.split("(").length < url.split(")").length) url = url.slice(0, -1);
        push(link(url, [url]));
        i += url.length;
        continue;
      }
    }
    if ((c === "*" || c === "_" || c === "~") && depth < DEPTH_MAX) {
      const found = emphasisAt(text, i, dead);
      if (found) {
        push(el(found.name, {}, ...inline(text.slice(found.from, found.to), depth + 1)));
        i = found.end;
        continue;
      }
      const run = text.slice(i).match(/^(\*+|_+|~+)/)[0];
      plain += run;
      i += run.length;
      continue;
    }
    if (c === "\n") {
      if (plain.endsWith("  ")) { plain = plain.trimEnd(); push(el("br")); } else plain += "\n";
      i += 1;
      continue;
    }
    plain += c;
    i += 1;
  }
  flush();
  return out;
}

function codeEnd(text, from, length) {
  for (let i = text.indexOf("`", from); i >= 0; i = text.indexOf("`", i)) {
    let j = i;
    while (text[j] === "`") j += 1;
    if (j - i === length) return i;
    i = j;
  }
  return -1;
}

function linkAt(text, at) {
  let level = 0;
  let i = at;
  for (; i < text.length && i < at + 1000; i += 1) {
    if (text[i] === "\\") i += 1;
    else if (text[i] === "[") level += 1;
    else if (text[i] === "]" && --level === 0) break;
  }
  if (level !== 0 || text[i + 1] !== "(") return null;
  const rest = /^\(\s*(?:<([^<>\n]*)>|((?:[^\s()\\]|\\.|\([^\s()]*\))*))(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/.exec(text.slice(i + 1, i + 4096));
  if (!rest) return null;
  return { label: text.slice(at + 1, i), url: rest[1] ?? rest[2], end: i + 1 + rest[0].length };
}

/** Emphasis that opens at `at`: the first run of the same mark that closes it, code in between left out. */
function emphasisAt(text, at, dead) {
  const c = text[at];
  for (const length of c === "~" ? [2] : [3, 2, 1]) {
    const mark = c.repeat(length);
    if (!text.startsWith(mark, at) || dead.has(mark)) continue;
    const next = text[at + length];
    if (next === undefined || /\s/.test(next) || next === c) continue;
    if (c === "_" && /\w/.test(text[at - 1] ?? "")) continue;
    let i = at + length;
    while (i < text.length) {
      if (text[i] === "\\") { i += 2; continue; }
      if (text[i] !== c && text[i] !== "`") { i += 1; continue; }
      let run = i;
      while (text[run] === text[i]) run += 1;
      if (text[i] === "`") {
        const end = codeEnd(text, run, run - i);
        i = end < 0 ? run : end + run - i;
        continue;
      }
      const fits = length === 1 ? run - i !== 2 : run - i >= length;
      if (fits && !/\s/.test(text[i - 1]) && !(c === "_" && /\w/.test(text[run] ?? ""))) {
        const to = run - length;
        return { name: length === 1 ? "em" : c === "~" ? "s" : "strong", from: at + length, to, end: run };
      }
      i = run;
    }
    dead.add(mark);
  }
  return null;
}

const FENCE = /^( {0,3})(`{3,}|~{3,})\s*([^`\n]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const ITEM = /^( {0,3})([-*+]|\d{1,9}[.)])(\s+|$)(.*)$/;
const QUOTE = /^ {0,3}>\s?/;
const DELIMITER = /^ {0,3}\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

const isTable = (lines, i) => lines[i].includes("|") && lines[i + 1] !== undefined && DELIMITER.test(lines[i + 1])
  && cells(lines[i]).length === cells(lines[i + 1]).length;

/** The blocks at the top of a text, each with its source lines: what did not change need not be drawn again. */
export function blocksOf(source) {
  const lines = source.replace(/\r\n?/g, "\n").replace(/\t/g, "    ").split("\n");
  const blocks = [];
  let i = 0;
  const take = (kind, from, to, more = {}) => { blocks.push({ kind, raw: lines.slice(from, to).join("\n"), ...more }); i = to; };
  while (i < lines.length) {
    const line = lines[i];
    if (!line.trim()) { i += 1; continue; }
    const fence = FENCE.exec(line);
    if (fence) {
      let end = i + 1;
      const close = new RegExp(`^ {0,3}${fence[2][0]}{${fence[2].length},}\\s*$`);
      while (end < lines.length && !close.test(lines[end])) end += 1;
      take("code", i, Math.min(end + 1, lines.length), { indent: fence[1].length, language: fence[3].trim().split(/\s+/)[0], closed: end < lines.length });
      continue;
    }
    if (HEADING.test(line)) { take("heading", i, i + 1); continue; }
    if (RULE.test(line)) { take("rule", i, i + 1); continue; }
    if (isTable(lines, i)) {
      let end = i + 2;
      while (end < lines.length && lines[end].trim() && lines[end].includes("|")) end += 1;
      take("table", i, end);
      continue;
    }
    if (QUOTE.test(line)) {
      let end = i + 1;
      while (end < lines.length && lines[end].trim() && (QUOTE.test(lines[end]) || !starts(lines, end))) end += 1;
      take("quote", i, end);
      continue;
    }
    const item = ITEM.exec(line);
    if (item) { take("list", i, listEnd(lines, i, item)); continue; }
    if (/^ {4}/.test(line)) {
      let end = i + 1;
      while (end < lines.length && (/^ {4}/.test(lines[end]) || (!lines[end].trim() && /^ {4}/.test(lines[end + 1] ?? "")))) end += 1;
      take("indented", i, end);
      continue;
    }
    let end = i + 1;
    while (end < lines.length && lines[end].trim() && !starts(lines, end)) end += 1;
    take("paragraph", i, end);
  }
  return blocks;
}

function starts(lines, i) {
  const line = lines[i];
  const item = ITEM.exec(line);
  return FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || isTable(lines, i)
    || (item && item[4] && (!/\d/.test(item[2]) || /^1[.)]$/.test(item[2])));
}

const ordered = (item) => /\d/.test(item[2]);

function listEnd(lines, from, first) {
  let end = from + 1;
  let content = first[1].length + first[2].length + 1;
  while (end < lines.length) {
    const line = lines[end];
    const item = ITEM.exec(line);
    if (!line.trim()) {
      const next = lines[end + 1];
      const after = next === undefined ? null : ITEM.exec(next);
      const goesOn = next !== undefined && next.trim() && (/^ */.exec(next)[0].length >= content || (after && ordered(after) === ordered(first)));
      if (!goesOn) return end;
    } else if (/^ */.exec(line)[0].length >= content) {
      // Belongs to the item above.
    } else if (item && !RULE.test(line)) {
      if (ordered(item) !== ordered(first)) return end;
      content = item[1].length + item[2].length + 1;
    } else if (starts(lines, end) || !lines[end - 1].trim()) {
      return end;
    }
    end += 1;
  }
  return end;
}

/** One block as a node. */
export function blockNode(block, depth = 0) {
  const lines = block.raw.split("\n");
  switch (block.kind) {
    case "code": {
      const inner = lines.slice(1, block.closed ? -1 : undefined);
      const indent = new RegExp(`^ {0,${block.indent}}`);
      return codeNode(inner.map((line) => line.replace(indent, "")).join("\n"), block.language);
    }
    case "indented": return codeNode(lines.map((line) => line.slice(4)).join("\n"), "");
    case "heading": {
      const [, marks, words] = HEADING.exec(lines[0]);
      // The page has its own first heading: what a model calls first is third here.
      return el(`h${Math.min(marks.length + 2, 6)}`, { class: `h${marks.length}` }, ...inline(words ?? ""));
    }
    case "rule": return el("hr");
    case "table": return tableNode(lines);
    case "quote": return el("blockquote", {}, ...nodesOf(lines.map((line) => line.replace(QUOTE, "")).join("\n"), depth + 1));
    case "list": return listNode(lines, depth);
    default: return el("p", {}, ...inline(lines.map((line) => line.trimStart()).join("\n").trimEnd()));
  }
}

function nodesOf(source, depth) {
  if (depth > DEPTH_MAX) return [source];
  return blocksOf(source).map((block) => blockNode(block, depth));
}

function listNode(lines, depth) {
  const first = ITEM.exec(lines[0]);
  const items = [];
  let content = 0;
  for (const line of lines) {
    const item = ITEM.exec(line);
    const indent = /^ */.exec(line)[0].length;
    if (item && (items.length === 0 || indent < content)) {
      content = item[1].length + item[2].length + 1;
      items.push([item[4]]);
    } else {
      items.at(-1).push(line.slice(Math.min(content, indent)));
    }
  }
  const loose = items.some((item) => item.some((line, at) => !line.trim() && at < item.length - 1 && item[at + 1].trim()));
  const node = el(ordered(first) ? "ol" : "ul", { start: ordered(first) && parseInt(first[2], 10) !== 1 ? parseInt(first[2], 10) : null });
  for (const item of items) {
    const task = /^\[([ xX])\]\s+/.exec(item[0]);
    if (task) item[0] = item[0].slice(task[0].length);
    const children = nodesOf(item.join("\n").trimEnd(), depth + 1);
    const flat = loose ? children : children.flatMap((child) => (child.tagName === "P" ? [...child.childNodes] : [child]));
    if (task) flat.unshift(el("span", { class: task[1] === " " ? "task" : "task checked", role: "img", "aria-label": task[1] === " " ? "to do" : "done" }));
    node.append(el("li", { class: task ? "task-item" : null }, ...flat));
  }
  return node;
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  const out = [""];
  let code = false;
  for (let i = 0; i < inner.length; i += 1) {
    if (inner[i] === "\\" && inner[i + 1] === "|") { out[out.length - 1] += "|"; i += 1; continue; }
    if (inner[i] === "`") code = !code;
    if (inner[i] === "|" && !code) out.push("");
    else out[out.length - 1] += inner[i];
  }
  return out.map((cell) => cell.trim());
}

function tableNode(lines) {
  const aligns = cells(lines[1]).map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : ""));
  const row = (line, name) => {
    const found = cells(line);
    return el("tr", {}, ...aligns.map((align, at) => el(name, { class: align || null }, ...inline(found[at] ?? ""))));
  };
  return el("div", { class: "table", role: "region", "aria-label": "Table", tabindex: "0" },
    el("table", {}, el("thead", {}, row(lines[0], "th")), el("tbody", {}, ...lines.slice(2).map((line) => row(line, "td")))));
}

function codeNode(text, language) {
  const code = el("code", {}, text);
  const button = el("button", { class: "copy", type: "button", onclick: () => copy(code, button) }, "Copy");
  return el("figure", { class: "code" },
    el("figcaption", {}, el("span", {}, language || "text"), button),
    el("pre", { tabindex: "0" }, code));
}

async function copy(code, button) {
  let done = true;
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // No clipboard outside a secure context: mark the text, so that the keyboard can copy it.
    getSelection().selectAllChildren(code);
    done = document.execCommand("copy");
  }
  button.textContent = done ? "Copied" : "Press Ctrl+C";
  setTimeout(() => { button.textContent = "Copy"; }, 1600);
}

/** Draws `source` into `node`, keeping every block that is still the same. */
export function drawMarkdown(node, source) {
  const blocks = blocksOf(source);
  const before = node.drawn ?? [];
  let same = 0;
  while (same < blocks.length && same < before.length && before[same].raw === blocks[same].raw
    && before[same].kind === blocks[same].kind && before[same].closed === blocks[same].closed) same += 1;
  // The last block of code only grows while it is streamed: its node stays, so it keeps its scroll place.
  const last = blocks[same];
  if (last && before[same]?.kind === "code" && last.kind === "code" && last.language === before[same].language) {
    const fresh = blockNode(last);
    node.children[same].querySelector("code").textContent = fresh.querySelector("code").textContent;
    same += 1;
  }
  while (node.children.length > same) node.lastElementChild.remove();
  for (const block of blocks.slice(same)) node.append(blockNode(block));
  node.drawn = blocks;
}
