// A portrait from the camera, in a dialog.

import { text } from "./language.js";
import { showProblem } from "./problems.js";

const $ = (id) => document.getElementById(id);

/** Let a person take a picture; settles with it as a file, or with null. */
export async function takePicture() {
  const dialog = $("camera-dialog");
  const view = $("camera-view");
  showProblem($("camera-problem"), null);
  $("camera-take").disabled = true;
  dialog.showModal();
  let stream = null;
  let picture = null;
  const closed = new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  $("camera-close").onclick = () => dialog.close();
  $("camera-take").onclick = async () => {
    picture = await snapshot(view);
    dialog.close();
  };
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, facingMode: "user" } });
    view.srcObject = stream;
    await view.play();
    $("camera-take").disabled = false;
  } catch {
    if (dialog.open) showProblem($("camera-problem"), text("camera_refused"));
  }
  await closed;
  view.srcObject = null;
  for (const track of stream?.getTracks() ?? []) track.stop();
  return picture;
}

function snapshot(view) {
  const canvas = document.createElement("canvas");
  canvas.width = view.videoWidth;
  canvas.height = view.videoHeight;
  canvas.getContext("2d").drawImage(view, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
}
