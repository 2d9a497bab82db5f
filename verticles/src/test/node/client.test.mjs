// The official npm client against a started server: VERDIER_BASE_URL says where. Run by NpmClientIT.
// Expected texts are the demo model's golden answers.
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: `${process.env.VERDIER_BASE_URL}/v1`,
  apiKey: "none",
  maxRetries: 0,
  timeout: 30_000,
});
const model = (await client.models.list()).data[0].id;

const CAR_ANSWER =
  "A car, or a motor car, is a road-connected human-transportation system used to move people or goods" +
  " from one place to another.";
const CAPITAL_ANSWER = " Paris. Paris lies on the river Seine and is home to the Eiffel Tower.";

const chat = (extra) => ({
  model,
  messages: [{ role: "user", content: "What is a car?" }],
  temperature: 0,
  max_completion_tokens: 64,
  ...extra,
});
const completion = (extra) => ({
  model,
  prompt: "The capital of France is",
  temperature: 0,
  max_tokens: 64,
  ...extra,
});

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
  }
  return chunks;
}

/** The texts of a stream's choices, by index. */
function contents(chunks) {
  const texts = [];
  for (const choice of chunks.flatMap((chunk) => chunk.choices)) {
    texts[choice.index] = (texts[choice.index] ?? "") + (choice.delta.content ?? "");
  }
  return texts;
}

test("models are listed", async () => {
  const models = await client.models.list();
  assert.equal(models.object, "list");
  assert.equal(models.data[0].object, "model");
});

test("chat, not streamed", async () => {
  const answer = await client.chat.completions.create(chat());
  assert.equal(answer.object, "chat.completion");
  assert.equal(answer.choices[0].message.role, "assistant");
  assert.equal(answer.choices[0].message.content, CAR_ANSWER);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.equal(answer.usage.prompt_tokens, 15);
  assert.equal(answer.usage.completion_tokens, 28);
  assert.equal(answer.usage.total_tokens, 43);
});

test("chat, streamed with usage", async () => {
  const stream = await client.chat.completions.create(
    chat({ stream: true, stream_options: { include_usage: true } }),
  );
  const chunks = await collect(stream);
  assert.equal(chunks[0].object, "chat.completion.chunk");
  assert.equal(chunks[0].choices[0].delta.role, "assistant");
  assert.deepEqual(contents(chunks), [CAR_ANSWER]);
  const reasons = chunks.flatMap((c) => c.choices).map((c) => c.finish_reason);
  assert.deepEqual(
    reasons.filter((reason) => reason),
    ["stop"],
  );
  const last = chunks.at(-1);
  assert.equal(last.choices.length, 0);
  assert.equal(last.usage.total_tokens, 43);
});

test("the client's own stream helper", async () => {
  const runner = client.chat.completions.stream(chat());
  assert.equal(await runner.finalContent(), CAR_ANSWER);
});

test("completion, not streamed and streamed", async () => {
  const answer = await client.completions.create(completion());
  assert.equal(answer.choices[0].text, CAPITAL_ANSWER);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.equal(answer.usage.prompt_tokens, 6);
  const chunks = await collect(await client.completions.create(completion({ stream: true })));
  assert.equal(
    chunks
      .flatMap((chunk) => chunk.choices)
      .map((choice) => choice.text)
      .join(""),
    CAPITAL_ANSWER,
  );
});

test("two choices with a seed are the same again and streamed", async () => {
  const request = chat({ n: 2, temperature: 1, top_p: 1, seed: 7, max_completion_tokens: 24 });
  const texts = async () => {
    const answer = await client.chat.completions.create(request);
    return answer.choices.sort((a, b) => a.index - b.index).map((c) => c.message.content);
  };
  const first = await texts();
  assert.equal(first.length, 2);
  assert.deepEqual(await texts(), first);
  const chunks = await collect(await client.chat.completions.create({ ...request, stream: true }));
  assert.deepEqual(contents(chunks), first);
});

test("stop strings cut before them", async () => {
  const before = CAR_ANSWER.slice(0, CAR_ANSWER.indexOf("human"));
  const request = chat({ stop: ["xyz", "human"] });
  const answer = await client.chat.completions.create(request);
  assert.equal(answer.choices[0].message.content, before);
  assert.equal(answer.choices[0].finish_reason, "stop");
  const chunks = await collect(await client.chat.completions.create({ ...request, stream: true }));
  assert.deepEqual(contents(chunks), [before]);
});

