import { createOpenAI } from "@ai-sdk/openai";
import { generateImage, generateText } from "ai";

const openai = createOpenAI({ baseURL: base, apiKey: "unused" });
const model = openai.image("gpt-image-1");
const once = { maxRetries: 0, size: "64x64" };
const { image, usage } = await generateImage({ ...once, model, prompt: `a red apple ${QUICK}` });
const edited = await generateImage({
  maxRetries: 0, model: openai.image("ovis"), prompt: { text: `a dog ${EDIT}`, images: [PICTURE] },
});
const error = await refused(() =>
  generateImage({ ...once, model, prompt: "p", providerOptions: { openai: { background: "transparent", outputFormat: "jpeg" } } }),
);
const { staticToolResults } = await generateText({
  maxRetries: 0,
  model: openai("gpt-5"),
  prompt: `a red apple ${QUICK}`,
  tools: { image_generation: openai.tools.imageGeneration() },
});
tell({
  generated: image.base64,
  total: usage.totalTokens,
  edited: edited.image.base64,
  error: { name: error.name, status: error.statusCode, param: error.data.error.param, message: error.message },
  aborted: await aborted((abortSignal) => generateImage({ maxRetries: 0, model, prompt: `p ${SLOW}`, abortSignal })),
  responded: staticToolResults[0].output.result,
});
