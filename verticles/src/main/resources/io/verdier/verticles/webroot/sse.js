// Server-sent events, as the HTML standard frames them (section 9.2.6), read from a fetch body.
// EventSource cannot POST, hence a parser of our own. Only the data field matters here.

/** Splits text that arrives in arbitrary pieces into the data of whole events. */
export class SseParser {
  #rest = '';
  #data = [];
  #start = true;

  /** Returns the data of every event that `text` completes. */
  feed(text) {
    let input = this.#rest + text;
    if (this.#start && input.length > 0) {
      this.#start = false;
      if (input.startsWith('\uFEFF')) input = input.slice(1);
    }
    const events = [];
    let from = 0;
    for (;;) {
      const end = lineEnd(input, from);
      if (end === null) break;
      this.#line(input.slice(from, end.at), events);
      from = end.next;
    }
    this.#rest = input.slice(from);
    return events;
  }

  #line(line, events) {
    if (line === '') {
      if (this.#data.length > 0) events.push(this.#data.join('\n'));
      this.#data = [];
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    if (field !== 'data') return; // a comment, or event, id, retry
    const value = colon < 0 ? '' : line.slice(colon + 1);
    this.#data.push(value.startsWith(' ') ? value.slice(1) : value);
  }
}

/** Lines end with CR LF, LF or CR. A CR at the very end may be half of a CR LF: wait for more. */
function lineEnd(input, from) {
  for (let i = from; i < input.length; i++) {
    const c = input.charCodeAt(i);
    if (c === 10) return { at: i, next: i + 1 };
    if (c === 13) {
      if (i + 1 === input.length) return null;
      return { at: i, next: input.charCodeAt(i + 1) === 10 ? i + 2 : i + 1 };
    }
  }
  return null;
}

/** Yields the data of each event of a streamed response, in order. */
export async function* events(response) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder(); // keeps a character that is split over two chunks
  const parser = new SseParser();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield* parser.feed(decoder.decode(value, { stream: true }));
    }
  } finally {
    reader.cancel().catch(() => {}); // the stream may be broken already: nothing left to do
  }
}
