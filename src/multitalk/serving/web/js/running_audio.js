// An AudioContext that goes on after the system has stopped it, as phones do for a call or in the background.

/** It begins by a person's action, and goes on by itself, or by the next one. */
export function runningAudio() {
  const audio = new AudioContext({ latencyHint: "interactive" });
  const listening = new AbortController();
  const goOn = () => {
    if (audio.state === "closed") listening.abort();
    else if (audio.state !== "running") audio.resume().catch(() => {}); // while the system keeps it
  };
  audio.addEventListener("statechange", goOn);
  for (const event of ["visibilitychange", "pointerdown", "keydown"])
    document.addEventListener(event, goOn, { signal: listening.signal });
  goOn();
  return audio;
}
