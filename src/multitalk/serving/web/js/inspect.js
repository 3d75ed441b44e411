// "Check a video": what a file says of where it comes from.

import { say, text } from "./language.js";
import { problemsOf, showProblem } from "./problems.js";

const $ = (id) => document.getElementById(id);

/** Check each file that is chosen or dropped, and again when the language is switched. */
export function checkVideos(server) {
  const input = $("check-file");
  const place = input.closest("label");
  let file = null;
  let current = new AbortController();

  async function check() {
    if (!file) return;
    current.abort();
    const { signal } = (current = new AbortController());
    showProblem($("check-problem"), null, input);
    $("check-conclusion").hidden = $("check-findings").hidden = true;
    say($("check-state"), "check_waiting");
    try {
      show(await server.inspect(file, signal));
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!error.sentence) throw error;
      const told = problemsOf(error).map(([, sentence]) => sentence);
      showProblem($("check-problem"), told.join("\n"), input);
    }
    say($("check-state"), null);
  }

  function take([chosen]) {
    if (!chosen) return;
    file = chosen;
    delete $("check-name").dataset.text; // the file's name, in every language
    $("check-name").textContent = chosen.name;
    check();
  }

  input.addEventListener("change", () => {
    take(input.files);
    input.value = ""; // so that the same file can be chosen again
  });
  place.addEventListener("dragover", (event) => event.preventDefault());
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation(); // it is no portrait
    take(event.dataTransfer.files);
  });
  document.addEventListener("language", check);
}

function show({ conclusion, marks, manifest, label }) {
  $("check-conclusion").textContent = conclusion;
  $("check-conclusion").hidden = false;
  const rows = marks.map(({ where, text: told }) => [`check_${where}`, told]);
  rows.push(["check_manifest", manifest.text]);
  if (manifest.signer) rows.push(["check_signer", manifest.signer]);
  rows.push(["check_label", label.comment ?? text("check_none")]);
  $("check-findings").replaceChildren(...rows.flatMap(([name, told]) => [row("dt", text(name)), row("dd", told)]));
  $("check-findings").hidden = false;
}

function row(kind, content) {
  const element = document.createElement(kind);
  element.textContent = content;
  return element;
}