test("log probabilities describe the text", async () => {
  const answer = await client.chat.completions.create(
    chat({ logprobs: true, top_logprobs: 3, max_completion_tokens: 8 }),
  );
  assert.equal(answer.choices[0].finish_reason, "length");
  const tokens = answer.choices[0].logprobs.content;
  assert.equal(tokens.length, 8);
  assert.equal(
    Buffer.from(tokens.flatMap((token) => token.bytes)).toString("utf8"),
    answer.choices[0].message.content,
  );
  for (const token of tokens) {
    assert.ok(token.logprob <= 0);
    assert.equal(token.top_logprobs.length, 3);
    assert.equal(token.top_logprobs[0].token, token.token);
  }
});

test("an unknown model is not found", async () => {
  await assert.rejects(
    client.chat.completions.create(chat({ model: "no-such-model" })),
    (error) => error instanceof OpenAI.NotFoundError && error.message.includes("no-such-model"),
  );
});

test("bad parameters are refused", async () => {
  for (const extra of [{ temperature: -1 }, { top_p: 1.5 }, { stop: "" }, { n: 0 }]) {
    for (const stream of [false, true]) {
      await assert.rejects(
        client.chat.completions.create(chat({ ...extra, stream })),
        (error) => error instanceof OpenAI.BadRequestError && error.status === 400,
      );
    }
  }
});

test("an aborted stream ends, and the server answers the next request", async () => {
  const abort = new AbortController();
  const stream = await client.chat.completions.create(
    chat({ stream: true, n: 4, temperature: 1, max_completion_tokens: 1500, ignore_eos: true }),
    { signal: abort.signal },
  );
  let chunks = 0;
  for await (const chunk of stream) {
    assert.ok(chunk);
    if (++chunks === 8) {
      abort.abort();
    }
  }
  assert.ok(chunks < 4 * 1500);
  const answer = await client.chat.completions.create(chat());
  assert.equal(answer.choices[0].message.content, CAR_ANSWER);
});

const tools = [
  {
    type: "function",
    function: {
      name: "get_weather",
      description: "Get the weather of a city",
      parameters: {
        type: "object",
        properties: { city: { type: "string", description: "Name of the city" } },
        required: ["city"],
      },
    },
  },
];
const weather = { role: "user", content: "What is the weather in Paris?" };

test("tool call, its result, and the answer", async () => {
  const asked = await client.chat.completions.create(chat({ messages: [weather], tools }));
  const { message, finish_reason } = asked.choices[0];
  assert.equal(finish_reason, "tool_calls");
  assert.equal(message.content, null);
  assert.equal(message.tool_calls.length, 1);
  const [call] = message.tool_calls;
  assert.match(call.id, /^chatcmpl-tool-[0-9a-f]{32}$/);
  assert.equal(call.function.name, "get_weather");
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "Paris" });
  const result = {
    role: "tool",
    tool_call_id: call.id,
    content: JSON.stringify({ temperature: 21, condition: "sunny" }),
  };
  const told = await client.chat.completions.create(
    chat({ messages: [weather, message, result], tools }),
  );
  assert.equal(told.choices[0].finish_reason, "stop");
  assert.match(told.choices[0].message.content, /Paris.*21/);
});

test("tool call, streamed, as the client's own helper adds it up", async () => {
  const runner = client.chat.completions.stream(chat({ messages: [weather], tools }));
  const names = [];
  for await (const chunk of runner) {
    for (const call of chunk.choices[0]?.delta.tool_calls ?? []) {
      assert.equal(call.index, 0);
      names.push(call.function.name);
    }
  }
  assert.ok(names.length > 1, "arguments come in parts");
  assert.deepEqual(names.filter((name) => name), ["get_weather"]);
  const { message, finish_reason } = (await runner.finalChatCompletion()).choices[0];
  assert.equal(finish_reason, "tool_calls");
  assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { city: "Paris" });
});

for (const stream of [false, true]) {
  test(`tools that the client's runner calls by itself, ${stream ? "streamed" : "whole"}`, async () => {
    const asked = [];
    const get_weather = async ({ city }) => {
      asked.push(city);
      return JSON.stringify({ temperature: 21, condition: "sunny" });
    };
    const [{ function: declared }] = tools;
    const runner = client.chat.completions.runTools(
      chat({
        messages: [weather],
        tools: [
          { type: "function", function: { ...declared, function: get_weather, parse: JSON.parse } },
        ],
        stream,
      }),
    );
    assert.match(await runner.finalContent(), /Paris.*21/);
    assert.deepEqual(asked, ["Paris"]);
    assert.equal(await runner.finalFunctionToolCallResult(), '{"temperature":21,"condition":"sunny"}');
  });
}

