import { ChatOpenAI, DallEAPIWrapper, tools } from "@langchain/openai";

const options = { model: "dall-e-3", size: "64x64", apiKey: "unused", baseUrl: base };
const made = await new DallEAPIWrapper({ ...options, dallEResponseFormat: "b64_json" }).invoke(`a red apple ${QUICK}`);
const address = await new DallEAPIWrapper({ ...options, dallEResponseFormat: "url" }).invoke(`a red apple ${QUICK}`);
const error = await refused(() => new DallEAPIWrapper({ ...options, size: "big" }).invoke("p"));
const chat = new ChatOpenAI({
  model: "gpt-5", apiKey: "unused", maxRetries: 0, useResponsesApi: true, configuration: { baseURL: base },
}).bindTools([tools.imageGeneration({ size: "64x64" })]);
const answer = await chat.invoke(`a red apple ${QUICK}`);
const changed = await chat.invoke(`a blue apple ${extras({ model: "ovis", sample_params: { sample_steps: 2, guidance: { txt_cfg: 1 } } })}`, {
  previous_response_id: answer.response_metadata.id,
});
tell({
  generated: made,
  url: address,
  edited: changed.additional_kwargs.tool_outputs[0].result,
  error: { name: error.constructor.name, status: error.status, param: error.param, message: error.message },
  aborted: await aborted((signal) => chat.invoke(`p ${SLOW}`, { signal })),
  responded: answer.additional_kwargs.tool_outputs[0].result,
});
