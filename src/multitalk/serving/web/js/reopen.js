// An earlier talk's inputs, back in the form: to be changed, and made again.

import { text } from "./language.js";

/** Put all that a talk was made from into the form; settles when its faces are known. */
export async function reopen(id, { server, portrait, voices, form }) {
  const { input, files } = await server.input(id);
  form.restore(input);
  const restored = restoreVoices(input, files, { server, voices });
  if (files.image_path) await portrait.take(await server.file(files.image_path, id));
  else {
    portrait.clear();
    if (input.image_path) portrait.problem(text("reopened_without_portrait"));
  }
  await restored;
  const names = Object.keys(input.audio_paths ?? {});
  if (input.bbox) voices.assignBoxes(names.map((name) => input.bbox[name]));
}

function restoreVoices({ audio_paths: given, audio_type: order }, files, { server, voices }) {
  const told = Object.entries(given ?? {});
  const cards = voices.renew(told.length);
  if (told.length > 1) voices.order = order;
  const restored = told.map(async ([name, voice], index) => {
    const file = files[`audio_paths.${name}`];
    if (file) cards[index].take(await server.file(file, text("recording")));
    else if (typeof voice === "string") cards[index].lack();
    else cards[index].words = joined(voice);
  });
  return Promise.all(restored);
}

/** Texts that follow each other as one, in the first one's language and voice. */
function joined(voice) {
  const texts = [voice].flat();
  return { ...texts[0], text: texts.map((one) => one.text).join("\n\n") };
}
