// The page of all routes: a call is sent as its form says, and its answer shown.

const $ = (id) => document.getElementById(id);
const PLACEHOLDER = "upload://ID";

for (const form of document.querySelectorAll("form[data-path]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [reply, button] = [form.querySelector(".reply"), form.querySelector("[type=submit]")];
    button.disabled = true;
    try {
      await show(reply, await call(form));
    } catch (error) {
      reply.replaceChildren(line(`No answer: ${error.message}`));
    }
    button.disabled = false;
  });
}

$("portrait").addEventListener("click", async () => {
  const picture = await (await fetch("example.jpg")).blob();
  const answer = await fetch("uploads", { method: "POST", headers: headers("application/octet-stream"), body: picture });
  const told = await answer.json();
  if (!answer.ok) return ($("portrait-note").textContent = told.error);
  for (const body of document.querySelectorAll("textarea[name=body]"))
    body.value = body.value.replaceAll(PLACEHOLDER, told.source);
  $("portrait-note").textContent = `Uploaded: ${told.source} is in the examples now.`;
});

function call(form) {
  const { method, path } = form.dataset;
  const named = (place) => [...form.querySelectorAll(`[data-in=${place}]`)].map(({ name, value }) => [name, value.trim()]);
  const parts = Object.fromEntries(named("path"));
  const address = new URL(path.slice(1).replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(parts[name])), document.baseURI);
  for (const [name, value] of named("query")) if (value) address.searchParams.set(name, value);
  const file = form.querySelector("[name=file]")?.files[0];
  const body = file ?? form.querySelector("[name=body]")?.value;
  const type = file ? "application/octet-stream" : "application/json";
  const given = Object.fromEntries(named("header").filter(([, value]) => value));
  return fetch(address, { method, body, headers: { ...headers(body === undefined ? null : type), ...given } });
}

function headers(type) {
  const key = $("key").value.trim();
  return { ...(type && { "Content-Type": type }), ...(key && { Authorization: `Bearer ${key}` }) };
}

async function show(reply, answer) {
  const type = answer.headers.get("Content-Type") ?? "";
  const status = line(`${answer.status} ${answer.statusText} · ${type}`);
  reply.replaceChildren(status);
  const kind = { image: "img", audio: "audio", video: "video" }[type.split("/")[0]];
  if (answer.ok && kind) {
    const media = document.createElement(kind);
    media.controls = true;
    media.src = URL.createObjectURL(await answer.blob());
    reply.append(media);
    return;
  }
  const text = document.createElement("pre");
  text.textContent = pretty(await answer.text(), type);
  text.tabIndex = 0;
  reply.append(text);
}

function pretty(text, type) {
  return type.startsWith("application/json") && text ? JSON.stringify(JSON.parse(text), null, 2) : text;
}

function line(text) {
  return Object.assign(document.createElement("p"), { textContent: text, className: "status" });
}
