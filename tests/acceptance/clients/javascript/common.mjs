// What the scripts beside this one share; the test puts it before each of them.
const server = process.env.SERVER;
const base = `${server}/v1`;
// Clients that pass no further parameters on have them in the prompt.
const extras = (values) => `<sd_cpp_extra_args>${JSON.stringify(values)}</sd_cpp_extra_args>`;
const QUICK = extras({ seed: 7, width: 64, height: 64, sample_params: { sample_steps: 2 } });
const SLOW = extras({ width: 256, height: 256, sample_params: { sample_steps: 1000 } });
const EDIT = extras({ seed: 7, strength: 0.5, sample_params: { sample_steps: 2, guidance: { txt_cfg: 1 } } });
const PICTURE = Buffer.from(process.env.PICTURE, "base64");

/** Start `begin(signal)`, abort it as soon as its job runs; the name of the error that this ends in. */
async function aborted(begin) {
  const controller = new AbortController();
  const ended = begin(controller.signal).then(() => "nothing", (error) => error.constructor.name);
  let status;
  do {
    status = await (await fetch(`${server}/api/queue/status`)).json();
  } while (status.running_count === 0);
  controller.abort();
  return ended;
}

/** What `begin()` is refused with. */
async function refused(begin) {
  try {
    await begin();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was refused");
}

const tell = (told) => process.stdout.write(JSON.stringify(told));
