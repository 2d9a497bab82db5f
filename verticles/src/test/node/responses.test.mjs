// The Responses API through OpenAI's npm client against a started server: VERDIER_BASE_URL says where. Run by
// NpmClientIT. Expected texts are the demo model's golden answers.
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

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
const TOOLS = [
  {
    type: "function",
    name: "get_weather",
    description: "Get the weather of a city.",
    strict: true,
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
  },
];
const QUESTION = { role: "user", content: "What is the weather in Paris?" };

const ask = (extra) => ({
  model,
  input: "What is a car?",
  temperature: 0,
  max_output_tokens: 64,
  store: false,
  ...extra,
});

test("a response, not streamed", async () => {
  const response = await client.responses.create(ask());
  assert.equal(response.status, "completed");
  assert.equal(response.output_text, CAR_ANSWER);
  assert.equal(response.usage.input_tokens, 15);
  assert.equal(response.usage.output_tokens, 28);
});

test("a response, streamed event by event", async () => {
  const events = [];
  for await (const event of await client.responses.create(ask({ stream: true }))) {
    events.push(event);
  }
  assert.deepEqual(
    events.map((event) => event.sequence_number),
    events.map((_, index) => index),
  );
  assert.equal(events[0].type, "response.created");
  const text = events.filter((event) => event.type === "response.output_text.delta").map((event) => event.delta);
  assert.equal(text.join(""), CAR_ANSWER);
  assert.equal(events.at(-1).type, "response.completed");
});

test("a response, streamed by the helper", async () => {
  const response = await client.responses.stream(ask()).finalResponse();
  assert.equal(response.output_text, CAR_ANSWER);
});

test("a tool is called, and its result is used", async () => {
  const called = await client.responses.create(ask({ input: [QUESTION], tools: TOOLS }));
  const call = called.output.find((item) => item.type === "function_call");
  assert.equal(call.name, "get_weather");
  assert.deepEqual(JSON.parse(call.arguments), { city: "Paris" });
  const input = [
    QUESTION,
    ...called.output,
    {
      type: "function_call_output",
      call_id: call.call_id,
      output: '{"temperature": 21, "condition": "sunny"}',
    },
  ];
  const answer = await client.responses.create(ask({ input, tools: TOOLS }));
  assert.match(answer.output_text, /Paris.*21|21.*Paris/);
});

test("a tool is called, streamed and parsed", async () => {
  const response = await client.responses.stream(ask({ input: [QUESTION], tools: TOOLS })).finalResponse();
  const call = response.output.find((item) => item.type === "function_call");
  assert.deepEqual(call.parsed_arguments, { city: "Paris" });
});

test("an answer is parsed by its schema", async () => {
  const City = z.object({ city: z.enum(["Paris", "Rome"]), large: z.boolean() });
  const response = await client.responses.parse(ask({ text: { format: zodTextFormat(City, "city") } }));
  assert.ok(["Paris", "Rome"].includes(response.output_parsed.city));
  assert.equal(typeof response.output_parsed.large, "boolean");
});

test("max_output_tokens leaves the response incomplete", async () => {
  const response = await client.responses.create(ask({ max_output_tokens: 4 }));
  assert.equal(response.status, "incomplete");
  assert.equal(response.incomplete_details.reason, "max_output_tokens");
});

test("what is not stored is not found", async () => {
  await assert.rejects(client.responses.retrieve("resp_none"), OpenAI.NotFoundError);
  await assert.rejects(client.responses.cancel("resp_none"), OpenAI.NotFoundError);
  await assert.rejects(
    client.responses.create(ask({ previous_response_id: "resp_none" })),
    OpenAI.NotFoundError,
  );
});

test("a stored response is retrieved and gone on from", async () => {
  const first = await client.responses.create(ask({ input: "What is the capital of Spain?", store: true }));
  assert.equal(first.output_text, "The capital of Spain is Madrid.");
  const again = await client.responses.retrieve(first.id);
  assert.deepEqual(again.output, first.output);
  assert.deepEqual(again.usage, first.usage);
  const more = { input: "And of Italy?", previous_response_id: first.id };
  const second = await client.responses.create(ask(more));
  assert.equal(second.output_text, "The capital of Italy is Rome.");
  assert.equal(second.previous_response_id, first.id);
  const streamed = await client.responses.stream(ask(more)).finalResponse();
  assert.equal(streamed.output_text, second.output_text);
  const alone = await client.responses.create(ask({ input: "And of Italy?" }));
  assert.notEqual(alone.usage.input_tokens, second.usage.input_tokens);
});

test("what is never included is named, and what nobody knows refused", async () => {
  const include = ["reasoning.encrypted_content", "message.output_text.logprobs"];
  const { data, response } = await client.responses.create(ask({ include })).withResponse();
  assert.equal(data.output_text, CAR_ANSWER);
  assert.ok(data.output[0].content[0].logprobs.length > 10);
  assert.equal(response.headers.get("x-verdier-ignored-fields"), "include");
  await assert.rejects(client.responses.create(ask({ include: ["everything"] })), OpenAI.BadRequestError);
});

test("a response in the background is polled until it is there", async () => {
  let response = await client.responses.create(ask({ store: true, background: true }));
  assert.equal(response.status, "queued");
  const end = Date.now() + 20_000;
  while (response.status === "queued" || response.status === "in_progress") {
    assert.ok(Date.now() < end, response.status);
    response = await client.responses.retrieve(response.id);
  }
  assert.equal(response.status, "completed");
  assert.equal(response.output_text, CAR_ANSWER);
});

test("a response in the background is followed, and again from the middle", async () => {
  const events = [];
  for await (const event of await client.responses.create(ask({ store: true, background: true, stream: true }))) {
    events.push(event);
  }
  const { id } = events[0].response;
  assert.equal(events.at(-1).response.output[0].content[0].text, CAR_ANSWER);
  const rest = [];
  for await (const event of await client.responses.retrieve(id, { stream: true, starting_after: 5 })) {
    rest.push(event);
  }
  assert.deepEqual(rest, events.slice(6));
  const helped = await client.responses.stream({ response_id: id, starting_after: 0 }).finalResponse();
  assert.equal(helped.output_text, CAR_ANSWER);
});

test("a response in the background is cancelled", async () => {
  const body = ask({ store: true, background: true, input: "Tell me more.", temperature: 1, seed: 1 });
  const { id } = await client.responses.create({ ...body, max_output_tokens: 1500, ignore_eos: true });
  const cancelled = await client.responses.cancel(id);
  assert.equal(cancelled.status, "cancelled");
  assert.equal((await client.responses.retrieve(id)).status, "cancelled");
});
