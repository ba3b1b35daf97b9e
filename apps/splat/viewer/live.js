// The page while the scene is in training: reads progress.json every half second, replaces the scene when there is a newer one,
// and sends the orders of its buttons. <html data-revision> is the number of the scene that is shown, data-training the
// state of the training, for whoever drives the page.

const EVERY = 500;
const root = document.documentElement;
const part = (id) => document.getElementById(id);

async function order(name) {
  await fetch(`order/${name}`, { method: "POST" });
}

function words(now) {
  const parts = [`${now.state}: step ${now.step.toLocaleString()} of ${now.iterations.toLocaleString()}`];
  if (now.seconds_left !== null) {
    const left = Math.ceil(now.seconds_left);
    parts.push(left < 60 ? `${left} s left` : `${Math.floor(left / 60)} min ${left % 60} s left`);
  }
  if (now.steps_per_second > 0) {
    parts.push(`${now.steps_per_second.toFixed(1)} steps/s`);
  }
  parts.push(`${now.gaussians.toLocaleString()} Gaussians`);
  if (now.loss !== null) {
    parts.push(`loss ${now.loss.toFixed(4)}`);
  }
  if (now.held_out) {
    parts.push(`held out: PSNR ${now.held_out[0].toFixed(2)} dB, SSIM ${now.held_out[1].toFixed(4)}`);
  }
  return parts.join("\n");
}

// Follows the training until it has finished; `show(file)` loads a scene and puts it in place of the last.
export async function follow(show) {
  part("training").hidden = false;
  const pause = part("pause");
  pause.addEventListener("click", () => order(root.dataset.training === "paused" ? "resume" : "pause"));
  part("stop").addEventListener("click", () => order("stop"));
  let revision = 0;
  for (;;) {
    let now;
    try {
      now = await (await fetch("progress.json")).json();
    } catch {
      const ended = root.dataset.training !== "finished";
      part("progress").textContent += ended ? "\nThe program has ended." : "\nThe program has saved it and ended.";
      pause.disabled = part("stop").disabled = true;
      return;
    }
    root.dataset.training = now.state;
    part("progress").textContent = words(now);
    pause.textContent = now.state === "paused" ? "continue" : "pause";
    pause.disabled = part("stop").disabled = !["training", "paused"].includes(now.state);
    if (now.revision > revision) {
      revision = now.revision;
      part("curves").src = `curves.svg?${revision}`;
      if (now.picture) {
        part("held-out").src = `held_out.jpg?${revision}`;
      }
      await show(now.scene);
      root.dataset.revision = revision;
      continue;
    }
    await new Promise((done) => setTimeout(done, EVERY));
  }
}
