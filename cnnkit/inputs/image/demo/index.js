// Pictures: dropped, chosen, pasted, taken by a camera, or drawn where the app has a pad for it.

import { make } from "../../parts.js";
import { MOST_PIXELS, blank, fitImage, picture } from "./pixels.js";

const WIDEST = 1200; // px of what is shown
const FAINT = 8; // of 255, as device/image.py has it

/** A picture from an array (h, w) or (h, w, channels) of bytes. */
export function sample({ shape, values }) {
  return picture(shape[1], shape[0], shape[2] ?? 1, values);
}

/** What a model sees of a picture, as `cnnkit.device.preparation.ready`: one array, or none where nothing is on it. */
export function windows(image, model) {
  const layout = model.app?.layout;
  if (!layout) return blank(image, FAINT) ? [] : [fitImage(image, model.shape).data];
  const found = layout(image);
  return found ? [fitImage(found, model.shape).data] : [];
}

/** Decode a file as it is shown: its orientation followed, colours as they are stored. */
export async function decoded(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none" });
  } catch {
    throw new Error(`${file.name || "What was dropped"} cannot be used: this browser reads no picture in it. Use PNG, JPEG, WebP or GIF.`);
  }
  if (bitmap.width * bitmap.height > MOST_PIXELS) {
    throw new Error(`${file.name} cannot be used: ${bitmap.width} x ${bitmap.height} px are too many. Scale it down first.`);
  }
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return pixels(context);
}

/** The pixels of a canvas: RGB, or RGBA where some are transparent. */
export function pixels(context) {
  const { data, width, height } = context.getImageData(0, 0, context.canvas.width, context.canvas.height);
  for (let place = 3; place < data.length; place += 4) {
    if (data[place] < 255) return picture(width, height, 4, new Uint8Array(data.buffer));
  }
  const found = picture(width, height, 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    found.data[to++] = data[from];
    found.data[to++] = data[from + 1];
    found.data[to++] = data[from + 2];
  }
  return found;
}

/** Draw a picture on a canvas, smaller where it is large; returns px shown for one of the picture. */
export function shown(canvas, image) {
  const scale = Math.min(1, WIDEST / Math.max(image.width, image.height));
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  canvas.className = Math.max(image.width, image.height) <= 128 ? "small" : "";
  const whole = new OffscreenCanvas(image.width, image.height);
  const values = new ImageData(image.width, image.height);
  for (let place = 0; place < image.width * image.height; place++) {
    const from = place * image.channels;
    for (let channel = 0; channel < 3; channel++) {
      values.data[4 * place + channel] = image.data[from + (image.channels === 1 ? 0 : channel)];
    }
    values.data[4 * place + 3] = image.channels === 4 ? image.data[from + 3] : 255;
  }
  whole.getContext("2d").putImageData(values, 0, 0);
  canvas.getContext("2d").drawImage(whole, 0, 0, canvas.width, canvas.height);
  return scale;
}

/** Make what takes pictures. The canvas that shows them is `model.canvas`; tasks draw over it. */
export function mount(host, model, given, failed) {
  const canvas = make("canvas", { role: "img", "aria-label": "the picture", hidden: true });
  const hint = make("p", {}, "Drop a picture here, paste one, or choose it.");
  const stage = make("div", { class: "stage" }, hint, canvas);
  const file = make("input", { type: "file", accept: "image/*", hidden: true });
  const choose = make("button", { type: "button", class: model.app?.pad ? "" : "main", onclick: () => file.click() }, "Choose a picture");
  const buttons = make("div", { class: "buttons" }, choose, file);
  model.canvas = canvas;
  const pad = model.app?.pad ? padded(canvas, model.app.pad, given) : null;
  let camera = null;
  const take = (image) => {
    camera?.stop();
    hint.hidden = true;
    canvas.hidden = false;
    model.scale = shown(canvas, image);
    given(image);
  };
  const read = (found) => {
    if (found) decoded(found).then(take).catch(failed);
  };
  if (pad) {
    hint.textContent = pad.hint;
    hint.className = "hint";
    stage.append(hint);
    canvas.hidden = false;
    pad.clear();
    buttons.prepend(make("button", { type: "button", class: "main", onclick: pad.clear }, "Clear"));
  }
  if (navigator.mediaDevices?.getUserMedia) {
    camera = viewfinder(stage, canvas, hint, take, failed);
    buttons.append(camera.button);
  }
  file.addEventListener("change", () => {
    read(file.files[0]);
    file.value = "";
  });
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      stage.classList.toggle("over", name.startsWith("dragen") || name === "dragover");
      if (name === "drop") read(event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("paste", (event) => read([...event.clipboardData.files].find((found) => found.type.startsWith("image/"))));
  host.append(stage, buttons);
}

/** A camera's picture in place of the canvas, until one is taken. */
function viewfinder(stage, canvas, hint, take, failed) {
  const video = make("video", { autoplay: true, playsinline: true, muted: true, hidden: true });
  const button = make("button", { type: "button" }, "Camera");
  let stream = null;
  stage.append(video);
  const stop = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.hidden = true;
    button.textContent = "Camera";
  };
  button.addEventListener("click", async () => {
    if (stream) {
      const own = new OffscreenCanvas(video.videoWidth, video.videoHeight);
      const context = own.getContext("2d");
      context.drawImage(video, 0, 0);
      take(pixels(context));
      return;
    }
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      failed(new Error("There is no camera that this page may use. Allow it in the browser, or choose a picture."));
      return;
    }
    video.srcObject = stream;
    [video.hidden, canvas.hidden, hint.hidden] = [false, true, true];
    button.textContent = "Take the picture";
  });
  return { button, stop };
}

/** Let a person draw on the canvas: by mouse, finger or pen; by the arrow keys, which draw while Shift is held. */
function padded(canvas, { side, pen, ink, paper, label }, given) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let at = null;
  let drawn = false;
  const clear = () => {
    canvas.width = canvas.height = side;
    canvas.className = "pad";
    context.fillStyle = paper;
    context.fillRect(0, 0, side, side);
    drawn = false;
    at = { x: side / 2, y: side / 4 };
    given(null);
  };
  const line = (to) => {
    if (canvas.className !== "pad") clear();
    Object.assign(context, { strokeStyle: ink, lineWidth: pen, lineCap: "round", lineJoin: "round" });
    context.beginPath();
    context.moveTo(at.x, at.y);
    context.lineTo(to.x, to.y);
    context.stroke();
    [at, drawn] = [to, true];
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) * side) / box.width, y: ((event.clientY - box.top) * side) / box.height };
  };
  const done = () => {
    if (drawn) given(pixels(context));
  };
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", label);
  canvas.addEventListener("pointerdown", (event) => {
    if (canvas.className !== "pad") clear();
    canvas.setPointerCapture(event.pointerId);
    at = place(event);
    line({ x: at.x + 0.01, y: at.y });
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) for (const part of event.getCoalescedEvents?.() ?? [event]) line(place(part));
  });
  canvas.addEventListener("pointerup", done);
  canvas.addEventListener("keydown", (event) => {
    const step = side / 28;
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [0, 0];
    if (event.key === "Escape" || event.key === "Delete") clear();
    if (!x && !y) return;
    event.preventDefault();
    const to = { x: Math.min(side, Math.max(0, at.x + x * step)), y: Math.min(side, Math.max(0, at.y + y * step)) };
    if (event.shiftKey) line(to);
    else at = to;
  });
  canvas.addEventListener("keyup", (event) => {
    if (event.key === "Shift") done();
  });
  return { clear, hint: `${label}. Keyboard: arrows move the pen, with Shift they draw, Escape clears.` };
}
