// Anthropic's npm client against a started server: VERDIER_BASE_URL says where. Run by NpmClientIT.
// Expected texts are the demo model's golden answers.
import assert from "node:assert/strict";
import test from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { jsonSchemaOutputFormat } from "@anthropic-ai/sdk/helpers/json-schema";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

const client = new Anthropic({
  baseURL: process.env.VERDIER_BASE_URL,
  apiKey: "none",
  authToken: null,
  maxRetries: 0,
  timeout: 30_000,
});
const model = (await (await fetch(`${process.env.VERDIER_BASE_URL}/v1/models`)).json()).data[0].id;

const CAR_ANSWER =
  "A car, or a motor car, is a road-connected human-transportation system used to move people or goods" +
  " from one place to another.";
const TOOLS = [
  {
    name: "get_weather",
    description: "Get the weather of a city.",
    input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
];
const QUESTION = { role: "user", content: "What is the weather in Paris?" };

const ask = (extra) => ({
  model,
  max_tokens: 64,
  temperature: 0,
  messages: [{ role: "user", content: "What is a car?" }],
  ...extra,
});

test("a message, not streamed", async () => {
  const message = await client.messages.create(ask());
  assert.match(message.id, /^msg_/);
  assert.equal(message.role, "assistant");
  assert.deepEqual(message.content, [{ type: "text", text: CAR_ANSWER }]);
  assert.equal(message.stop_reason, "end_turn");
  assert.equal(message.usage.input_tokens, 15);
  assert.equal(message.usage.output_tokens, 28);
});

test("a message, streamed by the helper", async () => {
  const stream = client.messages.stream(ask());
  let text = "";
  stream.on("text", (more) => (text += more));
  const message = await stream.finalMessage();
  assert.equal(text, CAR_ANSWER);
  assert.deepEqual(message.content, [{ type: "text", text: CAR_ANSWER }]);
  assert.equal(message.stop_reason, "end_turn");
  assert.equal(message.usage.output_tokens, 28);
});

test("a tool is called, and its result is used", async () => {
  const called = await client.messages.create(ask({ messages: [QUESTION], tools: TOOLS }));
  assert.equal(called.stop_reason, "tool_use");
  const use = called.content.find((block) => block.type === "tool_use");
  assert.equal(use.name, "get_weather");
  assert.deepEqual(use.input, { city: "Paris" });
  const told = [
    QUESTION,
    { role: "assistant", content: called.content },
    {
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: use.id, content: '{"temperature": 21, "condition": "sunny"}' },
      ],
    },
  ];
  const answer = await client.messages.create(ask({ messages: told, tools: TOOLS }));
  assert.equal(answer.stop_reason, "end_turn");
  assert.match(answer.content[0].text, /Paris.*21|21.*Paris/);
});

test("a tool is called, streamed", async () => {
  const stream = client.messages.stream(ask({ messages: [QUESTION], tools: TOOLS }));
  const message = await stream.finalMessage();
  assert.equal(message.stop_reason, "tool_use");
  const use = message.content.find((block) => block.type === "tool_use");
  assert.deepEqual(use.input, { city: "Paris" });
});

test("tool_choice holds to a tool, and none keeps from it", async () => {
  const tool_choice = { type: "tool", name: "get_weather" };
  const held = await client.messages.create(ask({ tools: TOOLS, tool_choice }));
  assert.equal(held.content[0].type, "tool_use");
  assert.equal(typeof held.content[0].input.city, "string");
  const free = await client.messages.create(
    ask({ messages: [QUESTION], tools: TOOLS, tool_choice: { type: "none" } }),
  );
  assert.deepEqual(
    free.content.map((block) => block.type),
    ["text"],
  );
});

test("tokens are counted as the answer counts them", async () => {
  const { max_tokens, temperature, ...prompt } = ask({ system: "Be brief.", tools: TOOLS });
  const count = await client.messages.countTokens(prompt);
  const message = await client.messages.create({ max_tokens, temperature, ...prompt });
  assert.equal(count.input_tokens, message.usage.input_tokens);
});

test("stop_sequences and max_tokens end the answer", async () => {
  const stopped = await client.messages.create(ask({ stop_sequences: ["human"] }));
  assert.equal(stopped.stop_reason, "stop_sequence");
  assert.equal(stopped.stop_sequence, "human");
  const cut = await client.messages.create(ask({ max_tokens: 4 }));
  assert.equal(cut.stop_reason, "max_tokens");
});

test("errors are those of the client", async () => {
  await assert.rejects(client.messages.create(ask({ model: "gone" })), Anthropic.NotFoundError);
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "AA==" } };
  await assert.rejects(
    client.messages.create(ask({ messages: [{ role: "user", content: [image] }] })),
    (error) => {
      assert.ok(error instanceof Anthropic.BadRequestError);
      assert.equal(error.error.error.type, "invalid_request_error");
      return true;
    },
  );
});

const PLACE = {
  type: "object",
  properties: {
    kind: { enum: ["river", "city"] },
    old: { type: "boolean" },
    parts: { const: 3 },
  },
  required: ["kind", "old", "parts"],
  additionalProperties: false,
};

// The demo model says blanks wherever it may, until its tokens are used up.
const json = (format) => ask({ output_config: { format }, structured_outputs: { disable_any_whitespace: true } });

test("JSON answers are parsed by the helper, whole and streamed", async () => {
  const body = json(jsonSchemaOutputFormat(PLACE, { transform: false }));
  const message = await client.messages.parse(body);
  assert.equal(message.stop_reason, "end_turn");
  const place = message.parsed_output;
  assert.deepEqual(Object.keys(place).sort(), ["kind", "old", "parts"]);
  assert.ok(["river", "city"].includes(place.kind));
  assert.equal(typeof place.old, "boolean");
  assert.equal(place.parts, 3);
  const streamed = await client.messages.stream(body).finalMessage();
  assert.deepEqual(streamed.parsed_output, place);
});

test("JSON answers of a zod schema, and without a helper", async () => {
  const Place = z.object({ kind: z.enum(["river", "city"]), old: z.boolean() });
  const parsed = await client.messages.parse(json(zodOutputFormat(Place)));
  assert.deepEqual(Place.parse(parsed.parsed_output), parsed.parsed_output);
  const plain = await client.messages.create(json({ type: "json_schema", schema: PLACE }));
  assert.equal(plain.content.length, 1);
  assert.equal(JSON.parse(plain.content[0].text).parts, 3);
});

test("tools that the client's runner calls by itself", async () => {
  const asked = [];
  const [{ name, description, input_schema: inputSchema }] = TOOLS;
  const weather = betaTool({
    name,
    description,
    inputSchema,
    run: async ({ city }) => {
      asked.push(city);
      return JSON.stringify({ temperature: 21, condition: "sunny" });
    },
  });
  const final = await client.beta.messages.toolRunner(
    ask({ messages: [QUESTION], tools: [weather], max_iterations: 3 }),
  );
  assert.deepEqual(asked, ["Paris"]);
  assert.equal(final.stop_reason, "end_turn");
  assert.equal(final.content.at(-1).type, "text");
});
