'use strict';
// Shows what the gateway says, and nothing else: no word of its own but "out of order" where the gateway is not heard, nothing kept
// from one event to the next, no request to anybody but the gateway.
(() => {
  const at = (id) => document.getElementById(id);
  // A gateway that is well says something every 5 s.
  const PATIENCE_MS = 15000;
  const AGAIN_MS = 2000;
  let source = null;
  let heard = performance.now();
  let ends = null;
  let leftWord = '';

  const put = (id, text) => {
    const place = at(id);
    // The same text again would be read out again.
    if (place.textContent !== text) place.textContent = text;
  };

  const rows = (id, list) => {
    at(id).replaceChildren(...list.map((row) => {
      const item = document.createElement('li');
      const key = document.createElement('kbd');
      const text = document.createElement('span');
      key.textContent = row.key;
      text.textContent = row.text;
      if (row.chosen) item.dataset.chosen = '';
      item.append(key, text);
      return item;
    }));
  };

  // The largest size, in hundredths, at which everything can be seen with the options in this many columns.
  const largest = (columns) => {
    at('options').className = columns > 1 ? 'many' : '';
    const scene = at('scene');
    for (let size = 100; size > 30; size -= 4) {
      document.documentElement.style.setProperty('--fit', String(size / 100));
      if (scene.scrollHeight <= window.innerHeight && scene.scrollWidth <= window.innerWidth) return size;
    }
    return 30;
  };

  const fit = () => {
    const two = at('options').childElementCount > 3 ? largest(2) : 0;
    if (two >= 100) return;
    // One below the other is read more easily, so side by side only where it can be larger.
    if (largest(1) < two) largest(2);
  };

  const show = (view) => {
    document.documentElement.lang = view.lang;
    document.body.dataset.mood = view.mood;
    if (view.live) document.body.dataset.live = ''; else delete document.body.dataset.live;
    at('head').hidden = view.state === '' && view.left_ms === null;
    at('state').hidden = view.state === '';
    put('state-text', view.state);
    put('headline', view.headline);
    put('receipt', view.dialled === null ? view.receipt : '●'.repeat(view.dialled) + '○'.repeat(Math.max(0, view.whole - view.dialled)));
    put('next', view.next);
    put('said', view.said);
    rows('options', view.options);
    rows('hints', view.hints);
    const level = at('level');
    level.hidden = !view.live;
    level.setAttribute('aria-label', view.level_name);
    if (!view.live) measure(0);
    ends = view.left_ms === null ? null : performance.now() + view.left_ms;
    leftWord = view.left_word;
    tick();
    fit();
  };

  const measure = (percent) => {
    at('bar').style.width = percent + '%';
    at('level').setAttribute('aria-valuenow', String(percent));
  };

  const tick = () => {
    if (ends === null) { put('left', ''); return; }
    const seconds = Math.max(0, Math.ceil((ends - performance.now()) / 1000));
    const minutes = Math.floor(seconds / 60);
    put('left', minutes + ':' + String(seconds % 60).padStart(2, '0') + ' ' + leftWord);
  };

  // Nothing of a visit stays: the gateway may have been told to stop in the middle of one.
  const away = () => {
    if (document.body.dataset.mood === 'away') return;
    show({
      lang: 'da', mood: 'away', state: '', headline: 'Ude af drift', receipt: '', next: 'Prøv igen senere.', said: '',
      options: [], hints: [], dialled: null, whole: 0, live: false, left_ms: null, left_word: '', level_name: '',
    });
  };

  const connect = () => {
    if (source) source.close();
    source = new EventSource('events');
    const on = (name, act) => source.addEventListener(name, (event) => {
      heard = performance.now();
      if (act) act(JSON.parse(event.data));
    });
    on('view', show);
    on('level', measure);
    on('beat', null);
    source.onerror = away;
  };

  window.addEventListener('resize', fit);
  window.addEventListener('contextmenu', (event) => event.preventDefault());
  setInterval(tick, 250);
  setInterval(() => {
    if (performance.now() - heard > PATIENCE_MS) away();
    // The browser gives up for good where it was refused; and a gateway that hangs keeps the connection.
    if (source.readyState === EventSource.CLOSED || performance.now() - heard > PATIENCE_MS) {
      heard = performance.now();
      connect();
    }
  }, AGAIN_MS);
  connect();
  fit();
})();
