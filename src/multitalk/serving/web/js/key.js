// The dialog that asks for the server's key.

import { text } from "./language.js";
import { showProblem } from "./problems.js";

const $ = (id) => document.getElementById(id);

/** Ask a person; settles with `{key, keep}`, or with null where none is given. */
export function askForKey(wasWrong) {
  const dialog = $("key-dialog");
  showProblem($("key-problem"), wasWrong ? text("key_wrong") : null, $("key"));
  $("key").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  $("key").focus();
  return new Promise((resolve) => {
    let given = null;
    $("key-close").onclick = () => dialog.close();
    $("key-form").onsubmit = () => {
      given = { key: $("key").value.trim(), keep: $("key-keep").checked };
    };
    dialog.addEventListener("close", () => resolve(given?.key ? given : null), { once: true });
  });
}
