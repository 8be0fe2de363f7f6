import type { Capabilities, GenerationForm, GenerationMode, Json } from "./types";

export const CACHE_MODES = ["disabled", "easycache", "ucache", "dbcache", "taylorseer", "cache-dit", "spectrum"];

const sampling = (): Json => ({
    scheduler: "default", sample_method: "default", sample_steps: 1, eta: "", shifted_timestep: 0, flow_shift: "",
    guidance: { txt_cfg: 1, img_cfg: "", distilled_guidance: 1, slg_layers: "", layer_start: 0, layer_end: 0, scale: 0 },
});

export function createBlankForm(): GenerationForm {
    return {
        prompt: "", negative_prompt: "", width: 0, height: 0, seed: -1, batch_count: 1, clip_skip: -1, strength: 0,
        control_strength: 0, video_frames: 1, fps: 1, moe_boundary: 0, vace_strength: 0, output_format: "png",
        output_compression: 100, sample_params: sampling(), high_noise_sample_params: sampling(), lora: [],
        init_image: null, end_image: null, mask_image: null, control_image: null, ref_images: [], control_frames: [],
        vae_tiling_params: {}, cache: { mode: "disabled", option: "", scm_mask: "", scm_policy_dynamic: true },
    };
}

/** The server's defaults as the form holds them: null is an empty field, skipped layers are text. */
export function formFromCapabilities(capabilities: Capabilities): GenerationForm {
    const { cache_mode, cache_option, scm_mask, scm_policy_dynamic, ...plain } = structuredClone(capabilities.defaults);
    const form = { ...createBlankForm(), ...plain, cache: { mode: cache_mode, option: cache_option, scm_mask, scm_policy_dynamic } };
    for (const name of ["sample_params", "high_noise_sample_params"]) {
        const sample = form[name];
        const { slg, ...guidance } = sample.guidance;
        if (slg) Object.assign(guidance, slg, { slg_layers: slg.layers.join(",") });
        form[name] = { ...sample, eta: sample.eta ?? "", flow_shift: sample.flow_shift ?? "", guidance: { ...guidance, img_cfg: guidance.img_cfg ?? "" } };
    }
    return form;
}

function sampleBody(sample: Json): Json {
    const { slg_layers, layer_start, layer_end, scale, img_cfg, ...guidance } = sample.guidance;
    const layers = String(slg_layers).split(",").filter(Boolean).map(Number);
    const blank = (value: unknown) => (value === "" ? null : value);
    return {
        ...sample, eta: blank(sample.eta), flow_shift: blank(sample.flow_shift), custom_sigmas: [],
        guidance: { ...guidance, img_cfg: blank(img_cfg), slg: { layers, layer_start, layer_end, scale } },
    };
}

export function buildRequestBodyForMode(mode: GenerationMode, form: GenerationForm): Json {
    const { cache, ...body } = JSON.parse(JSON.stringify(form));
    for (const name of ["init_image", "end_image", "mask_image", "control_image"]) body[name] = body[name]?.dataUrl ?? null;
    for (const name of ["ref_images", "control_frames"]) body[name] = body[name].map((entry: Json) => entry.dataUrl);
    for (const name of ["sample_params", "high_noise_sample_params"]) body[name] = sampleBody(body[name]);
    Object.assign(body, { cache_mode: cache.mode, cache_option: cache.option, scm_mask: cache.scm_mask, scm_policy_dynamic: cache.scm_policy_dynamic });
    const others = mode === "image" ? ["end_image", "control_frames", "high_noise_sample_params"] : ["ref_images", "mask_image", "control_image", "hires"];
    for (const name of others) delete body[name];
    return body;
}
