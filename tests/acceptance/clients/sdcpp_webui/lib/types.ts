// Shapes that App.vue names; only the server's answers and the form's layout matter to the test.
export type Json = Record<string, any>;
export type GenerationMode = "image" | "video";
export type ImageTarget = "init_image" | "end_image" | "mask_image" | "control_image" | "ref_images" | "control_frames";
export interface ImageEntry { name: string; dataUrl: string }
export type SampleParams = Json;
export type GenerationForm = Json;
export type Capabilities = Json;
export type Job = Json;
