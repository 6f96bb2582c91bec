// The desk by keyboard. Every key presses a button, follows a link or fills a field that is on the page, so that the page is complete
// without this file.
'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const form = $('decide');
  const audio = $('sound');
  const player = $('player');
  const wave = document.querySelector('svg.wave');
  const STEP = 5;
  const SPEEDS = [1, 1.25, 1.5, 1.75, 2];
  const setting = (name, usual) => sessionStorage.getItem(name) || usual;

  // Sound.
  const pauses = ((player && player.dataset.pauses) || '').split(' ').filter(Boolean)
    .map((pair) => pair.split('-').map((ms) => Number(ms) / 1000));
  let skipsPauses = setting('desk-pauses', 'skip') === 'skip';
  const tell = () => {
    const state = $('sound-state');
    if (state && audio) state.textContent = `${audio.playbackRate} ×${skipsPauses && pauses.length ? ' · ⏭' : ''}`;
  };
  const line = wave && wave.querySelector('line.now');
  const bars = wave ? wave.viewBox.baseVal.width : 0;
  const follow = () => {
    if (!audio.duration || !Number.isFinite(audio.duration)) return;
    if (skipsPauses && !audio.paused) {
      const pause = pauses.find(([from, to]) => audio.currentTime >= from && audio.currentTime < to - 0.05);
      if (pause) audio.currentTime = pause[1];
    }
    if (line) {
      const x = String(audio.currentTime / audio.duration * bars);
      line.setAttribute('x1', x);
      line.setAttribute('x2', x);
    }
  };
  const frame = () => {
    follow();
    if (!audio.paused) requestAnimationFrame(frame);
  };
  const seek = (to) => {
    audio.currentTime = Math.max(0, Math.min(to, audio.duration || to));
    follow();
  };
  if (audio) {
    audio.playbackRate = Number(setting('desk-speed', '1'));
    audio.defaultPlaybackRate = audio.playbackRate;
    audio.addEventListener('play', () => requestAnimationFrame(frame));
    audio.addEventListener('seeked', follow);
    audio.addEventListener('loadedmetadata', tell);
    audio.addEventListener('ratechange', tell);
    if (wave) wave.addEventListener('click', (event) => {
      const box = wave.getBoundingClientRect();
      if (audio.duration) seek((event.clientX - box.left) / box.width * audio.duration);
    });
    // A browser that lets no page play by itself waits for the key.
    const playing = audio.play();
    if (playing) playing.catch(() => {});
    tell();
  }

  // Cuts.
  const now = () => (audio ? audio.currentTime.toFixed(2) : '0');
  const openCuts = () => { const cuts = $('cuts'); if (cuts) cuts.open = true; };
  let silenceFrom = null;
  const trim = (id) => { const field = $(id); if (field) { openCuts(); field.value = now(); } };
  const silence = () => {
    const field = $('silenced');
    if (!field) return;
    openCuts();
    if (silenceFrom === null) { silenceFrom = now(); field.dataset.begun = silenceFrom; return; }
    const [from, to] = [Number(silenceFrom), Number(now())].sort((a, b) => a - b);
    silenceFrom = null;
    delete field.dataset.begun;
    if (to > from) field.value = (field.value.trim() ? `${field.value.trim()}; ` : '') + `${from}-${to}`;
  };
  const unsilence = () => {
    const field = $('silenced');
    if (field) field.value = field.value.split(/[;,]/).slice(0, -1).join(';').trim();
    silenceFrom = null;
  };

  // Decisions.
  const press = (id) => { const button = $(id); if (button) button.click(); return Boolean(button); };
  const reasons = $('reasons');
  let asksReason = false;
  const ask = (asks) => { asksReason = asks; if (reasons) reasons.classList.toggle('asked', asks); };
  const reject = (number) => {
    ask(false);
    const button = reasons && reasons.querySelectorAll('button')[number - 1];
    if (button) button.click();
  };
  const theme = (number) => {
    const box = document.querySelectorAll('.themes input[type=checkbox]')[number - 1];
    if (box) box.checked = !box.checked;
  };
  const focus = (id) => { const field = $(id); if (field) field.focus(); };
  const transcript = $('transcript');
  if (transcript) transcript.addEventListener('input', () => {
    transcript.classList.remove('machine');
    const note = $('machine');
    if (note) note.hidden = true;
  }, { once: true });

  const keys = {
    ' ': () => audio && (audio.paused ? audio.play() : audio.pause()),
    ArrowLeft: () => audio && seek(audio.currentTime - STEP),
    ArrowRight: () => audio && seek(audio.currentTime + STEP),
    0: () => audio && seek(0),
    s: () => {
      if (!audio) return;
      const at = SPEEDS.indexOf(audio.playbackRate);
      audio.playbackRate = SPEEDS[(at + 1) % SPEEDS.length];
      sessionStorage.setItem('desk-speed', String(audio.playbackRate));
    },
    m: () => { skipsPauses = !skipsPauses; sessionStorage.setItem('desk-pauses', skipsPauses ? 'skip' : 'keep'); tell(); },
    e: () => focus('transcript'),
    t: () => focus('new-theme'),
    c: () => { const box = $('child'); if (box) box.checked = !box.checked; },
    p: () => press('text'),
    v: () => press('voice'),
    h: () => press('heard'),
    k: () => press('keep'),
    n: () => press('next'),
    u: () => press('undo'),
    r: () => ask(true),
    '!': () => { const remark = $('remark'); if (remark && document.activeElement !== remark && !remark.value) { remark.focus(); } else { press('danger'); } },
    '[': () => trim('trim-from'),
    ']': () => trim('trim-to'),
    x: silence,
    z: unsilence,
    Enter: () => { if (!form) press('next'); },
  };
  const isTyping = (element) => element && (element.tagName === 'TEXTAREA' || element.tagName === 'SELECT'
    || (element.tagName === 'INPUT' && element.type !== 'checkbox' && element.type !== 'radio'));

  // Whoever speaks to the machine, or hits keys by chance, turns single keys off (WCAG 2.1.4).
  const single = $('single-keys');
  let hasKeys = localStorage.getItem('desk-keys') !== 'off';
  if (single) {
    $('single').hidden = false;
    single.checked = hasKeys;
    single.addEventListener('change', () => {
      hasKeys = single.checked;
      localStorage.setItem('desk-keys', hasKeys ? 'on' : 'off');
    });
  }

  document.addEventListener('keydown', (event) => {
    const active = document.activeElement;
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && form) {
      event.preventDefault();
      press(event.shiftKey ? 'voice' : 'text');
      return;
    }
    if (event.key === 'Escape') {
      ask(false);
      if (isTyping(active)) active.blur();
      return;
    }
    if (!hasKeys || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(active)) return;
    // A button, a link or a summary with the focus is pressed by these as everywhere.
    const isControl = active && (/^(BUTTON|A|SUMMARY|AUDIO)$/.test(active.tagName)
      || (active.tagName === 'INPUT'));
    if (isControl && (event.key === ' ' || event.key === 'Enter')) return;
    if (asksReason) {
      if (/^[1-9]$/.test(event.key)) { event.preventDefault(); reject(Number(event.key)); }
      ask(false);
      return;
    }
    if (/^[1-9]$/.test(event.key)) { event.preventDefault(); theme(Number(event.key)); return; }
    const key = keys[event.key];
    if (key) { event.preventDefault(); key(); }
  });
})();
