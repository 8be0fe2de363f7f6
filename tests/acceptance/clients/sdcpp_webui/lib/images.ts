import type { GenerationForm, ImageEntry, ImageTarget } from "./types";

const many = (target: ImageTarget) => target === "ref_images" || target === "control_frames";

const read = (file: File) => new Promise<ImageEntry>((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve({ name: file.name, dataUrl: String(reader.result) });
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
});

export const filesToImageEntries = (files: FileList): Promise<ImageEntry[]> => Promise.all(Array.from(files).map(read));

export function assignImageEntries(form: GenerationForm, target: ImageTarget, entries: ImageEntry[]): void {
    if (many(target)) form[target].push(...entries);
    else form[target] = entries[0];
}

export function clearImageEntries(form: GenerationForm, target: ImageTarget): void {
    form[target] = many(target) ? [] : null;
}

export function removeImageEntry(form: GenerationForm, target: ImageTarget, index: number): void {
    form[target].splice(index, 1);
}
