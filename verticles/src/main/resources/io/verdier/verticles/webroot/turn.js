// One question and its answer on the page, with the figures of how the answer came.

import { render } from './markdown.js';

const RHYTHM_BINS = 28;
const RHYTHM_TOKENS_MIN = 8; // fewer say nothing about rhythm
const SVG = 'http://www.w3.org/2000/svg';

/** Owned by the page's only thread. Life: asked, streaming, then done, stopped or failed. */
export class Turn {
  question;
  answer = '';
  element;
  #prose;
  #note;
  #figures;
  #rhythm;
  #retry;
  #copy;
  #sentAt = 0;
  #arrivals = []; // ms after the request, one entry per streamed piece
  #usage = null;
  #finish = null;
  #frame = 0;
  #newest = true;

  constructor(question, { onRetry, onCopy }) {
    this.question = question;
    this.element = node('article', 'turn');
    const asked = node('div', 'question');
    asked.append(node('h3', 'unseen', 'You'), node('p', '', question));
    const told = node('div', 'answer');
    this.#prose = node('div', 'prose');
    this.#note = node('p', 'note');
    this.#note.hidden = true;
    this.#figures = node('p', 'figures');
    this.#rhythm = document.createElementNS(SVG, 'svg');
    this.#rhythm.setAttribute('class', 'rhythm');
    this.#copy = button('Copy', 'Copy answer', () => onCopy(this));
    this.#retry = button('Again', 'Ask again', () => onRetry(this));
    const foot = node('div', 'stats');
    foot.append(this.#rhythm, this.#figures, this.#copy, this.#retry);
    told.append(node('h3', 'unseen', 'Answer'), this.#prose, this.#note, foot);
    this.element.append(asked, told);
    this.begin();
  }

  /** Forgets the answer: it is about to be asked for again. */
  begin() {
    this.answer = '';
    this.#arrivals = [];
    this.#usage = null;
    this.#finish = null;
    this.note('');
    this.#prose.replaceChildren();
    this.#rhythm.replaceChildren();
    this.#figures.textContent = '';
    this.#state('waiting');
  }

  /** The request leaves now: time to first token counts from here. */
  sent() {
    this.#sentAt = performance.now();
    this.note('');
  }

  /** Takes one chunk of the stream. */
  take(chunk) {
    if (chunk.usage) this.#usage = chunk.usage;
    const choice = chunk.choices?.[0];
    if (!choice) return;
    if (choice.finish_reason) this.#finish = choice.finish_reason;
    const text = choice.delta?.content;
    if (!text) return;
    this.#arrivals.push(performance.now() - this.#sentAt);
    this.answer += text;
    this.#state('streaming');
    this.#frame ||= requestAnimationFrame(() => this.#show());
  }

  /** The answer is complete as far as it will ever be. `state`: done, stopped or failed. */
  end(state) {
    cancelAnimationFrame(this.#frame);
    this.#show();
    this.#state(state);
    this.#figures.textContent = this.#summary(state).join(' · ');
    this.#figures.title = this.#details();
    this.#drawRhythm();
  }

  note(text) {
    this.#note.textContent = text;
    this.#note.hidden = text === '';
    this.#grown();
  }

  /** Tokens of the whole conversation so far, 0 where the server did not say. */
  get tokens() {
    return this.#usage?.total_tokens ?? 0;
  }

  /** Only the newest turn can be asked again: later ones build on the earlier. */
  set newest(value) {
    this.#newest = value;
    this.#retry.hidden = !value;
  }

  #state(state) {
    this.element.dataset.state = state;
    const busy = state === 'waiting' || state === 'streaming';
    this.element.setAttribute('aria-busy', String(busy));
    this.#copy.hidden = busy || this.answer === '';
    this.#retry.hidden = busy || !this.#newest;
  }

  #show() {
    this.#frame = 0;
    render(this.#prose, this.answer);
    if (this.#arrivals.length > 0) {
      this.#figures.textContent = [...this.#speed(), `${this.#count()} tokens`].join(' · ');
    }
    this.#grown();
  }

  /** Tells the page that there may be more to scroll to. */
  #grown() {
    this.element.dispatchEvent(new Event('grown', { bubbles: true }));
  }

  #count() {
    return this.#usage?.completion_tokens ?? this.#arrivals.length;
  }

  /** Decode speed leaves the first token out: its time is the prompt's. */
  #speed() {
    const first = this.#arrivals[0];
    const last = this.#arrivals.at(-1);
    const parts = [];
    if (last > first) parts.push(`${short(((this.#count() - 1) * 1000) / (last - first))} tokens/s`);
    parts.push(`first token ${milliseconds(first)}`);
    return parts;
  }

  #summary(state) {
    const parts = [];
    if (this.#arrivals.length > 0) parts.push(...this.#speed(), plural(this.#count(), 'token'));
    if (state === 'stopped') parts.push('stopped');
    if (state === 'done' && this.#finish === 'length') parts.push('cut at the token limit');
    return parts;
  }

  #details() {
    if (!this.#usage) return 'Counted from the stream: the server sent no usage.';
    const cached = this.#usage.prompt_tokens_details?.cached_tokens;
    const prompt = plural(this.#usage.prompt_tokens, 'prompt token');
    const hit = cached > 0 ? ` (${cached} from the prefix cache)` : '';
    return `${prompt}${hit}, ${plural(this.#usage.completion_tokens, 'answer token')}`;
  }

  /** Bars of how many pieces came in each slice of time: a pause is a gap. */
  #drawRhythm() {
    if (this.#arrivals.length < RHYTHM_TOKENS_MIN) return;
    const first = this.#arrivals[0];
    const span = this.#arrivals.at(-1) - first || 1;
    const bins = new Array(RHYTHM_BINS).fill(0);
    for (const at of this.#arrivals) {
      bins[Math.min(RHYTHM_BINS - 1, Math.floor(((at - first) / span) * RHYTHM_BINS))]++;
    }
    const most = Math.max(...bins);
    this.#rhythm.setAttribute('viewBox', `0 0 ${RHYTHM_BINS * 3} 16`);
    this.#rhythm.setAttribute('role', 'img');
    this.#rhythm.setAttribute('aria-label', 'Rhythm of the answer: tokens over time');
    bins.forEach((count, i) => {
      const height = count === 0 ? 1 : 3 + (13 * count) / most;
      const bar = document.createElementNS(SVG, 'rect');
      const box = { x: i * 3, y: (16 - height) / 2, width: 2, height, rx: 1 };
      for (const [name, value] of Object.entries(box)) bar.setAttribute(name, value);
      this.#rhythm.append(bar);
    });
  }
}

function node(tag, className, text = '') {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

function button(text, label, onClick) {
  const element = node('button', 'quiet', text);
  element.type = 'button';
  element.setAttribute('aria-label', label);
  element.addEventListener('click', onClick);
  return element;
}

function short(number) {
  return number < 10 ? number.toFixed(1) : Math.round(number).toLocaleString('en');
}

function milliseconds(ms) {
  return ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(2)} s`;
}

function plural(count, word) {
  return `${count.toLocaleString('en')} ${word}${count === 1 ? '' : 's'}`;
}
