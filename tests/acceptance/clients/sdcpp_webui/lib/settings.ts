import { ref, watch, type Ref } from "vue";

export function createStoredRef<T>(key: string, fallback: T, normalize: (value: unknown) => T): Ref<T> {
    const stored = ref(normalize(localStorage.getItem(key) ?? fallback)) as Ref<T>;
    watch(stored, (value) => localStorage.setItem(key, String(value)));
    return stored;
}

export const normalizePollIntervalMs = (value: unknown): number => Math.max(20, Number(value) || 100);
