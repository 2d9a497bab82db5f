// The official npm client against a server that embeds: VERDIER_BASE_URL says where. Run by EmbeddingClientsIT.
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
const input = ["What is a car?", "Paris lies on the Seine."];

test("both formats give the same vectors", async () => {
  // Without a format the client asks for base64 and decodes it.
  const decoded = await client.embeddings.create({ model, input });
  const floats = await client.embeddings.create({ model, input, encoding_format: "float" });
  assert.equal(decoded.data.length, 2);
  assert.ok(decoded.usage.prompt_tokens > 0);
  for (let i = 0; i < input.length; i++) {
    assert.equal(decoded.data[i].index, i);
    assert.deepEqual(
      Array.from(decoded.data[i].embedding),
      Array.from(Float32Array.from(floats.data[i].embedding)),
    );
  }
});

test("dimensions are refused", async () => {
  await assert.rejects(client.embeddings.create({ model, input, dimensions: 7 }), OpenAI.BadRequestError);
});
