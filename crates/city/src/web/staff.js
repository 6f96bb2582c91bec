// What all pages for staff do beside what a page does without scripts: a form that changes something is sent once.
"use strict";
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  // A page that comes back from the browser's memory takes its form again.
  window.addEventListener("pageshow", () => delete form.dataset.sent, { once: true });
});
