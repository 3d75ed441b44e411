// A question before something that cannot be undone, or that was perhaps not meant.

import { say, text } from "./language.js";

const $ = (id) => document.getElementById(id);

/** Ask `key` (with `key_more` below it); settles with whether the answer is `key_yes`, or `yes`. */
export async function ask(key, { yes = `${key}_yes` } = {}) {
  const dialog = $("ask-dialog");
  say($("ask-title"), key);
  say($("ask-more"), `${key}_more`);
  $("ask-yes").textContent = text(yes);
  $("ask-no").textContent = text("back");
  dialog.returnValue = "";
  dialog.showModal();
  $("ask-no").focus();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  return dialog.returnValue === "yes";
}
