// The chat page. Reads downwards: what is asked (send), how it streams (stream), what the reader
// sees of it (Turn, in turn.js), then the settings and the model list beside it.

import { chat, models, ready } from './api.js';
import { Turn } from './turn.js';

const SUGGESTIONS = [
  { text: 'What is paged attention?' },
  { text: 'What is the Moon?', system: 'You are a pirate.' },
  { text: 'Tell me a story about Alice and a fox.' },
  { text: 'List five fruits.' },
  { text: "Quelle est la capitale de l'Italie ?" },
  { text: 'Write a poem about the moon.' },
  { text: 'Extract name, age and city as JSON: Alice is 30 and lives in Paris.' },
];
const KEY = 'verdier.key';
const NEAR_BOTTOM_PX = 80;

const $ = (id) => document.getElementById(id);
const turns = [];
let served = []; // entries of /v1/models
let running = null; // AbortController of the answer in progress
let connecting = null; // AbortController of the model list in progress

// ---------------------------------------------------------------- asking

function send(text) {
  const question = text.trim();
  if (question === '' || running || !settingsValid()) return;
  const turn = new Turn(question, { onRetry: (it) => ask(it), onCopy: copyAnswer });
  for (const earlier of turns) earlier.newest = false;
  turns.push(turn);
  $('transcript').append(turn.element);
  $('welcome').hidden = true;
  $('clear').disabled = false;
  $('question').value = '';
  grow();
  ask(turn);
}

/** Streams the answer of `turn`; whatever happens ends up in the turn, never only in the console. */
async function ask(turn) {
  if (running || !settingsValid()) return;
  running = new AbortController();
  const { signal } = running;
  turn.begin();
  answering(true);
  follow();
  try {
    await stream(turn, signal);
    turn.end('done');
    announce('Answer complete.');
  } catch (error) {
    if (error.name === 'AbortError') {
      turn.end('stopped');
      announce('Stopped.');
    } else {
      turn.note(error.kind ? error.message : `The page failed: ${error.message}`);
      turn.end('failed');
      announce(error.message);
      if (error.kind === 'key') openSettings($('key'));
      if (error.kind === 'unreachable') connect();
    }
  }
  running = null;
  answering(false);
  if (turns.includes(turn)) showContext(turn);
  if (!$('main').inert) focusQuestion();
}

/** One try, and another each time that the server was merely not ready yet. */
async function stream(turn, signal) {
  const body = requestBody(turn);
  for (;;) {
    turn.sent();
    try {
      for await (const chunk of chat(body, $('key').value, signal)) turn.take(chunk);
      return;
    } catch (error) {
      if (error.kind !== 'loading') throw error;
    }
    turn.note('The server is still loading its model. The question goes out as soon as it is ready.');
    await ready(signal, (reachable) => {
      if (!reachable) turn.note('The server does not answer. Waiting for it to come back.');
    });
  }
}

function requestBody(turn) {
  const body = {
    messages: conversation(turn),
    stream: true,
    stream_options: { include_usage: true },
  };
  if ($('model').value) body.model = $('model').value;
  const fields = { temperature: 'temperature', top_p: 'top-p', max_tokens: 'max-tokens', seed: 'seed' };
  for (const [name, id] of Object.entries(fields)) {
    if ($(id).value !== '') body[name] = Number($(id).value);
  }
  return body;
}

/** Questions that got no answer are left out: two user messages in a row confuse a template. */
function conversation(turn) {
  const messages = [];
  const system = $('system').value.trim();
  if (system) messages.push({ role: 'system', content: system });
  for (const earlier of turns) {
    if (earlier === turn) break;
    if (earlier.answer === '') continue;
    messages.push({ role: 'user', content: earlier.question });
    messages.push({ role: 'assistant', content: earlier.answer });
  }
  messages.push({ role: 'user', content: turn.question });
  return messages;
}

function stop() {
  running?.abort();
}

