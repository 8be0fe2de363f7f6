// The canvas' memory: what is on it is kept in the browser, to be there again after a reload. Where the browser keeps nothing (private
// windows), nothing is kept, and nobody is told.

const database = "sdrest", table = "canvas";

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(database, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(table);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function within(mode, act) {
  const db = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = db.transaction(table, mode);
      const found = act(transaction.objectStore(table));
      transaction.oncomplete = () => resolve(found?.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    db.close();
  }
}

/** Everything that is kept, by key; empty where nothing is. */
export async function kept() {
  try {
    const keys = await within("readonly", (store) => store.getAllKeys()), values = await within("readonly", (store) => store.getAll());
    return Object.fromEntries(keys.map((key, index) => [key, values[index]]));
  } catch { return {}; }
}

/** Keep what is given, by key, beside what is kept under other keys. */
export async function keep(values) {
  try {
    await within("readwrite", (store) => { for (const [key, value] of Object.entries(values)) store.put(value, key); });
  } catch { /* nothing is kept */ }
}

export async function forget() {
  try { await within("readwrite", (store) => store.clear()); } catch { /* nothing was kept */ }
}
