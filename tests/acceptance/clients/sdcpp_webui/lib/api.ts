import type { Capabilities, Job, Json } from "./types";

async function call(base: string, path: string, body?: Json): Promise<any> {
    const init = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    const reply = await fetch(`${base.replace(/\/+$/, "")}/sdcpp/v1/${path}`, init || undefined);
    const answer = await reply.json();
    if (!reply.ok) throw new Error(answer.error);
    return answer;
}

export const getCapabilities = (base: string): Promise<Capabilities> => call(base, "capabilities");
export const submitImageJob = (base: string, body: Json): Promise<Job> => call(base, "img_gen", body);
export const submitVideoJob = (base: string, body: Json): Promise<Job> => call(base, "vid_gen", body);
export const getJob = (base: string, id: string): Promise<Job> => call(base, `jobs/${id}`);
export const cancelJob = (base: string, id: string): Promise<Job> => call(base, `jobs/${id}/cancel`, {});