function clear() {
  stop();
  turns.length = 0;
  $('transcript').replaceChildren();
  $('welcome').hidden = false;
  $('clear').disabled = true;
  $('context').hidden = true;
  $('jump').hidden = true;
  $('main').scrollTop = 0;
  focusQuestion();
}

// ---------------------------------------------------------------- what the reader sees

function answering(busy) {
  $('send').hidden = busy;
  $('stop').hidden = !busy;
}

/** Not on touch screens: there it would raise the keyboard over the answer. */
function focusQuestion() {
  if (matchMedia('(hover: hover)').matches) $('question').focus({ preventScroll: true });
}

function announce(text) {
  $('announcer').textContent = text;
}

function showContext(turn) {
  const limit = contextLimit();
  $('context').hidden = turn.tokens === 0;
  if (turn.tokens === 0) return;
  const used = turn.tokens.toLocaleString('en');
  $('context').textContent = limit
    ? `${used} of ${limit.toLocaleString('en')} tokens of context used`
    : `${used} tokens of context used`;
  $('context').classList.toggle('full', limit > 0 && turn.tokens > limit * 0.85);
}

/** An adapter has no limit of its own: its base model's counts. */
function contextLimit() {
  const card = served.find((it) => it.id === $('model').value);
  const base = served.find((it) => it.id === card?.parent);
  return card?.max_model_len ?? base?.max_model_len ?? 0;
}

function atBottom() {
  const main = $('main');
  return main.scrollHeight - main.scrollTop - main.clientHeight < NEAR_BOTTOM_PX;
}

function follow() {
  $('main').scrollTop = $('main').scrollHeight;
  $('jump').hidden = true;
}

async function copyAnswer(turn) {
  announce((await copy(turn.answer)) ? 'Copied.' : 'Copying is not allowed here.');
}

/** The clipboard interface exists on https and localhost only; elsewhere the old command serves. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    area.className = 'unseen';
    document.body.append(area);
    area.select();
    const copied = document.execCommand('copy');
    area.remove();
    return copied;
  }
}

function grow() {
  const area = $('question');
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight}px`;
}

// ---------------------------------------------------------------- models

/** Fills the model list; while the server loads or is away, waits for it. */
async function connect() {
  connecting?.abort();
  connecting = new AbortController();
  const { signal } = connecting;
  for (;;) {
    try {
      showModels(await models($('key').value, signal));
      return;
    } catch (error) {
      if (error.name === 'AbortError') return;
      if (error.kind === 'key') {
        notice('The server asks for an API key.', 'key');
        openSettings($('key'));
        return;
      }
      if (!['loading', 'unreachable', 'busy'].includes(error.kind)) {
        notice(error.message, 'failed');
        return;
      }
    }
    notice('The server is loading its model…', 'loading');
    try {
      await ready(signal, (reachable) => {
        if (!reachable) notice('The server does not answer. Is it still running?', 'unreachable');
        else notice('The server is loading its model…', 'loading');
      });
    } catch {
      return; // a newer connect took over
    }
  }
}

function showModels(list) {
  served = list;
  const chosen = $('model').value;
  const groups = [
    ['Models', list.filter((it) => !it.parent)],
    ['Adapters', list.filter((it) => it.parent)],
  ].filter(([, cards]) => cards.length > 0);
  const groupElements = groups.map(([label, cards]) => {
    const group = document.createElement('optgroup');
    group.label = label;
    group.append(...cards.map((it) => new Option(it.id, it.id)));
    return group;
  });
  $('model').replaceChildren(...groupElements);
  $('model').disabled = list.length === 0;
  if (list.some((it) => it.id === chosen)) $('model').value = chosen;
  notice('', 'ready');
  if (list.some((it) => /demo/i.test(it.id))) {
    $('welcome-text').textContent =
      'The demo model is tiny. It knows a few hundred facts, does small sums, writes JSON and tells stories.';
  }
}

