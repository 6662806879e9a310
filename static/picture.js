// One's own picture: made square and small here, as PNG, so that nothing but the pixels leaves the computer.

import { say } from "./words.js";
import { toast } from "./app.js";

const SIDE = 256;

async function small(file) {
  const bitmap = await createImageBitmap(file);
  const side = Math.min(bitmap.width, bitmap.height);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  canvas.getContext("2d").drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, SIDE, SIDE);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return new File([blob], "picture.png", { type: "image/png" });
}

for (const input of document.querySelectorAll("input[data-picture]")) {
  input.accept = "image/*";
  input.addEventListener("change", async () => {
    if (!input.files.length) return;
    try {
      const chosen = new DataTransfer();
      chosen.items.add(await small(input.files[0]));
      input.files = chosen.files;
      input.form.requestSubmit();
    } catch {
      input.value = "";
      toast(say("That file can't be shown as a picture."));
    }
  });
}
