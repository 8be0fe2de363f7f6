import type { ImageTarget } from "./types";

interface ImageInput { target: ImageTarget; label: string; description: string; layout: "grid" | "full" }
const input = (target: ImageTarget, label: string, layout: "grid" | "full" = "grid"): ImageInput => ({ target, label, description: "", layout });

export const IMAGE_INPUTS = [input("init_image", "Init image"), input("mask_image", "Mask"), input("control_image", "Control")];
export const VIDEO_IMAGE_INPUTS = [input("init_image", "Start"), input("end_image", "End")];
