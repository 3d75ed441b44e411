// Asked once, before a browser's first video: that it is made by AI, and that people agree to it.

const $ = (id) => document.getElementById(id);
const REMEMBERED = "multitalk-consent";

/** Whether a person has agreed, now or before. */
export async function hasConsent() {
  if (localStorage.getItem(REMEMBERED)) return true;
  const dialog = $("consent-dialog");
  $("consent").checked = false;
  let agreed = false;
  $("consent-close").onclick = () => dialog.close();
  $("consent-form").onsubmit = () => (agreed = true);
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (agreed) localStorage.setItem(REMEMBERED, new Date().toISOString());
  return agreed;
}
