import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateImage } from "ai";

const provider = createOpenAICompatible({ name: "sdrest", baseURL: base, apiKey: "unused" });
const model = provider.imageModel("embedded");
const options = { sdrest: { steps: 2, seed: 7 } };
const small = { maxRetries: 0, model, size: "64x64", prompt: "a red apple" };
const { image } = await generateImage({ ...small, providerOptions: options });
const edited = await generateImage({
  maxRetries: 0,
  model: provider.imageModel("ovis"),
  prompt: { text: "a dog", images: [PICTURE] },
  providerOptions: { sdrest: { steps: 2, cfg_scale: 1, strength: 0.5 } },
});
const error = await refused(() => generateImage({ ...small, providerOptions: { sdrest: { steps: 0 } } }));
tell({
  generated: image.base64,
  edited: edited.image.base64,
  error: { name: error.name, status: error.statusCode, param: error.data.error.param, message: error.message },
  aborted: await aborted((abortSignal) => generateImage({ maxRetries: 0, model, prompt: `p ${SLOW}`, abortSignal })),
});