function notice(text, state) {
  $('notice').textContent = text;
  $('notice').hidden = text === '';
  $('state').dataset.state = state;
  $('state').title = text || 'ready';
}

// ---------------------------------------------------------------- settings

function settingsValid() {
  for (const input of $('settings').querySelectorAll('input')) {
    if (input.checkValidity()) continue;
    openSettings(input);
    input.reportValidity();
    return false;
  }
  return true;
}

/** Beside the chat on wide screens, over it on narrow ones. */
function openSettings(focused) {
  const narrow = getComputedStyle($('settings-open')).display !== 'none';
  if (narrow) {
    document.body.classList.add('settings-open');
    $('settings-open').setAttribute('aria-expanded', 'true');
    $('main').inert = true;
    $('composer').inert = true;
  }
  focused.focus();
}

function closeSettings() {
  if (!document.body.classList.contains('settings-open')) return;
  document.body.classList.remove('settings-open');
  $('settings-open').setAttribute('aria-expanded', 'false');
  $('main').inert = false;
  $('composer').inert = false;
  $('settings-open').focus();
}

/** An empty field is "auto"; moving the slider fills it. */
function pairSlider(fieldId, sliderId, rest) {
  const field = $(fieldId);
  const slider = $(sliderId);
  const show = () => {
    slider.value = field.value === '' ? rest : field.value;
    slider.classList.toggle('auto', field.value === '');
    slider.setAttribute('aria-valuetext', field.value || 'auto');
  };
  slider.addEventListener('input', () => {
    field.value = slider.value;
    show();
  });
  field.addEventListener('input', show);
  show();
  return show;
}

// ---------------------------------------------------------------- wiring

function wireComposer() {
  $('composer').addEventListener('submit', (event) => {
    event.preventDefault();
    send($('question').value);
  });
  $('question').addEventListener('input', grow);
  $('question').addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send($('question').value);
  });
  $('stop').addEventListener('click', stop);
  $('clear').addEventListener('click', clear);
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    if (document.body.classList.contains('settings-open')) closeSettings();
    else stop();
  });
  for (const { text, system } of SUGGESTIONS) {
    const chip = document.createElement('button');
    chip.type = 'button';
    chip.textContent = system ? `${text} (as a pirate)` : text;
    chip.addEventListener('click', () => {
      if (system) $('system').value = system;
      send(text);
    });
    const item = document.createElement('li');
    item.append(chip);
    $('suggestions').append(item);
  }
}

function wireTranscript() {
  let following = true;
  $('main').addEventListener('scroll', () => {
    following = atBottom();
    if (following) $('jump').hidden = true;
  });
  $('transcript').addEventListener('grown', () => {
    if (following) follow();
    else $('jump').hidden = false;
  });
  $('jump').addEventListener('click', follow);
  $('transcript').addEventListener('click', async (event) => {
    if (!event.target.matches('.copy-code')) return;
    const code = event.target.closest('figure').querySelector('code').textContent;
    announce((await copy(code)) ? 'Copied.' : 'Copying is not allowed here.');
  });
}

function wireSettings() {
  const sliders = [
    pairSlider('temperature', 'temperature-slider', 1),
    pairSlider('top-p', 'top-p-slider', 1),
  ];
  $('reset').addEventListener('click', () => {
    for (const id of ['temperature', 'top-p', 'max-tokens', 'seed']) $(id).value = '';
    sliders.forEach((show) => show());
  });
  $('settings-open').addEventListener('click', () => openSettings($('system')));
  $('settings-close').addEventListener('click', closeSettings);
  $('key').value = sessionStorage.getItem(KEY) ?? '';
  $('key').addEventListener('change', () => {
    sessionStorage.setItem(KEY, $('key').value);
    connect();
  });
  $('key-form').addEventListener('submit', (event) => {
    event.preventDefault(); // Enter has already fired the change
    closeSettings();
  });
}

wireComposer();
wireTranscript();
wireSettings();
connect();
focusQuestion();
