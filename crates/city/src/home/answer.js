// Recording an answer in the browser, and the little work for its ticket. The page is complete without this file: it puts what was
// recorded into the form's own file field, and the form is sent as it is.
"use strict";
(() => {
  const by = (id) => document.getElementById(id);

  // The receipt: copied or printed.
  const number = by("receipt");
  if (number && number.dataset.receipt) {
    by("receipt-do").hidden = false;
    by("print").addEventListener("click", () => window.print());
    by("copy").addEventListener("click", async (event) => {
      const digits = number.dataset.receipt;
      try {
        await navigator.clipboard.writeText(digits);
      } catch {
        const range = document.createRange();
        range.selectNodeContents(number);
        const chosen = window.getSelection();
        chosen.removeAllRanges();
        chosen.addRange(range);
        document.execCommand("copy");
      }
      by("state").textContent = event.target.dataset.done;
    });
  }

  const form = by("answer");
  if (!form) return;
  const told = by("told");
  if (told) told.focus();
  const state = by("state");

  // SHA-256 (FIPS 180-4) of a short text: the first word of the hash. The browser's own is not there without TLS.
  const K = [];
  const H = [];
  for (let candidate = 2; K.length < 64; candidate++) {
    let isPrime = true;
    for (let d = 2; d * d <= candidate; d++) if (candidate % d === 0) isPrime = false;
    if (!isPrime) continue;
    const part = (x) => ((x - Math.floor(x)) * 4294967296) | 0;
    if (H.length < 8) H.push(part(Math.sqrt(candidate)));
    K.push(part(Math.cbrt(candidate)));
  }
  const W = new Int32Array(64);
  const first = (text) => {
    const bytes = text.length;
    const blocks = (bytes + 9 + 63) >> 6;
    let h = H.slice();
    for (let block = 0; block < blocks; block++) {
      for (let i = 0; i < 16; i++) {
        let word = 0;
        for (let j = 0; j < 4; j++) {
          const at = block * 64 + i * 4 + j;
          word = (word << 8) | (at < bytes ? text.charCodeAt(at) : at === bytes ? 128 : 0);
        }
        W[i] = word;
      }
      if (block === blocks - 1) W[15] = bytes * 8;
      for (let i = 16; i < 64; i++) {
        const a = W[i - 15], b = W[i - 2];
        const s0 = ((a >>> 7) | (a << 25)) ^ ((a >>> 18) | (a << 14)) ^ (a >>> 3);
        const s1 = ((b >>> 17) | (b << 15)) ^ ((b >>> 19) | (b << 13)) ^ (b >>> 10);
        W[i] = (W[i - 16] + s0 + W[i - 7] + s1) | 0;
      }
      let [a, b, c, d, e, f, g, k] = h;
      for (let i = 0; i < 64; i++) {
        const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
        const t1 = (k + s1 + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
        const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
        const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
        k = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
      }
      const last = [a, b, c, d, e, f, g, k];
      h = h.map((word, i) => (word + last[i]) | 0);
    }
    return h[0];
  };
  const bits = Number(form.dataset.bits);
  const work = form.elements.work;
  let tried = 0;
  const tryOn = (most) => {
    for (let n = 0; n < most && work.value === ""; n++, tried++) {
      if (Math.clz32(first(form.dataset.ticket + ":" + tried)) >= bits) work.value = String(tried);
    }
    if (work.value === "") setTimeout(() => tryOn(2000), 0);
  };
  setTimeout(() => tryOn(2000), 0);

  let isRecording = false;
  form.addEventListener("submit", (event) => {
    if (isRecording) {
      event.preventDefault();
      by("stop").click();
      return;
    }
    state.textContent = form.dataset.wait;
    while (work.value === "") {
      if (Math.clz32(first(form.dataset.ticket + ":" + tried)) >= bits) work.value = String(tried);
      tried++;
    }
  });

  // The recorder.
  const recorder = by("recorder");
  if (!recorder) return;
  const can = navigator.mediaDevices && navigator.mediaDevices.getUserMedia && window.MediaRecorder && window.DataTransfer;
  if (!can) return;
  recorder.hidden = false;
  const say = recorder.dataset;
  const field = by("sound"), own = by("own"), clock = by("clock");
  const record = by("record"), stop = by("stop"), clear = by("delete");
  const most = Number(form.dataset.seconds);
  const kinds = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4", "audio/webm"];
  const kind = kinds.find((one) => MediaRecorder.isTypeSupported(one)) || "";
  const shown = (seconds) => Math.floor(seconds / 60) + ":" + String(Math.floor(seconds % 60)).padStart(2, "0");
  let current = null;

  const forget = () => {
    field.value = "";
    if (own.src) URL.revokeObjectURL(own.src);
    own.removeAttribute("src");
    own.hidden = true;
    clear.disabled = true;
    clock.textContent = shown(0);
  };

  record.addEventListener("click", async () => {
    if (isRecording) return;
    let stream;
    record.disabled = true;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true } });
    } catch (why) {
      record.disabled = false;
      state.textContent = why && why.name === "NotFoundError" ? say.none : say.denied;
      return;
    }
    forget();
    const pieces = [];
    const options = { audioBitsPerSecond: 48000 };
    if (kind) options.mimeType = kind;
    current = new MediaRecorder(stream, options);
    const began = performance.now();
    const tick = setInterval(() => {
      const seconds = (performance.now() - began) / 1000;
      clock.textContent = shown(seconds) + " / " + shown(most);
      if (seconds >= most) {
        state.textContent = say.limit;
        current.stop();
      }
    }, 200);
    current.addEventListener("dataavailable", (event) => { if (event.data.size > 0) pieces.push(event.data); });
    current.addEventListener("stop", () => {
      clearInterval(tick);
      isRecording = false;
      for (const track of stream.getTracks()) track.stop();
      const type = current.mimeType || kind || "application/octet-stream";
      const sound = new File(pieces, "answer", { type });
      const box = new DataTransfer();
      box.items.add(sound);
      field.files = box.files;
      own.src = URL.createObjectURL(sound);
      own.hidden = false;
      clock.classList.remove("on");
      record.disabled = false;
      record.textContent = say.again;
      stop.disabled = true;
      clear.disabled = false;
      if (state.textContent !== say.limit) state.textContent = say.recorded;
      record.focus();
    });
    current.start(1000);
    isRecording = true;
    clock.classList.add("on");
    stop.disabled = false;
    stop.focus();
    state.textContent = say.recording;
  });
  stop.addEventListener("click", () => { if (isRecording) current.stop(); });
  clear.addEventListener("click", () => {
    forget();
    state.textContent = say.deleted;
    record.focus();
  });
  field.addEventListener("change", () => {
    if (own.src) URL.revokeObjectURL(own.src);
    own.hidden = field.files.length === 0;
    if (field.files.length > 0) own.src = URL.createObjectURL(field.files[0]);
    clear.disabled = field.files.length === 0;
  });
})();
