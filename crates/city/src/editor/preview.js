// The preview of a visit: plays what the booth plays, and tells the booth when it was heard. The booth's own program decides everything.
"use strict";
(() => {
  const board = document.getElementById("visit");
  if (!board) return;
  const token = document.querySelector("meta[name=form-token]").content;
  const own = board.dataset.own;
  let turn = 0;
  let sounding = null;
  let timer = 0;

  const rest = (ms) => new Promise((done) => setTimeout(done, ms));

  const tone = (kind) => new Promise((done) => {
    // A short signal where the booth plays a tone or a recording of its own folder.
    const context = tone.context ?? (tone.context = new AudioContext());
    const oscillator = context.createOscillator();
    const gain = context.createGain();
    gain.gain.value = 0.1;
    oscillator.frequency.value = kind === "tone" ? 1000 : 425;
    oscillator.connect(gain).connect(context.destination);
    oscillator.onended = done;
    oscillator.start();
    oscillator.stop(context.currentTime + 0.3);
  });

  const play = (address) => new Promise((done) => {
    sounding = new Audio(address);
    sounding.onended = sounding.onerror = sounding.onpause = done;
    sounding.play().catch(done);
  });

  const silence = () => {
    if (sounding) sounding.pause();
    sounding = null;
    clearTimeout(timer);
  };

  async function send(deed) {
    silence();
    const mine = ++turn;
    const answer = await fetch(board.dataset.act, {
      method: "POST",
      headers: { "X-Form-Token": token, "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ visit: board.dataset.visit, do: deed }),
    });
    if (!answer.ok || mine !== turn) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("visit");
    if (!fresh || mine !== turn) return;
    const focused = document.activeElement?.value;
    board.replaceChildren(...fresh.childNodes);
    for (const button of board.querySelectorAll("button")) if (button.value === focused) button.focus();
    await sound(fresh.dataset, mine);
  }

  async function sound(data, mine) {
    if (data.due) timer = setTimeout(() => mine === turn && send("wait"), Math.min(Number(data.due) + 50, 600000));
    if (!data.play) return;
    for (const item of [...board.querySelectorAll("[data-heard]")]) {
      if (mine !== turn) return;
      item.setAttribute("aria-current", "true");
      const { src, kind, pause } = item.dataset;
      if (src) await play(src);
      else if (kind === "own") await tone(item.dataset.name);
      if (mine !== turn) return;
      await rest(Number(pause));
      item.removeAttribute("aria-current");
    }
    if (mine === turn) send("heard:" + data.play);
  }

  board.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation();
    if (event.submitter) send(event.submitter.value);
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (/^[0-9*#]$/.test(event.key)) send("key:" + event.key);
  });
  document.getElementById("no-script")?.remove();
})();
