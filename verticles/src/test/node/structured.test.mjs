// Answers held to schemas, through the helpers of the official npm client. Run by StructuredClientsIT.
import assert from "node:assert/strict";
import test from "node:test";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({
  baseURL: `${process.env.VERDIER_BASE_URL}/v1`,
  apiKey: "none",
  maxRetries: 0,
  timeout: 30_000,
});
const model = (await client.models.list()).data[0].id;

const Place = z.object({
  kind: z.enum(["river", "city"]),
  parts: z.array(z.object({ old: z.boolean() })).min(1).max(3),
  people: z.int().min(0).max(9999).nullable(),
});

const chat = (extra) => ({
  model,
  messages: [{ role: "user", content: "Tell me of a place." }],
  temperature: 1.3,
  max_completion_tokens: 400,
  ...extra,
});

for (let seed = 0; seed < 4; seed++) {
  test(`zodResponseFormat, seed ${seed}`, async () => {
    // at this temperature the demo model says blanks wherever it may
    const structured_outputs = { disable_any_whitespace: true };
    const body = chat({ seed, structured_outputs, response_format: zodResponseFormat(Place, "place") });
    const whole = await client.chat.completions.parse(body);
    const parsed = whole.choices[0].message.parsed;
    assert.deepEqual(Place.parse(parsed), parsed);
    const stream = client.chat.completions.stream(body);
    const streamed = await stream.finalChatCompletion();
    assert.deepEqual(streamed.choices[0].message.parsed, parsed);
    assert.equal(streamed.choices[0].message.content, whole.choices[0].message.content);
  });
}

test("json_schema, as it is", async () => {
  const schema = { type: "object", properties: { a: { const: 7 } }, required: ["a"], additionalProperties: false };
  const format = { type: "json_schema", json_schema: { name: "seven", strict: true, schema } };
  const answer = await client.chat.completions.create(chat({ seed: 1, response_format: format }));
  assert.deepEqual(JSON.parse(answer.choices[0].message.content), { a: 7 });
});

const find = zodFunction({ name: "find", parameters: z.object({ kind: z.enum(["river", "city"]) }) });

test("required and named tools", async () => {
  const named = { type: "function", function: { name: "find" } };
  for (const tool_choice of ["required", named]) {
    const body = chat({ seed: 2, tools: [find], tool_choice, parallel_tool_calls: false });
    const answer = await client.chat.completions.parse(body);
    const call = answer.choices[0].message.tool_calls[0].function;
    assert.equal(call.name, "find");
    assert.ok(["river", "city"].includes(call.parsed_arguments.kind));
    const streamed = await client.chat.completions.stream(body).finalChatCompletion();
    assert.equal(streamed.choices[0].message.tool_calls[0].function.arguments, call.arguments);
  }
});
