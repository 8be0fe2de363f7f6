import OpenAI, { toFile } from "openai";

const client = new OpenAI({ baseURL: base, apiKey: "unused", maxRetries: 0 });
const small = { prompt: "a red apple", size: "64x64", steps: 2, seed: 7 };
const made = await client.images.generate(small);
const file = () => toFile(PICTURE, "picture.png", { type: "image/png" });
const edited = await client.images.edit({
  image: [await file()],
  prompt: `a dog ${EDIT}`,
  model: "ovis",
});
const error = await refused(() => client.images.generate({ ...small, n: 0 }));
const events = [];
const tool = { type: "image_generation", size: "64x64", steps: 2, seed: 7 };
const stream = await client.responses.create({ model: "gpt-5", input: "a red apple", tools: [tool], stream: true });
for await (const event of stream) events.push(event);
const last = events.at(-1);
const drawn = [];
for await (const event of await client.images.generate({ ...small, stream: true })) drawn.push(event);
tell({
  generated: made.data[0].b64_json,
  edited: edited.data[0].b64_json,
  error: { name: error.constructor.name, status: error.status, param: error.param, message: error.message },
  aborted: await aborted((signal) => client.images.generate({ prompt: `p ${SLOW}` }, { signal })),
  responded: last.response.output[0].result,
  ended: last.type,
  drawn: drawn.at(-1).b64_json,
});
