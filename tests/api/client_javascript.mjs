// RunPod's JavaScript client against a server; what it saw as JSON.
import runpodSdk from "runpod-sdk";

const [baseUrl, key] = process.argv.slice(2);
const endpoint = runpodSdk(key, { baseUrl }).endpoint("talk");

async function end(id) {
  for (;;) {
    const status = await endpoint.status(id);
    if (status.completed) return status;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const saw = {};
const job = await endpoint.run({ input: { echo: 1 } });
saw.run = job.status;
saw.output = await end(job.id);
saw.runSync = await endpoint.runSync({ input: { echo: 2 } });
saw.failing = await endpoint.runSync({ input: { error: "no face" } });
const streaming = await endpoint.run({ input: { pieces: 3 } });
saw.stream = [];
for await (const chunk of endpoint.stream(streaming.id)) saw.stream.push(chunk.output);
const running = await endpoint.run({ input: { seconds: 30 } });
saw.cancel = await endpoint.cancel(running.id);
saw.health = await endpoint.health();
saw.purge = await endpoint.purgeQueue();
console.log(JSON.stringify(saw));
