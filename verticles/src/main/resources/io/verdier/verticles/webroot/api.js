// The server's routes, and its failures in plain words. Every address is relative to the page, so
// that a server behind --root-path or a proxy's prefix is reached as well.

import { events } from './sse.js';

const POLL_FIRST_MS = 400;
const POLL_MAX_MS = 4000;

/** What went wrong, worded for the person at the page. */
export class ChatError extends Error {
  /** `kind` is one of key, loading, busy, refused, failed, unreachable, broken. */
  constructor(kind, text) {
    super(text);
    this.kind = kind;
  }
}

function headers(key) {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

async function request(path, options) {
  try {
    return await fetch(path, { cache: 'no-store', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ChatError('unreachable', 'The server cannot be reached. Is it still running?');
  }
}

/** The served models and adapters as `/v1/models` lists them. */
export async function models(key, signal) {
  const response = await request('v1/models', { headers: headers(key), signal });
  if (!response.ok) throw await failure(response);
  const body = await response.json();
  return Array.isArray(body.data) ? body.data : [];
}

/** Resolves once health answers 200; keeps asking, ever more slowly, until then or until aborted. */
export async function ready(signal, onWaiting) {
  for (let pause = POLL_FIRST_MS; ; pause = Math.min(pause * 1.6, POLL_MAX_MS)) {
    let reachable = true;
    try {
      if ((await request('health', { signal })).ok) return;
    } catch (error) {
      if (error.kind !== 'unreachable') throw error;
      reachable = false;
    }
    onWaiting(reachable);
    await delay(pause, signal);
  }
}

/** Yields the chunks of one streamed chat completion; throws ChatError when there is none. */
export async function* chat(body, key, signal) {
  const response = await request('v1/chat/completions', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'text/event-stream', ...headers(key) },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok) throw await failure(response);
  try {
    for await (const data of events(response)) {
      if (data === '[DONE]') return;
      const chunk = parse(data);
      if (chunk.error) throw new ChatError('failed', `The answer failed: ${errorText(chunk)}`);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof ChatError || error.name === 'AbortError') throw error;
    throw new ChatError('broken', 'The connection broke before the answer was complete.');
  }
  throw new ChatError('broken', 'The connection ended before the answer was complete.');
}

function parse(data) {
  try {
    return JSON.parse(data);
  } catch {
    throw new ChatError('broken', 'The server sent an event that is not JSON.');
  }
}

async function failure(response) {
  const text = errorText(await response.json().catch(() => null));
  switch (response.status) {
    case 401:
    case 403:
      return new ChatError('key', 'The server asks for an API key. Enter it under Settings.');
    case 413:
      return new ChatError('refused', 'This conversation is too large for the server. Start a new chat.');
    case 429:
      return busy(response);
    case 503:
      return (await healthy())
        ? busy(response)
        : new ChatError('loading', 'The server is not ready yet.');
    default:
      return response.status < 500
        ? new ChatError('refused', text || `The server refused the request (${response.status}).`)
        : new ChatError('failed', `The server failed: ${text || response.status}`);
  }
}

/** 503 means "loading" or "queue full"; health tells which. */
async function healthy() {
  try {
    return (await request('health')).ok;
  } catch {
    return false;
  }
}

function busy(response) {
  const seconds = Number(response.headers.get('Retry-After'));
  const when = seconds > 0 ? `in ${seconds} s` : 'in a moment';
  return new ChatError('busy', `The server is busy. Try again ${when}.`);
}

/** Servers word errors as {error: {message}}, {error: "text"} or {message}. */
function errorText(body) {
  const error = body?.error ?? body;
  const text = typeof error === 'string' ? error : error?.message;
  return typeof text === 'string' ? text : '';
}

function delay(ms, signal) {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
