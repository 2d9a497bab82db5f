// A small, safe Markdown: fenced code, inline code, bold, headings, lists, paragraphs. Answers are
// untrusted text: everything is built from text nodes and elements of our own choice, never from
// markup. What is not understood stays as it was written. Links stay text on purpose.

const FENCE = /^ {0,3}(```+|~~~+)\s*([\w+#.-]*)/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const HEADING = /^(#{1,6})\s+(.*)$/;

/** Splits text into blocks: {kind, raw, ...}. A block's raw text decides how it looks. */
export function blocks(text) {
  const lines = text.split('\n');
  const found = [];
  for (let i = 0; i < lines.length; ) {
    if (lines[i].trim() === '') {
      i++;
      continue;
    }
    const block = fence(lines, i) ?? list(lines, i) ?? heading(lines, i) ?? paragraph(lines, i);
    block.raw = lines.slice(i, block.next).join('\n');
    found.push(block);
    i = block.next;
  }
  return found;
}

function fence(lines, from) {
  const open = FENCE.exec(lines[from]);
  if (!open) return null;
  let next = from + 1;
  while (next < lines.length && !lines[next].trimStart().startsWith(open[1])) next++;
  const code = lines.slice(from + 1, next).join('\n');
  return { kind: 'code', language: open[2], code, next: Math.min(next + 1, lines.length) };
}

function list(lines, from) {
  const first = ITEM.exec(lines[from]);
  if (!first) return null;
  const ordered = /\d/.test(first[2]);
  const items = [];
  let next = from;
  for (; next < lines.length; next++) {
    const item = ITEM.exec(lines[next]);
    if (item && /\d/.test(item[2]) === ordered) {
      items.push({ depth: item[1].length > first[1].length ? 1 : 0, text: item[3] });
    } else if (item && items.length > 0 && item[1].length > first[1].length) {
      items.push({ depth: 1, text: item[3] });
    } else if (!item && /^\s+\S/.test(lines[next])) {
      items[items.length - 1].text += `\n${lines[next].trim()}`;
    } else {
      break;
    }
  }
  return { kind: 'list', ordered, start: parseInt(first[2], 10), items, next };
}

function heading(lines, from) {
  const found = HEADING.exec(lines[from]);
  return found ? { kind: 'heading', text: found[2], next: from + 1 } : null;
}

function paragraph(lines, from) {
  let next = from + 1;
  while (next < lines.length && lines[next].trim() !== '' && !startsBlock(lines[next])) next++;
  return { kind: 'paragraph', text: lines.slice(from, next).join('\n'), next };
}

function startsBlock(line) {
  return FENCE.test(line) || ITEM.test(line) || HEADING.test(line);
}

/**
 * Shows `text` in `parent`. Called for every frame of a stream: blocks that did not change keep
 * their elements, so that a selection survives and a long answer costs only its last block.
 */
export function render(parent, text) {
  const wanted = blocks(text);
  wanted.forEach((block, i) => {
    const old = parent.children[i];
    if (old && old.raw === block.raw) return;
    const element = build(block);
    element.raw = block.raw;
    if (old) old.replaceWith(element);
    else parent.append(element);
  });
  while (parent.children.length > wanted.length) parent.lastElementChild.remove();
}

function build(block) {
  switch (block.kind) {
    case 'code':
      return codeBlock(block);
    case 'list':
      return listBlock(block);
    case 'heading':
      return inline(document.createElement('h3'), block.text);
    default:
      return inline(document.createElement('p'), block.text);
  }
}

function codeBlock(block) {
  const figure = document.createElement('figure');
  const code = document.createElement('code');
  code.textContent = block.code;
  const pre = document.createElement('pre');
  pre.tabIndex = 0; // wide code scrolls: the keyboard must reach it
  pre.append(code);
  const caption = document.createElement('figcaption');
  const language = document.createElement('span');
  language.textContent = block.language || 'code';
  const copy = document.createElement('button');
  copy.type = 'button';
  copy.className = 'copy-code';
  copy.textContent = 'Copy';
  copy.setAttribute('aria-label', 'Copy code');
  caption.append(language, copy);
  figure.append(caption, pre);
  return figure;
}

function listBlock(block) {
  const outer = document.createElement(block.ordered ? 'ol' : 'ul');
  if (block.ordered && block.start !== 1) outer.start = block.start;
  let inner = null;
  for (const item of block.items) {
    const element = inline(document.createElement('li'), item.text);
    if (item.depth === 0 || !outer.lastElementChild) {
      outer.append(element);
      inner = null;
    } else {
      if (!inner) {
        inner = document.createElement('ul');
        outer.lastElementChild.append(inner);
      }
      inner.append(element);
    }
  }
  return outer;
}

/** Inline code first: nothing inside it is markup. */
function inline(element, text) {
  for (const part of text.split(/(`[^`\n]+`)/)) {
    if (part.length > 2 && part.startsWith('`') && part.endsWith('`')) {
      const code = document.createElement('code');
      code.textContent = part.slice(1, -1);
      element.append(code);
    } else {
      bold(element, part);
    }
  }
  return element;
}

function bold(element, text) {
  for (const part of text.split(/(\*\*(?=\S)[^*]*[^*\s]\*\*)/)) {
    if (part.length > 4 && part.startsWith('**') && part.endsWith('**')) {
      const strong = document.createElement('strong');
      strong.textContent = part.slice(2, -2);
      element.append(strong);
    } else if (part !== '') {
      element.append(part);
    }
  }
}