test("events of a streamed chat", async () => {
  const heard = { connect: 0, chunk: 0, content: "", snapshots: [], delta: "", done: [], end: 0, errors: [] };
  const runner = client.chat.completions
    .stream(chat({ stream_options: { include_usage: true } }))
    .on("connect", () => heard.connect++)
    .on("chunk", () => heard.chunk++)
    .on("content", (delta, snapshot) => {
      heard.content += delta;
      heard.snapshots.push(snapshot);
    })
    .on("content.delta", ({ delta }) => (heard.delta += delta))
    .on("content.done", ({ content }) => heard.done.push(content))
    .on("error", (error) => heard.errors.push(error))
    .on("end", () => heard.end++);
  const messages = [];
  runner.on("message", (message) => messages.push(message));
  const usage = await runner.totalUsage();
  await runner.done();
  assert.equal(heard.content, CAR_ANSWER);
  assert.equal(heard.delta, CAR_ANSWER);
  assert.deepEqual(heard.done, [CAR_ANSWER]);
  assert.equal(heard.snapshots.at(-1), CAR_ANSWER);
  assert.ok(heard.snapshots.length > 5 && heard.chunk > heard.snapshots.length);
  assert.deepEqual([heard.connect, heard.end], [1, 1]);
  assert.deepEqual(heard.errors, []);
  assert.equal(messages.at(-1).content, CAR_ANSWER);
  assert.equal(usage.total_tokens, 43);
});

test("events of a streamed tool call", async () => {
  const deltas = [];
  const done = [];
  const runner = client.chat.completions
    .stream(chat({ messages: [weather], tools }))
    .on("tool_calls.function.arguments.delta", (event) => deltas.push(event))
    .on("tool_calls.function.arguments.done", (event) => done.push(event));
  await runner.done();
  assert.ok(deltas.length > 1);
  assert.ok(deltas.every((event) => event.name === "get_weather" && event.index === 0));
  const said = deltas.map((event) => event.arguments_delta).join("");
  assert.deepEqual(JSON.parse(said), { city: "Paris" });
  assert.equal(deltas.at(-1).arguments, said);
  assert.deepEqual(
    done.map(({ name, index, arguments: whole }) => ({ name, index, whole })),
    [{ name: "get_weather", index: 0, whole: said }],
  );
});

test("events of log probabilities", async () => {
  let text = "";
  let done;
  const runner = client.chat.completions
    .stream(chat({ logprobs: true, top_logprobs: 2 }))
    .on("logprobs.content.delta", ({ content }) => {
      text += content.map((token) => token.token).join("");
    })
    .on("logprobs.content.done", ({ content }) => (done = content));
  await runner.done();
  assert.ok(text.startsWith(CAR_ANSWER));
  assert.equal(done.length, 28);
  assert.ok(done.every((token) => token.top_logprobs.length === 2));
});

test("an error is an event too", async () => {
  const errors = [];
  const runner = client.chat.completions.stream(chat({ temperature: 9 })).on("error", (error) => errors.push(error));
  await assert.rejects(runner.done(), OpenAI.BadRequestError);
  assert.equal(errors.length, 1);
  assert.match(errors[0].message, /temperature/);
});

for (const stream of [false, true]) {
  test(`events of the tool runner, ${stream ? "streamed" : "whole"}`, async () => {
    const get_weather = async () => JSON.stringify({ temperature: 21, condition: "sunny" });
    const [{ function: declared }] = tools;
    const heard = { calls: [], results: [], messages: [], completions: 0, content: [] };
    const runner = client.chat.completions
      .runTools(
        chat({
          messages: [weather],
          tools: [{ type: "function", function: { ...declared, function: get_weather, parse: JSON.parse } }],
          stream,
        }),
      )
      .on("functionToolCall", (call) => heard.calls.push(call))
      .on("functionToolCallResult", (result) => heard.results.push(result))
      .on("message", (message) => heard.messages.push(message.role))
      .on("chatCompletion", () => heard.completions++)
      .on("finalContent", (content) => heard.content.push(content));
    await runner.done();
    assert.deepEqual(
      heard.calls.map((call) => [call.name, JSON.parse(call.arguments)]),
      [["get_weather", { city: "Paris" }]],
    );
    assert.deepEqual(heard.results, ['{"temperature":21,"condition":"sunny"}']);
    assert.deepEqual(heard.messages, ["assistant", "tool", "assistant"]);
    assert.equal(heard.completions, 2);
    assert.equal(heard.content.length, 1);
    assert.match(heard.content[0], /Paris.*21/);
  });
}
